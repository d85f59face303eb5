"""What one pass times and gives, on a decoder whose every duration is known."""

import itertools

import numpy as np
import pytest

from harness.core.errors import MeasurementError
from harness.engine.passes import nested_ids, run_pass, seeded_ids, time_prefill, time_step
from harness.engine.workload import Workload
from harness.results.enums import Kind
from tests.engine.fake_decoder import CHOOSE_NS, PREFILL_NS, VOCAB, FakeDecoder

PROMPT = np.array([[3, 4, 5]])


def at_depth(depth_tokens, batch=1):
    decoder = FakeDecoder(batch)
    decoder.fill(depth_tokens, seed=0)
    return decoder


def test_a_prefill_is_the_run_alone():
    """3 tokens of 1000 ns; neither feeding nor choosing is in it."""
    decoder = at_depth(4)
    outcome = run_pass(decoder, Workload(Kind.PREFILL, 3, 0, 4), PROMPT, decoder.clock)
    assert outcome.sample.prefill_ns == 3 * PREFILL_NS
    assert (outcome.sample.ttft_ns, outcome.sample.e2e_ns, outcome.sample.itl_ns) == (
        None,
        None,
        (),
    )
    assert ("run", 4, 3) in decoder.calls
    assert outcome.tokens.tolist() == [[(3 + 4 + 5 + 7) % VOCAB]]


def test_chunks_are_fed_within_the_time_of_a_prompt():
    """3 tokens as 2 and 1: 3000 ns, and the 77 of feeding the second chunk, not the first."""
    decoder = at_depth(4)
    workload = Workload(Kind.PREFILL, 3, 0, 4, chunk_tokens=2)
    outcome = run_pass(decoder, workload, PROMPT, decoder.clock)
    assert outcome.sample.prefill_ns == 3 * PREFILL_NS + 77
    assert [call for call in decoder.calls if call[0] == "run"] == [("run", 4, 2), ("run", 6, 1)]
    request = Workload(Kind.REQUEST, 3, 2, 0, chunk_tokens=1)
    sample = run_pass(decoder, request, PROMPT, decoder.clock).sample
    assert sample.ttft_ns == 3 * PREFILL_NS + 2 * 77 + CHOOSE_NS
    assert (workload.name, request.name) == ("pp3c2 @ d4", "pg3+2c1 @ d0")


def test_decode_steps_last_from_token_to_token_and_feed_what_they_chose():
    """From depth 10: 110, 111, 112 ns. Tokens 3 -> 3 + 10 -> 13 + 11 -> 24 + 12, below 50."""
    decoder = at_depth(10)
    outcome = run_pass(decoder, Workload(Kind.DECODE, 0, 3, 10), PROMPT[:, :1], decoder.clock)
    assert outcome.sample.itl_ns == (110, 111, 112)
    assert outcome.tokens.tolist() == [[13], [24], [36]]
    assert decoder.calls[-3:] == [("step", 10, 3), ("step", 11, 13), ("step", 12, 24)]
    assert (outcome.sample.prefill_ns, outcome.sample.e2e_ns) == (None, None)


def test_a_request_is_prompt_first_token_and_the_rest():
    """Prompt of 3 from depth 2: 3000, +5 choosing; steps at depth 5 and 6: 105 + 106."""
    decoder = at_depth(2)
    sample = run_pass(decoder, Workload(Kind.REQUEST, 3, 3, 2), PROMPT, decoder.clock).sample
    assert sample.prefill_ns == 3 * PREFILL_NS
    assert sample.ttft_ns == 3 * PREFILL_NS + CHOOSE_NS
    assert sample.itl_ns == (105, 106)
    assert sample.e2e_ns == sample.ttft_ns + 105 + 106


def test_a_turn_reads_everything_again_then_its_prompt_behind_the_kept_cache():
    """Turn of 3 behind 2: all 5 from nothing, 5000 + 5; then 3 of them from 2, 3000 + 5, 105."""
    decoder = at_depth(7)
    chat = np.array([[8, 9, 3, 4, 5]])
    turn = Workload(Kind.TURN, 3, 2, 2)
    outcome = run_pass(decoder, turn, chat, decoder.clock)
    sample = outcome.sample
    assert sample.reread_ns == 5 * PREFILL_NS + CHOOSE_NS
    assert (sample.prefill_ns, sample.ttft_ns) == (3 * PREFILL_NS, 3 * PREFILL_NS + CHOOSE_NS)
    assert (sample.itl_ns, sample.e2e_ns) == ((105,), sample.ttft_ns + 105)
    assert [call for call in decoder.calls if call[0] == "run"] == [("run", 0, 5), ("run", 2, 3)]
    assert turn.name == "turn3+2 @ d2"
    other = at_depth(50)  # whatever was in the cache
    assert run_pass(other, turn, chat, other.clock).digest == outcome.digest


def test_chunks_of_a_turn_are_those_of_both_reads():
    decoder = at_depth(0)
    turn = Workload(Kind.TURN, 3, 1, 4, chunk_tokens=4)
    run_pass(decoder, turn, np.array([[1, 2, 3, 4, 5, 6, 7]]), decoder.clock)
    runs = [call[1:] for call in decoder.calls if call[0] == "run"]
    assert runs == [(0, 4), (4, 3), (4, 3)]
    assert turn.test == "turn3+1c4"


