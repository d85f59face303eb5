"""glibc's allocator, told to give memory back at once while copies of weights come and go.

Threads that make copies side by side have a heap each. A freed block stays in it, unless it was
mapped apart; which blocks are grows with those that were freed, up to 32 MiB, so that heaps keep
what they freed early: llama-3.2-1b at int4 held 139 MiB after a load on two threads and 539 on
eight, 4 and 9 when told.
Source: mallopt(3); sysmalloc and free of glibc's malloc.c (M_MMAP_THRESHOLD "dynamic").
"""

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.core.units import KIB, MIB

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
FIRST_MAPPED_BYTES = 128 * KIB  # where every process begins: larger blocks are mapped apart
LAST_MAPPED_BYTES = 32 * MIB  # where one ends that has freed blocks of this size

Mallopt = Callable[[int, int], int]


@contextmanager
def giving_back() -> Iterator[None]:
    """Map larger blocks apart; afterwards as few as glibc itself comes to. Elsewhere nothing."""
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, FIRST_MAPPED_BYTES)
    try:
        yield
    finally:
        mallopt(M_MMAP_THRESHOLD, LAST_MAPPED_BYTES)
        mallopt(M_TRIM_THRESHOLD, 2 * LAST_MAPPED_BYTES)


def _mallopt() -> Mallopt | None:
    """Return the call of the C library; None: it has none."""
    return getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
