"""The in-place decoder against the growing one and against one pass over everything."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest

from harness.core.errors import UsageError
from harness.engine.decoder import DecoderSession
from harness.engine.growing import GrowingDecoder
from tests.engine.tiny_decoder import SPEC, TinyDecoder


@pytest.fixture(scope="module", params=["fp32", "fp16", "int4"])
def tiny(request, tmp_path_factory):
    return TinyDecoder(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return TinyDecoder(tmp_path_factory.mktemp("exact"), "fp32")


def random_ids(batch, tokens, seed=1):
    return np.random.default_rng(seed).integers(0, SPEC.vocab_size, (batch, tokens))


def in_place(tiny, batch=1, capacity_tokens=32):
    return DecoderSession(tiny.open(), tiny.geometry, batch, capacity_tokens)


def growing(tiny, batch=1, every_position=False):
    return GrowingDecoder(tiny.open(every_position), tiny.geometry, batch)


@pytest.mark.parametrize("batch", [1, 4])
def test_in_place_is_growing_bit_for_bit(tiny, batch):
    """A prefill of 7 and 9 steps; the in-place cache has room to spare."""
    ids = random_ids(batch, 16)
    one, two = in_place(tiny, batch), growing(tiny, batch)
    pieces = [ids[:, :7], *(ids[:, k : k + 1] for k in range(7, 16))]
    for piece in pieces:
        assert np.array_equal(one.prefill(piece), two.prefill(piece))
    assert one.depth_tokens == two.depth_tokens == 16


@pytest.mark.parametrize("batch", [1, 4])
def test_prefill_and_steps_are_one_pass_over_everything(exact, batch):
    """Logits after token k of the cached path = position k of one pass over all 12 tokens."""
    ids = random_ids(batch, 12)
    whole = growing(exact, batch, every_position=True).prefill(ids)
    decoder = in_place(exact, batch)
    np.testing.assert_allclose(decoder.prefill(ids[:, :5])[:, 0], whole[:, 4], atol=1e-5)
    for k in range(5, 12):
        np.testing.assert_allclose(decoder.step(ids[:, k : k + 1])[:, 0], whole[:, k], atol=1e-5)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_prefill_on_a_filled_cache_is_the_rest_of_one_pass(exact, batch):
    """Three pieces, a step after them, and a fresh start over the same memory."""
    ids = random_ids(batch, 13)
    whole, decoder = in_place(exact, batch), in_place(exact, batch)
    for _ in range(2):
        decoder.prefill(ids[:, :4])
        decoder.prefill(ids[:, 4:9])
        np.testing.assert_allclose(
            decoder.prefill(ids[:, 9:12]), whole.prefill(ids[:, :12]), atol=1e-5
        )
        np.testing.assert_allclose(decoder.step(ids[:, 12:]), whole.step(ids[:, 12:]), atol=1e-5)
        decoder.rewind(0)
        whole.rewind(0)


def test_greedy_steps_read_the_most_probable_token(exact):
    """The loop without copies against steps fed by hand, two sequences."""
    ids = random_ids(2, 5)
    fast, plain = in_place(exact, 2), growing(exact, 2)
    fast.prefill(ids)
    fast.pick_greedy()
    expected = plain.prefill(ids)[:, 0].argmax(axis=1)
    for _ in range(6):
        assert fast.next_ids.tolist() == expected.tolist()
        fast.greedy_step()
        logits = plain.step(expected[:, None])[:, 0]
        assert np.array_equal(fast.last_logits, logits)
        expected = logits.argmax(axis=1)


def test_rewinding_repeats_the_same_logits(tiny):
    ids = random_ids(1, 9)
    decoder = in_place(tiny)
    decoder.prefill(ids[:, :6])
    first = [decoder.step(ids[:, k : k + 1]).copy() for k in (6, 7, 8)]
    decoder.rewind(6)
    again = [decoder.step(ids[:, k : k + 1]).copy() for k in (6, 7, 8)]
    assert np.array_equal(first, again)


def test_filling_writes_every_position_below_the_depth_and_decides_the_logits(tiny):
    def logits(seed):
        decoder = in_place(tiny)
        decoder.fill(20, seed)
        assert decoder.depth_tokens == 20
        for _, buffer in decoder._cache:
            assert np.count_nonzero(buffer[:, :, :20]) > 0.99 * buffer[:, :, :20].size
            assert not buffer[:, :, 20:].any()
        return decoder.step(random_ids(1, 1)).copy()

    assert np.array_equal(logits(seed=3), logits(seed=3))
    assert not np.array_equal(logits(seed=3), logits(seed=4))
    assert np.isfinite(logits(seed=3)).all()


def test_the_cache_holds_exactly_its_capacity(exact):
    decoder = in_place(exact, capacity_tokens=8)
    decoder.prefill(random_ids(1, 7))
    decoder.greedy_step()
    with pytest.raises(UsageError, match="do not fit"):
        decoder.greedy_step()
    with pytest.raises(UsageError, match="do not fit"):
        decoder.step(random_ids(1, 1))
    assert decoder.depth_tokens == 8


@pytest.mark.parametrize("capacity_tokens", [0, SPEC.max_context_tokens + 1])
def test_no_cache_beyond_the_model_is_opened(exact, capacity_tokens):
    with pytest.raises(UsageError, match="does not fit this model"):
        in_place(exact, capacity_tokens=capacity_tokens)


@pytest.mark.parametrize(
    "ids",
    [
        np.zeros((1, 0), np.int64),
        np.zeros((2, 3), np.int64),
        np.zeros(3, np.int64),
        np.zeros((1, 3), np.int32),
        np.array([[0, SPEC.vocab_size]]),
        np.array([[-1, 0]]),
        np.zeros((1, 40), np.int64),
    ],
)
def test_token_ids_that_cannot_be_read_are_refused(exact, ids):
    decoder = in_place(exact)
    with pytest.raises(UsageError):
        decoder.prefill(ids)
    assert decoder.depth_tokens == 0


@pytest.mark.parametrize("depth_tokens", [-1, 5])
def test_a_cache_is_only_cut_to_what_it_holds(exact, depth_tokens):
    decoder = in_place(exact)
    decoder.prefill(random_ids(1, 4))
    with pytest.raises(UsageError, match="cannot be cut"):
        decoder.rewind(depth_tokens)


@pytest.mark.parametrize("depth_tokens", [-1, 33])
def test_no_more_is_filled_than_there_is(exact, depth_tokens):
    with pytest.raises(UsageError):
        in_place(exact).fill(depth_tokens, seed=0)


class TravellingSession:
    """A session that wants its inputs elsewhere: what is bound is what there is at that moment."""

    def __init__(self, session):
        self._session = session

    def get_input_memory_infos(self):
        return [SimpleNamespace(name="Elsewhere")]

    def io_binding(self):
        binding = self._session.io_binding()
        keep = binding.bind_ortvalue_input

        def bind_copy(name, value):
            keep(name, ort.OrtValue.ortvalue_from_numpy(value.numpy().copy()))

        binding.bind_ortvalue_input = bind_copy
        return binding

    def run_with_iobinding(self, binding):
        self._session.run_with_iobinding(binding)


def test_inputs_that_are_copied_when_bound_are_bound_by_every_run(exact):
    """Prompt, steps and greedy steps give what they give on the CPU, bit for bit."""
    opened = exact.open()
    moved = replace(opened, session=TravellingSession(opened.session))
    ids = random_ids(1, 6)
    logits = []
    for one in (opened, moved):
        decoder = DecoderSession(one, exact.geometry, 1, 32)
        found = [decoder.prefill(ids).copy(), decoder.step(ids[:, :1]).copy()]
        decoder.prepare_steps(7, 3)
        decoder.next_ids[...] = 5
        for _ in range(3):
            decoder.greedy_step()
            found.append(decoder.last_logits.copy())
        logits.append(np.concatenate([part.ravel() for part in found]))
    assert np.array_equal(*logits)
