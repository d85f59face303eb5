"""Memory that a session reads and writes in place."""

from typing import Any

import numpy as np
from numpy.random import SFC64, Generator  # here: the import counts before any memory mark
from numpy.typing import DTypeLike, NDArray

from harness.builder.quantize.cache_scales import NORMAL_EXTREME, pack_cache
from harness.builder.quantize.levels import CacheLevel

PIECE_ROWS = 256
ALIGNMENT_BYTES = 64  # a cache line, and what ONNX Runtime's own allocator gives


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros that begin on a cache line; their pages are taken when first written."""
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size_bytes + ALIGNMENT_BYTES, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT_BYTES
    return memory[start : start + size_bytes].view(dtype).reshape(shape)


def fill_cache(buffer: NDArray[Any], cache: CacheLevel, seeds: tuple[int, ...]) -> None:
    """Write normal values into `buffer` [batch, heads, tokens, stored width].

    Floats are standard normal; integers are so spread that the largest is NORMAL_EXTREME standard
    deviations, as with scales taken from the extremes of as many values. The same seeds and shape
    give the same values. They are drawn in pieces, so the peak memory of the process stays the
    buffer's own.
    """
    generator = Generator(SFC64(seeds))
    for sequence in buffer:
        for rows in sequence:
            for start in range(0, len(rows), PIECE_ROWS):
                part = rows[start : start + PIECE_ROWS]
                shape = (part.shape[0], part.shape[1] * cache.per_element)
                values = generator.standard_normal(shape, dtype=np.float32)
                part[...] = _integers(values, cache) if cache.is_integer else values


def _integers(values: NDArray[np.float32], cache: CacheLevel) -> NDArray[Any]:
    """Standard normal values as a cache of integers stores them."""
    steps = np.rint(values * np.float32(cache.largest / NORMAL_EXTREME))
    return pack_cache(steps.clip(-cache.largest, cache.largest).astype(np.int8), cache)
