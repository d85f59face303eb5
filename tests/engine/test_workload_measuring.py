"""Warm-up and sampling over a decoder whose every duration is known."""

from harness.engine.measuring import Measuring
from harness.engine.workload import Workload
from harness.results.enums import Kind
from tests.engine.fake_decoder import STEP_NS, FakeDecoder

DECODE = Workload(Kind.DECODE, 0, 4, 10)
PREFILL = Workload(Kind.PREFILL, 3, 0)
REQUEST = Workload(Kind.REQUEST, 3, 5, 2)
TURN = Workload(Kind.TURN, 3, 5, 2)


def measuring(batch=1):
    decoder = FakeDecoder(batch)
    return Measuring(decoder, seed=9, clock=decoder.clock), decoder


def fills(decoder):
    return [call[1] for call in decoder.calls if call[0] == "fill"]


def test_decode_is_warmed_at_a_fixed_depth():
    """Two windows of 20 equal steps, every one at depth 10."""
    measure, decoder = measuring()
    (result,) = measure.warm(DECODE, cap_s=10)
    assert result.steady
    assert result.durations_ns == (STEP_NS + 10,) * 40
    assert {call[1] for call in decoder.calls if call[0] == "step"} == {10}


def test_a_request_is_warmed_at_both_of_its_shapes():
    """Prompt of 3 from depth 2, then steps at depth 5: where its first step begins."""
    measure, decoder = measuring()
    prompt, step = measure.warm(REQUEST, cap_s=10)
    assert prompt.durations_ns == (3000,) * 40
    assert step.durations_ns == (STEP_NS + 5,) * 40
    assert {call[1:] for call in decoder.calls if call[0] == "run"} == {(2, 3)}


def test_a_request_for_one_token_has_no_step_to_warm():
    measure, _ = measuring()
    assert len(measure.warm(Workload(Kind.REQUEST, 3, 1), cap_s=10)) == 1


def test_a_turn_is_warmed_with_its_cache_and_without():
    """3 tokens at depth 2, a step at 5, all 5 tokens from nothing; of the first turn two shapes."""
    measure, decoder = measuring()
    prompt, step, whole = measure.warm(TURN, cap_s=10)
    assert (prompt.durations_ns[0], step.durations_ns[0]) == (3000, STEP_NS + 5)
    assert whole.durations_ns == (5005,) * 40
    assert fills(decoder) == [2, 0]
    assert len(measure.warm(Workload(Kind.TURN, 3, 5), cap_s=10)) == 2


def test_a_turn_leaves_no_filled_cache_behind():
    measure, decoder = measuring()
    measure.sample(TURN, min_passes=2, min_seconds=0)
    measure.sample(Workload(Kind.DECODE, 0, 4, 2), min_passes=1, min_seconds=0)
    assert fills(decoder) == [0, 2]
    assert measure.first(TURN) == 3005


def test_a_shape_that_was_warm_needs_one_more_window():
    """The prefill of pp3 is also the request's at depth 0: 20 more calls instead of 40."""
    measure, _ = measuring()
    assert len(measure.warm(PREFILL, cap_s=10)[0].durations_ns) == 40
    prompt, step = measure.warm(Workload(Kind.REQUEST, 3, 5), cap_s=10)
    assert (len(prompt.durations_ns), len(step.durations_ns)) == (20, 40)
    assert len(measure.warm(Workload(Kind.PREFILL, 4, 0), cap_s=10)[0].durations_ns) == 40


def test_a_shape_that_was_warm_and_timed_needs_half_a_window():
    """20 passes of pp3 stand behind its warm-up: 10 more calls of the request's prompt agree."""
    measure, _ = measuring()
    measure.warm(PREFILL, cap_s=10)
    measure.sample(PREFILL, min_passes=20, min_seconds=0)
    prompt, step = measure.warm(Workload(Kind.REQUEST, 3, 5), cap_s=10)
    assert (prompt.steady, len(prompt.durations_ns)) == (True, 10)
    assert len(step.durations_ns) == 40


def test_what_was_timed_without_a_warm_up_counts_for_none():
    measure, _ = measuring()
    measure.sample(PREFILL, min_passes=40, min_seconds=0)
    assert len(measure.warm(PREFILL, cap_s=10)[0].durations_ns) == 40


def test_a_step_that_was_warm_at_another_depth_needs_windows_of_half_the_length():
    measure, _ = measuring()
    measure.warm(DECODE, cap_s=10)
    prompt, step = measure.warm(REQUEST, cap_s=10)
    assert (len(prompt.durations_ns), len(step.durations_ns)) == (40, 20)


def test_samples_are_enough_passes():
    measure, _ = measuring()
    samples = measure.sample(DECODE, min_passes=3, min_seconds=0)
    assert [outcome.sample.itl_ns for outcome in samples.passes] == [(110, 111, 112, 113)] * 3


def test_samples_are_enough_time():
    """A prefill pass of 3 tokens moves the clock by 77 + 3000 + 5 ns: 10 µs need 4."""
    measure, _ = measuring()
    assert len(measure.sample(PREFILL, min_passes=1, min_seconds=10e-6).passes) == 4
    assert len(measure.sample(PREFILL, min_passes=0, min_seconds=0).passes) == 1


def test_the_cache_is_filled_once_per_depth_and_again_after_another_test():
    """Another test may have written below this one's depth."""
    measure, decoder = measuring()
    measure.warm(DECODE, cap_s=10)
    measure.sample(DECODE, min_passes=2, min_seconds=0)
    assert fills(decoder) == [10]
    measure.sample(PREFILL, min_passes=1, min_seconds=0)
    measure.sample(DECODE, min_passes=1, min_seconds=0)
    assert fills(decoder) == [10, 0, 10]


def test_order_of_tests_changes_no_token():
    """The digest of a test is the same alone and between others, and differs between tests."""
    alone = measuring()[0].sample(REQUEST, min_passes=1, min_seconds=0)
    measure, _ = measuring()
    digests = [
        measure.sample(test, min_passes=2, min_seconds=0).passes[-1].digest
        for test in (DECODE, REQUEST, PREFILL, REQUEST)
    ]
    assert digests[1] == digests[3] == alone.passes[-1].digest
    assert len(set(digests)) == 3


def test_the_first_run_is_a_step_or_a_prompt_with_its_token():
    """Decode: one step at depth 10, 110 ns. Prompt: 3000 + 5 for the choice."""
    assert measuring()[0].first(DECODE) == 110
    assert measuring()[0].first(PREFILL) == 3005
    assert measuring()[0].first(REQUEST) == 3005
