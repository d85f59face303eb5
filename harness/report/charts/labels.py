"""Where names stand beside marks so that they cover no other mark and no other name. Pure.

Vega-Lite places every text alike; here each name takes the first free place around its mark, in
pixels, and one that finds none is left to legend and hover.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LETTER_PX, LINE_PX = 6.2, 13.0  # of the font of labels
GAP_PX = 3.0  # between a mark and its name
WHISKER_PX = 2.0
Box = tuple[float, float, float, float]  # left, top, right, bottom
Place = tuple[float, float, str]  # dx, dy, align
# Where a name stands, in radii of its mark: the corners, then beside it, then above and below.
SIDES = ((1, -1), (1, 1), (-1, -1), (-1, 1), (1, 0), (-1, 0), (0, -1), (0, 1))
ALIGNS = {1: "left", -1: "right", 0: "center"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark with a name, in pixels.

    Attributes:
        name: its text.
        x: of its centre.
        y: likewise.
        radius: half of its width.
        whisker: left and right end of its horizontal interval; None: it has none.
    """

    name: str
    x: float
    y: float
    radius: float
    whisker: tuple[float, float] | None = None

    @property
    def boxes(self) -> tuple[Box, ...]:
        """What it covers."""
        reach = self.radius
        found: tuple[Box, ...] = ((self.x - reach, self.y - reach, self.x + reach, self.y + reach),)
        if self.whisker is not None:
            left, right = self.whisker
            found += ((left, self.y - WHISKER_PX, right, self.y + WHISKER_PX),)
        return found


def linear(low: float, high: float, pixels: float) -> Callable[[float], float]:
    """A straight scale from 0 to `pixels`."""
    span = (high - low) or 1.0
    return lambda value: (value - low) / span * pixels


def symlog(low: float, high: float, constant: float, pixels: float) -> Callable[[float], float]:
    """The vertical scale of Vega that is straight near 0 and logarithmic beyond `constant`."""

    def on_scale(value: float) -> float:
        return math.copysign(math.log1p(abs(value) / constant), value)

    upright = linear(on_scale(high), on_scale(low), pixels)
    return lambda value: upright(on_scale(value))


def placed(marks: Sequence[Mark], width: float, height: float) -> list[Place | None]:
    """Where the name of every mark stands; the first marks choose first.

    Args:
        marks: the most important first.
        width: of the plot.
        height: likewise.

    Returns:
        An offset and an alignment for each; None: no place is free.
    """
    taken = [box for mark in marks for box in mark.boxes]
    found: list[Place | None] = []
    for mark in marks:
        place = _free(mark, taken, (0.0, 0.0, width, height))
        found.append(place)
        if place is not None:
            taken.append(_text(mark, place))
    return found


def _free(mark: Mark, taken: Sequence[Box], plot: Box) -> Place | None:
    """The first place whose text lies inside the plot and on nothing."""
    for across, up in SIDES:
        corner = 0.7 if across and up else 1.0
        reach = mark.radius * corner + GAP_PX
        lift = reach + (LINE_PX / 2 if up else 0.0) - (LINE_PX / 4 if across and up else 0.0)
        place = (float(round(across * reach)), float(round(up * lift)), ALIGNS[across])
        box = _text(mark, place)
        if _is_inside(box, plot) and not any(_meet(box, other) for other in taken):
            return place
    return None


def _text(mark: Mark, place: Place) -> Box:
    """What a name covers."""
    dx, dy, align = place
    width = LETTER_PX * len(mark.name)
    left = mark.x + dx - {"left": 0.0, "right": width, "center": width / 2}[align]
    top = mark.y + dy - LINE_PX / 2
    return (left, top, left + width, top + LINE_PX)


def _is_inside(box: Box, plot: Box) -> bool:
    """Whether a box lies wholly in the plot."""
    inside = box[0] >= plot[0] and box[2] <= plot[2]
    return inside and box[1] >= plot[1] and box[3] <= plot[3]


def _meet(one: Box, other: Box) -> bool:
    """Whether two boxes have a point in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
