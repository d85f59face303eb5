"""Memory that a session reads and writes in place."""

from typing import Any

import numpy as np
from numpy.random import SFC64, Generator  # here: the import counts before any memory mark
from numpy.typing import DTypeLike, NDArray

PIECE_ROWS = 256
ALIGNMENT_BYTES = 64  # a cache line, and what ONNX Runtime's own allocator gives


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros that begin on a cache line; their pages are taken when first written."""
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size_bytes + ALIGNMENT_BYTES, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT_BYTES
    return memory[start : start + size_bytes].view(dtype).reshape(shape)


def fill_normal(buffer: NDArray[Any], seeds: tuple[int, ...]) -> None:
    """Write standard normal values into `buffer` [batch, heads, tokens, width].

    The same seeds and shape give the same values. They are drawn in pieces, so the peak memory of
    the process stays the buffer's own.
    """
    generator = Generator(SFC64(seeds))
    for sequence in buffer:
        for rows in sequence:
            for start in range(0, len(rows), PIECE_ROWS):
                part = rows[start : start + PIECE_ROWS]
                part[...] = generator.standard_normal(part.shape, dtype=np.float32)
