"""Where a rule that holds for small numbers stops to hold."""

from collections.abc import Callable

MOST_HALVINGS = 1100  # more than the floats between any two need


def first_beyond(
    holds: Callable[[float], bool], guess: float, halvings: int = MOST_HALVINGS
) -> float:
    """Return the smallest float at which `holds` no longer does, by bisection.

    Needs no derivative and cannot diverge. The guess is doubled until it is beyond.

    Args:
        holds: true at every number up to some point above 0, and false at every one after it.
        guess: where to begin, above 0.
        halvings: after which it is near enough; by default neighbouring floats are reached.
    """
    low, high = 0.0, guess
    while holds(high):
        low, high = high, high * 2
    for _ in range(halvings):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if holds(middle):
            low = middle
        else:
            high = middle
    return high
