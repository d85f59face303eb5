"""Which levels are shown to answer worse, or better, than their fp32 reference. Pure."""

from collections.abc import Mapping
from enum import StrEnum

from harness.results.quality import TaskScores
from harness.stats.correction import holm

ALPHA = 0.05  # two-sided, that any level of one model is called another than its reference


class Standing(StrEnum):
    """A level's answers beside its reference's."""

    SAME = "same answers"
    WORSE = "worse"
    BETTER = "better"
    UNTOLD = "not told apart"


def standings(levels: Mapping[str, TaskScores]) -> dict[str, Standing]:
    """Judge every level by McNemar's exact test, adjusted by Holm over those that differ.

    Args:
        levels: of one model, by name; those that could not answer are left out.
    """
    known = {name: found for name, found in levels.items() if found.mcnemar_p is not None}
    differing = [name for name, found in known.items() if found.lost or found.won or found.moved]
    adjusted = holm([known[name].mcnemar_p or 0.0 for name in differing])
    shown = {name for name, p in zip(differing, adjusted, strict=True) if p < ALPHA}

    def standing(name: str) -> Standing:
        if name not in differing:
            return Standing.SAME
        if name not in shown:
            return Standing.UNTOLD
        return Standing.WORSE if known[name].lost > known[name].won else Standing.BETTER

    return {name: standing(name) for name in known}
