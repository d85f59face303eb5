"""Which of several candidates are measured further: those that are not decided yet. Pure.

Candidates take turns, so that a slow second of the machine falls on all who run in it. A rung of a
race is so many turns of everyone who is left; the next one has twice as many of fewer. Half of them
fall out at most, and only who is shown to be slower: who is merely behind stays in, because a lucky
leader must not end a race (Jamieson & Talwalkar 2016, arXiv:1502.07943, drop half in any case).
"""

from collections.abc import Mapping, Sequence
from math import ceil
from statistics import median

from harness.stats.intervals import CONFIDENCE, Interval
from harness.stats.ranks import shift_of_pairs, shift_of_samples

Turn = tuple[int, int]  # of turns that several took: which ones, and its number
Values = Mapping[Turn, float]  # ln of a rate, more is better, by the turn in which it was taken
FIRST_TURNS = 6  # the fewest that give an interval by ranks
MOST_RUNGS = 4
LEAST_SHARED = 2
# Levels of intervals by ranks. Who falls out is slower by that of DROPPED; who leads a first race
# need only be likely to be faster, because fresh pairs decide; what is added to it has to be shown.
DROPPED, LIKELY = 0.90, 0.80


def ahead(
    one: Values, other: Values, base: Values | None = None, confidence: float = CONFIDENCE
) -> Interval | None:
    """By how much one candidate is ahead of another, as ln of a ratio, with its interval.

    Of turns that both took, by the medians of their pairs (signed ranks). Where they never met, of
    how far each was ahead of `base` in its own turns (rank sums).

    Returns:
        None from fewer than six turns.
    """
    shared = [turn for turn in one if turn in other]
    if len(shared) >= LEAST_SHARED or base is None:
        theirs, mine = ([values[turn] for turn in shared] for values in (other, one))
        return shift_of_pairs(theirs, mine, confidence)
    theirs, mine = (
        [values[turn] - base[turn] for turn in values if turn in base] for values in (other, one)
    )
    return shift_of_samples(theirs, mine, confidence)


def gain(one: Values, base: Values) -> float | None:
    """The median of how far one is ahead of the base, ln; None: they share no turn."""
    gains = [one[turn] - base[turn] for turn in one if turn in base]
    return median(gains) if gains else None


def ranked(values: Mapping[str, Values], kept: Sequence[str], base: str) -> list[str]:
    """The base and those that are left, the fastest first; who has no turn is last."""

    def place(name: str) -> float:
        found = 0.0 if name == base else gain(values.get(name, {}), values[base])
        return float("inf") if found is None else -found

    return sorted([base, *kept], key=place)


def still_racing(values: Mapping[str, Values], kept: Sequence[str], base: str) -> tuple[str, ...]:
    """Those of `kept` that run on after a rung, in their order.

    Out is who is shown to be slower than the base, and in the slower half who is shown to be slower
    than the leader. Without turns one stays: nothing is known of it.

    Args:
        values: of the base and of every candidate.
        kept: candidates that ran, without the base.
        base: what all run beside.
    """
    order = ranked(values, kept, base)
    slower = set(order[ceil(len(order) / 2) :])
    rivals = {name: [base] for name in kept}
    for name in slower - {base}:
        rivals[name].append(order[0])
    return tuple(
        name
        for name in kept
        if not any(
            _is_shown(values, rival, name, base, DROPPED) for rival in rivals[name] if rival != name
        )
    )


def winner(
    values: Mapping[str, Values],
    kept: Sequence[str],
    base: str,
    least: float,
    confidence: float = CONFIDENCE,
) -> str:
    """The leader, where it is shown to be ahead of the base by `least` or more; else the base.

    Args:
        values: of the base and of every candidate.
        kept: candidates that are left.
        base: what all ran beside.
        least: ln of the least ratio that is worth a change.
        confidence: of the interval that has to lie above 0.
    """
    first = ranked(values, kept, base)[0]
    if first == base or not _is_shown(values, first, base, base, confidence):
        return base
    found = gain(values[first], values[base])
    return first if found is not None and found >= least else base


def is_over(values: Mapping[str, Values], kept: Sequence[str], base: str) -> bool:
    """Whether further turns could decide nothing: nobody is left, or one who is shown ahead."""
    return not kept or (len(kept) == 1 and _is_shown(values, kept[0], base, base))


def _is_shown(
    values: Mapping[str, Values],
    one: str,
    other: str,
    base: str,
    confidence: float = CONFIDENCE,
) -> bool:
    """Whether one is ahead of another by its whole interval."""
    found = ahead(values.get(one, {}), values.get(other, {}), values[base], confidence)
    return found is not None and found.low > 0
