"""Timing: the clock is an argument, and nothing else happens between its two reads."""

import time
from collections.abc import Callable

Clock = Callable[[], int]  # monotonic, in ns


def time_call(call: Callable[[], object], clock: Clock = time.perf_counter_ns) -> int:
    """Return the duration of one call in ns."""
    start_ns = clock()
    call()
    return clock() - start_ns


def time_calls(
    call: Callable[[], object], repeats: int, clock: Clock = time.perf_counter_ns
) -> list[int]:
    """Return `repeats` durations in ns. Nothing else happens between the two clock reads."""
    durations_ns = []
    for _ in range(repeats):
        start_ns = clock()
        call()
        durations_ns.append(clock() - start_ns)
    return durations_ns
