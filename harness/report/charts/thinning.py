"""Fewer points for a picture than were measured, with the extremes kept. Pure."""

from collections.abc import Callable, Sequence
from typing import TypeVar

MOST_POINTS = 3_000  # of one chart: a picture has no room for more, and a page has to stay small
T = TypeVar("T")


def thinned(values: Sequence[T], most: int, key: Callable[[T], float]) -> list[T]:
    """Evenly spaced values in their order, among them the smallest and the largest.

    Args:
        values: in order of time.
        most: how many are left, at least 2; fewer values stay as they are.
        key: what the extremes are of.
    """
    count = len(values)
    if count <= most:
        return list(values)
    places = range(count)
    extremes = {
        min(places, key=lambda place: key(values[place])),
        max(places, key=lambda place: key(values[place])),
    }
    even = max(1, most - len(extremes))
    kept = extremes | {place * count // even for place in range(even)}
    return [values[place] for place in sorted(kept)]