def test_a_request_for_one_token_has_no_decode_step():
    decoder = at_depth(0)
    outcome = run_pass(decoder, Workload(Kind.REQUEST, 3, 1), PROMPT, decoder.clock)
    assert outcome.sample.itl_ns == ()
    assert outcome.sample.e2e_ns == outcome.sample.ttft_ns
    assert outcome.tokens.tolist() == [[15]]


@pytest.mark.parametrize(("kind", "prompt", "reads"), [("pp", 3, 2), ("tg", 0, 9), ("pg", 3, 10)])
def test_the_clock_is_read_once_per_event(kind, prompt, reads):
    """Prefill: start, end. 8 steps: start and 8 ends. Request: start, prompt, first token, 7."""
    decoder = at_depth(1)
    workload = Workload(Kind(kind), prompt, 0 if kind == "pp" else 8, 1)
    run_pass(decoder, workload, PROMPT[:, : prompt or 1], decoder.clock)
    assert decoder.clock_reads == reads


def test_passes_repeat_themselves_at_batch_two():
    """Every pass starts from the same depth with the same tokens: same tokens, same digest."""
    decoder = at_depth(3, batch=2)
    workload = Workload(Kind.DECODE, 0, 4, 3)
    ids = np.array([[1], [2]])
    one, two = (run_pass(decoder, workload, ids, decoder.clock) for _ in range(2))
    assert one.tokens.shape == (4, 2)
    assert np.array_equal(one.tokens, two.tokens)
    assert one.digest == two.digest
    other = run_pass(decoder, workload, ids + 1, decoder.clock)
    assert other.digest != one.digest


def test_a_digest_is_the_same_everywhere():
    """13, 24, 36 as 64-bit little-endian numbers, by `b2sum -l 64`: it may be stored."""
    decoder = at_depth(10)
    outcome = run_pass(decoder, Workload(Kind.DECODE, 0, 3, 10), PROMPT[:, :1], decoder.clock)
    assert outcome.digest == "c9636090334a5f43"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "prompt", "gen"), [("pp", 3, 0), ("tg", 0, 2), ("pg", 3, 2)])
def test_logits_that_are_no_numbers_are_told(kind, prompt, gen, value):
    decoder = at_depth(0)
    workload = Workload(Kind(kind), prompt, gen)
    ids = PROMPT[:, : prompt or 1]
    assert run_pass(decoder, workload, ids, decoder.clock).finite
    decoder.last_logits[0, 7] = value
    assert not run_pass(decoder, workload, ids, decoder.clock).finite


@pytest.mark.parametrize("value", [0.0, -3.5])
@pytest.mark.parametrize(("kind", "prompt", "gen"), [("pp", 3, 0), ("tg", 0, 2), ("pg", 3, 2)])
def test_logits_that_are_all_the_same_are_told(kind, prompt, gen, value):
    """Of one sequence of two is enough: zeros, or any other value throughout."""
    decoder = at_depth(0, batch=2)
    workload = Workload(Kind(kind), prompt, gen)
    ids = np.vstack([PROMPT, PROMPT])[:, : prompt or 1]
    assert run_pass(decoder, workload, ids, decoder.clock).finite
    decoder.last_logits[1] = value
    assert not run_pass(decoder, workload, ids, decoder.clock).finite


def test_a_clock_that_stands_still_is_refused():
    decoder = at_depth(0)
    with pytest.raises(MeasurementError, match="decode step 0 took 0 ns"):
        run_pass(decoder, Workload(Kind.DECODE, 0, 2), PROMPT[:, :1], lambda: 5)


def test_single_calls_for_the_warm_up():
    decoder = at_depth(9)
    assert time_step(decoder, 6, np.array([[8]]), decoder.clock) == 106
    assert decoder.calls[-1] == ("step", 6, 8)
    assert time_prefill(decoder, 2, PROMPT, decoder.clock) == 3 * PREFILL_NS
    assert decoder.calls[-1] == ("run", 2, 3)


def test_prompts_depend_on_the_arguments_alone():
    ids = seeded_ids(1, 4, 200, VOCAB)
    assert (ids.shape, ids.dtype, ids.min() >= 0, ids.max() < VOCAB) == (
        (4, 200),
        np.int64,
        True,
        True,
    )
    assert np.array_equal(ids, seeded_ids(1, 4, 200, VOCAB))
    others = [seeded_ids(seed, 4, 200, VOCAB) for seed in (2, 3)]
    for one, two in itertools.combinations([ids, *others], 2):
        assert not np.array_equal(one, two)
    assert len(np.unique(ids)) == VOCAB


def test_nested_ids_of_a_smaller_shape_are_the_first_of_a_larger():
    large = nested_ids(7, 4, 300, 49_152)
    assert (large.shape, large.dtype) == ((4, 300), np.int64)
    assert np.array_equal(large[:3, :17], nested_ids(7, 3, 17, 49_152))
    assert 0 <= large.min() < large.max() < 49_152
    assert not np.array_equal(large, nested_ids(8, 4, 300, 49_152))
