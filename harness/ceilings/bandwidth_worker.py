"""The child process that reads memory; see bandwidth.py."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

# The first passes fault pages in and wake the threads.
WARM_PASSES = 3


def read(threads: int, vector_bytes: int, seconds: float) -> dict[str, Any]:
    """Read `vector_bytes` again and again for `seconds`; one slice per thread.

    Returns:
        `threads`, `bytes` and `pass_ns`: wall time of each pass over all slices, ns.
    """
    vector = np.ones(vector_bytes // 4, dtype=np.float32)
    slices = np.array_split(vector, threads)
    with ThreadPoolExecutor(max_workers=threads) as pool:

        def one_pass() -> None:
            for future in [pool.submit(np.dot, part, part) for part in slices]:
                future.result()

        for _ in range(WARM_PASSES):
            one_pass()
        return {"threads": threads, "bytes": vector.nbytes, "pass_ns": _passes(one_pass, seconds)}


def _passes(one_pass: Callable[[], None], seconds: float) -> list[int]:
    passes_ns: list[int] = []
    end_ns = time.perf_counter_ns() + int(seconds * 1e9)
    while not passes_ns or time.perf_counter_ns() < end_ns:
        start_ns = time.perf_counter_ns()
        one_pass()
        passes_ns.append(time.perf_counter_ns() - start_ns)
    return passes_ns


COMMANDS = {"read": read}
