"""Another measurement on this machine, for tests of what a measurement makes of it."""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.machine.watch.sole import Others, other_measurements, sole_measurement


@contextmanager
def elsewhere(cache: Path, kinds: Collection[str]) -> Iterator[Callable[[], Others]]:
    """Another measurement, in a thread of its own: it gives a function that asks whom it sees."""
    begun, ask, told, end = (threading.Event() for _ in range(4))
    seen: list[Others] = []

    def measure() -> None:
        with sole_measurement(cache, kinds, "bench tune", 0.0):
            begun.set()
            while ask.wait() and not end.is_set():
                ask.clear()
                seen.append(other_measurements())
                told.set()

    def look() -> Others:
        told.clear()
        ask.set()
        told.wait()
        return seen[-1]

    thread = threading.Thread(target=measure)
    thread.start()
    begun.wait()
    try:
        yield look
    finally:
        end.set()
        ask.set()
        thread.join()
