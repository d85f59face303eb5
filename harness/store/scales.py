"""Scales of an integer cache, taken from what a model with its own float cache writes into it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry, geometry_of
from harness.builder.quantize.cache_scales import LayerScales, ScaledCache, channel_scales
from harness.builder.quantize.levels import CacheLevel, QuantLevel
from harness.core.errors import ModelError
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.growing import GrowingDecoder
from harness.engine.passes import seeded_ids
from harness.models.specs.model import ModelSpec
from harness.models.texts.tokens import Tokenization, calibration_tokens, tokenization_of
from harness.models.weights.source import ModelSource

# Tokens that are read, each chunk from an empty cache: long enough that most channels of the keys,
# which turn with the position, have turned through their extremes.
CHUNK_TOKENS, CHUNKS = 512, 4
THREADS = 1  # the same scales on every machine of one kind, however many cores it has

Ids = NDArray[np.int64]


def calibrated_cache(
    source: ModelSource, level: QuantLevel, cache: CacheLevel, graph: Path, seed: int
) -> ScaledCache:
    """Return `cache` with the scales that a model needs; floats need none.

    Args:
        source: the model.
        level: of its weights.
        cache: to be scaled.
        graph: of the model at this level with its own cache.
        seed: of token ids where it has no tokenizer.

    Raises:
        UsageError: the text cannot be read with the model's tokenizer.
        ModelError: a key or a value is not finite.
    """
    if not cache.is_integer:
        return ScaledCache(cache)
    assert isinstance(source.spec, ModelSpec)  # encoders have no cache
    geometry = geometry_of(source.spec, level)
    seen = _cached_values(graph, geometry, calibration_ids(source, geometry, seed))
    return ScaledCache(cache, tuple(_layer_scales(halves, cache) for halves in seen))


def calibration_ids(source: ModelSource, geometry: DecoderGeometry, seed: int) -> list[Ids]:
    """Return chunks of token ids [1, tokens], spread evenly over the calibration text.

    Seeded ids for a model without a tokenizer; fewer and shorter chunks where text or context end.
    """
    tokens = min(CHUNK_TOKENS, geometry.max_context_tokens)
    vocab = geometry.vocab_size
    folder = source.folder
    if folder is None or tokenization_of(folder, vocab) is Tokenization.NONE:
        return list(seeded_ids(seed, CHUNKS, tokens, vocab)[:, np.newaxis])
    ids = np.array(calibration_tokens(folder, vocab).ids, dtype=np.int64)
    starts = np.linspace(0, max(0, len(ids) - tokens), CHUNKS).astype(int)
    return [ids[np.newaxis, start : start + tokens] for start in dict.fromkeys(starts.tolist())]


def _cached_values(
    graph: Path, geometry: DecoderGeometry, chunks: list[Ids]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield keys (after rotary) and values of each layer [samples, kv_heads, head_dim]."""
    opened = open_session(graph, find_device("cpu"), THREADS)
    read = []
    for ids in chunks:
        decoder = GrowingDecoder(opened, geometry, batch=1)
        decoder.prefill(ids)
        read.append(decoder)
    for cache in geometry.layer_caches:
        key, value = (
            np.concatenate([one.half(cache.layer, name)[0].transpose(1, 0, 2) for one in read])
            for name in ("key", "value")
        )
        yield key.astype(np.float32), value.astype(np.float32)


def _layer_scales(
    halves: tuple[NDArray[np.float32], NDArray[np.float32]], cache: CacheLevel
) -> LayerScales:
    """Return the scales of one layer.

    Raises:
        ModelError: a key or a value is not finite.
    """
    if not all(np.isfinite(half).all() for half in halves):
        raise ModelError(
            "a key or value of the calibration text is not finite: no scale can be taken from it",
            fix="another level, or --kv-cache auto",
        )
    key, value = (channel_scales(half, cache) for half in halves)
    return LayerScales(key, value)
