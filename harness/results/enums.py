"""The words of a result: each choice is one enum, whose values are what documents hold."""

from enum import StrEnum


class Verdict(StrEnum):
    """What may be said of a difference; a metric's own words stand for the first two."""

    WORSE = "WORSE"
    BETTER = "BETTER"
    SAME = "SAME"
    INCONCLUSIVE = "INCONCLUSIVE"
