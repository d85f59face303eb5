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


def fill_cache(
    buffer: NDArray[Any],
    cache: CacheLevel,
    seeds: tuple[int, ...],
    first: int = 0,
    tokens: int | None = None,
) -> None:
    """Write normal values into `buffer` [batch, heads, rows, stored width].

    Args:
        buffer: rows of consecutive tokens.
        cache: how values are stored.
        seeds: which values.
        first: token of the first row.
        tokens: of the whole sequence, whose values these are, in a buffer of any rows; None: those
            that the buffer ends with.

    Floats are standard normal; integers are so spread that the largest is NORMAL_EXTREME standard
    deviations, as with scales taken from the extremes of as many values. The same seeds and shape
    give the same values. They are drawn in pieces, so the peak memory of the process stays the
    buffer's own.
    """
    generator, end = Generator(SFC64(seeds)), first + buffer.shape[2]
    width = buffer.shape[3] * cache.per_element
    for sequence in buffer:
        for rows in sequence:
            for start in range(0, end if tokens is None else tokens, PIECE_ROWS):
                stop = min(start + PIECE_ROWS, end if tokens is None else tokens)
                values = generator.standard_normal((stop - start, width), dtype=np.float32)
                here = values[max(first - start, 0) : max(min(end, stop) - start, 0)]
                if len(here):
                    part = rows[max(start, first) - first :][: len(here)]
                    part[...] = _integers(here, cache) if cache.is_integer else here


def _integers(values: NDArray[np.float32], cache: CacheLevel) -> NDArray[Any]:
    """Standard normal values as a cache of integers stores them."""
    steps = np.rint(values * np.float32(cache.largest / NORMAL_EXTREME))
    return pack_cache(steps.clip(-cache.largest, cache.largest).astype(np.int8), cache)
