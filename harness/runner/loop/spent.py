"""Seconds that a run spends in each of its phases, over all its sittings.

A sitting that is killed says nothing at its end, so it says it now and then: what its journal lacks
are the seconds since then.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from harness.results.entries import Entry, SpentEntry

BUILD = "build"
TOLD_EVERY_S = 10.0  # a line of the journal; it stands between two processes, never in a sample


class Spent:
    """How long the phases of one sitting have taken so far.

    Attributes:
        sitting: a name that no other one of the run has.
    """

    def __init__(
        self, sitting: str, build_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin behind the build.

        Args:
            sitting: see the class.
            build_s: seconds that it took.
            clock: monotonic, in seconds.
        """
        self.sitting = sitting
        self._clock, self._told_s = clock, clock()
        self._ended = {BUILD: build_s}
        self._begun: dict[str, float] = {}

    def phase(self, name: str, found: Iterator[Entry]) -> Iterator[Entry]:
        """Yield the entries of a phase; how long it took is known at its end, however that comes.

        Args:
            name: of the phase.
            found: its entries.
        """
        self._begun[name] = self._clock()
        try:
            yield from found
        finally:
            self._ended[name] = self._clock() - self._begun.pop(name)

    def beside(self, found: Generator[Entry]) -> Generator[Entry]:
        """Yield all entries of a sitting, and behind one now and then how long it has taken."""
        with closing(found):
            for entry in found:
                yield entry
                yield from self.due()

    def due(self) -> list[SpentEntry]:
        """What the journal should be told, if it was not told just now."""
        if self._clock() - self._told_s < TOLD_EVERY_S:
            return []
        return self.so_far()

    def so_far(self) -> list[SpentEntry]:
        """Every phase that has begun; each replaces what was said of it before."""
        self._told_s = now_s = self._clock()
        running = {name: now_s - start_s for name, start_s in self._begun.items()}
        return [
            SpentEntry(sitting=self.sitting, phase=name, seconds=round(seconds, 3))
            for name, seconds in {**self._ended, **running}.items()
        ]
