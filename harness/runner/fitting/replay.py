"""What earlier sittings of a fit measured, handed out step by step as the fit comes to it again.

A fit decides while it measures, so that what a later step measured must not be seen at an earlier
look: it goes through its steps again, and each of them is given what it measured then.
"""

from collections.abc import Callable, Iterable

from harness.results.entries import (
    AgreementEntry,
    BandwidthEntry,
    CalibrationEntry,
    CompiledEntry,
    Entry,
    MemoryEntry,
    NoCalibrationEntry,
    OutlineEntry,
    QualityEntry,
    SamplesEntry,
    SensitivityEntry,
    StepsCheckEntry,
    SustainEntry,
    TokenizerEntry,
)
from harness.runner.loop.entries import FILED

Kinds = tuple[type[Entry], ...]
# What each step measures. Failures are no part of it: who failed is tried again.
PEAKS: Kinds = (CalibrationEntry, NoCalibrationEntry)
CHECKS: Kinds = (CompiledEntry, AgreementEntry, StepsCheckEntry)
MEMORY: Kinds = (MemoryEntry,)
TIMED: Kinds = (SamplesEntry, BandwidthEntry)
LOSSES: Kinds = (QualityEntry, SensitivityEntry, TokenizerEntry)
MINUTES: Kinds = (SustainEntry,)


class Kept:
    """Entries of earlier sittings; each is handed out once.

    Attributes:
        contents: content hashes of models as they were built then, by model and level.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Keep them in the order in which they were measured."""
        known = tuple(entries)
        outlines = [one for one in known if isinstance(one, OutlineEntry)]
        self.contents = dict(outlines[-1].contents) if outlines else {}
        self._left = [one for one in known if type(one) in FILED]

    def take(
        self, kinds: Kinds, belongs: Callable[[Entry], bool] = lambda _: True
    ) -> tuple[Entry, ...]:
        """Hand out the first entry of every key of some kinds.

        A later one of the same key is of a later step: the memory of a choice is taken twice.

        Args:
            kinds: of a step.
            belongs: whether an entry is of the step.
        """
        taken: dict[tuple[object, ...], Entry] = {}
        left = []
        for entry in self._left:
            key = (type(entry), *(getattr(entry, name) for name in FILED[type(entry)][1]))
            if isinstance(entry, kinds) and belongs(entry) and key not in taken:
                taken[key] = entry
            else:
                left.append(entry)
        self._left = left
        return tuple(taken.values())
