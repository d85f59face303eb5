"""The child process that reads memory; see calibrate.py."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.core.units import NS_PER_S
from harness.machine.meters.samples import time_call
from harness.results.replies import MemoryRead

# The first passes fault pages in and wake the threads.
WARM_PASSES = 3


def read(threads: int, vector_bytes: int, seconds: float) -> MemoryRead:
    """Read `vector_bytes` again and again for `seconds`; one slice per thread."""
    vector = np.ones(vector_bytes // 4, dtype=np.float32)
    slices = np.array_split(vector, threads)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        one_pass = partial(read_slices, pool, slices, 1)
        for _ in range(WARM_PASSES):
            one_pass()
        passes_ns: list[int] = []
        end_ns = time.perf_counter_ns() + int(seconds * NS_PER_S)
        while not passes_ns or time.perf_counter_ns() < end_ns:
            passes_ns.append(time_call(one_pass))
    return MemoryRead(threads=threads, bytes=vector.nbytes, pass_ns=tuple(passes_ns))


def read_slices(
    pool: ThreadPoolExecutor, parts: Sequence[NDArray[np.float32]], repeats: int
) -> None:
    """Read each slice `repeats` times, all slices at once; numpy.dot lets other threads run."""

    def read_part(part: NDArray[np.float32]) -> None:
        for _ in range(repeats):
            np.dot(part, part)

    if len(parts) == 1:
        read_part(parts[0])
        return
    for future in [pool.submit(read_part, part) for part in parts]:
        future.result()


COMMANDS = {"read": read}
