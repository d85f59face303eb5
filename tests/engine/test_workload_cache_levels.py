"""Decoders over other caches than their level's own: nearly the same words, in fewer bytes."""

import numpy as np
import pytest

from harness.engine.decoder import DecoderSession
from harness.engine.growing import GrowingDecoder
from tests.engine.tiny_decoder import SPEC, TinyDecoder

# Least cosine of the logits with those of the float cache; seeded weights.
CLOSE = {"fp32": 0.9999, "int8": 0.998, "int4": 0.85}
KINDS = {
    "plain": {},
    "window": {"family": "mistral", "sliding_window_tokens": 4},
    "norms": {"family": "qwen3", "qk_norm": "per_head"},
}
PIECES = (9, 1, 1, 1, 1, 1, 1)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A call that builds the tiny model of a kind at a level with a cache."""

    def build(kind, level, cache):
        folder = tmp_path_factory.mktemp(f"{kind}-{level}-{cache}")
        return TinyDecoder(folder, level, cache=cache, **KINDS[kind])

    return build


def read(decoder, batch):
    """Logits after a prompt of 9 tokens and after each of 6 steps, one below the other."""
    ids = np.random.default_rng(1).integers(0, SPEC.vocab_size, (batch, sum(PIECES)))
    parts = np.split(ids, np.cumsum(PIECES)[:-1], axis=1)
    return np.stack([decoder.prefill(part)[:, -1].copy() for part in parts])


def in_place(tiny, batch):
    return DecoderSession(tiny.open(), tiny.geometry, batch, 32)


def cosines(one, other):
    """Of each step and sequence."""
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return (one * other).sum(axis=-1) / norms


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("level", "cache"),
    [
        *(("fp32", name) for name in ("int8", "int4")),
        *(("fp16", name) for name in ("fp32", "int8", "int4")),
        *(("int4", name) for name in ("int8", "int4")),
    ],
)
def test_another_cache_says_nearly_the_same(kind, level, cache, build):
    """Prompt and steps, two sequences; a sliding window and head norms too."""
    expected = read(in_place(build(kind, level, "auto"), 2), 2)
    found = read(in_place(build(kind, level, cache), 2), 2)
    assert cosines(found, expected).min() > CLOSE[cache]
    assert not np.array_equal(found, expected)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("level", "cache"), [("fp32", "int8"), ("int4", "int4"), ("fp16", "fp32")])
def test_in_place_is_growing_bit_for_bit(level, cache, batch, build):
    tiny = build("plain", level, cache)
    growing = GrowingDecoder(tiny.open(), tiny.geometry, batch)
    assert np.array_equal(read(in_place(tiny, batch), batch), read(growing, batch))


@pytest.mark.parametrize("cache", ["int8", "int4"])
def test_a_prompt_reads_what_it_has_stored(cache, build):
    """One pass over all is the prompt and its steps: keys are rounded before they are read."""
    tiny = build("plain", "fp32", cache)
    whole = GrowingDecoder(tiny.open(every_position=True), tiny.geometry, 1)
    ids = np.random.default_rng(1).integers(0, SPEC.vocab_size, (1, sum(PIECES)))
    positions = np.cumsum(PIECES) - 1
    expected = whole.prefill(ids)[:, positions].swapaxes(0, 1)
    np.testing.assert_allclose(read(in_place(tiny, 1), 1), expected, atol=1e-4)


@pytest.mark.parametrize(("cache", "token_bytes"), [("auto", 512), ("int8", 128), ("int4", 64)])
def test_the_cache_takes_exactly_its_bytes(cache, token_bytes, build):
    """2 halves · 2 layers · 2 heads · 16 values: 128 of 4 bytes, 1 byte, half a byte."""
    tiny = build("plain", "fp32", cache)
    decoder = DecoderSession(tiny.open(), tiny.geometry, 1, 20)
    assert sum(half.nbytes for _, half in decoder._cache) == 20 * token_bytes
    growing = GrowingDecoder(tiny.open(), tiny.geometry, 1)
    growing.prefill(np.zeros((1, 20), np.int64))
    halves = [growing.half(layer, half) for layer in range(2) for half in ("key", "value")]
    assert sum(half.nbytes for half in halves) == 20 * token_bytes


@pytest.mark.parametrize(("cache", "largest"), [("int8", 127), ("int4", 7)])
def test_a_filled_cache_holds_seeded_integers_of_every_size(cache, largest, build):
    """Normal values: symmetric, within the largest, spread; nothing beyond the depth."""
    tiny = build("plain", "fp32", cache)
    decoder = DecoderSession(tiny.open(), tiny.geometry, 1, 64)
    decoder.fill(60, seed=3)
    held = np.stack([half for _, half in decoder._cache])
    assert not held[..., 60:, :].any()
    values = held[..., :60, :]
    if cache == "int4":
        values = np.stack([values & 15, values >> 4]).astype(int) - 8
    assert np.abs(values.astype(int)).max() <= largest
    assert abs(values.mean()) < 0.02 * largest
    assert values.std() == pytest.approx(largest / 4, rel=0.05)
    again = DecoderSession(tiny.open(), tiny.geometry, 1, 64)
    again.fill(60, seed=3)
    first = np.zeros((1, 1), np.int64)
    assert np.array_equal(decoder.step(first), again.step(first))
