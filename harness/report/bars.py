"""Bars and intervals in characters, for a terminal: horizontal, as wide as is asked for. Pure.

A bar is solid up to the lower end of its interval and shaded up to its value, and a whisker goes to
the upper end; its last cell is drawn in eighths. Where values may be negative, or are ratios
around 1, a point with two whiskers stands on an axis instead.
"""

import math
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.report.export import is_number
from harness.report.grid import one_line, short

WIDTH = 78
LEAST_WIDTH = 24
LONGEST_LABEL = 26
INDENT = "  "  # of bars under a heading
LEAST_CELLS = 12  # of a bar beside its words; below that it gets a line of its own
# The axis ends here at the latest: one interval that tells nothing would flatten all bars.
MOST_OVER_LARGEST = 1.5
MOST_RATIO = 100.0
ROUNDING = 1e-9
LEAST_LN = math.log(1.05)  # an axis of ratios is at least so wide on either side of 1


@dataclass(frozen=True, slots=True)
class Signs:
    """Characters that a drawing is made of.

    Attributes:
        full: a solid cell.
        parts: a cell that is filled by one eighth, two and so on; empty: cells are whole.
        shade: a cell between the lower end and the value.
        whisker: a cell between an end and the value.
        ends: of a whisker, to the left and to the right.
        beyond: a whisker that goes on beyond the axis, to the left and to the right.
        point: a value on an axis.
        line: the place of 0 or 1 on an axis.
        mark: what was estimated.
    """

    full: str
    parts: str
    shade: str
    whisker: str
    ends: tuple[str, str]
    beyond: tuple[str, str]
    point: str
    line: str
    mark: str

    @property
    def every(self) -> str:
        """All of them, to be tried on an encoding."""
        return "".join(
            (self.full, self.parts, self.shade, self.whisker, *self.ends, *self.beyond)
        ) + "".join((self.point, self.line, self.mark))


BLOCKS = Signs("█", "▏▎▍▌▋▊▉", "▓", "─", ("├", "┤"), ("◂", "▸"), "●", "│", "┊")
ASCII = Signs("#", "", "=", "-", ("|", "|"), ("<", ">"), "o", ":", "!")


def signs_for(encoding: str | None) -> Signs:
    """Blocks where an encoding has all of them, else plain signs.

    Args:
        encoding: name of that of the stream; None: it is in memory, and has any sign.
    """
    try:
        BLOCKS.every.encode(encoding or "utf-8")
    except (LookupError, UnicodeError):
        return ASCII
    return BLOCKS


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a drawing; numbers in one unit for all bars that stand together.

    Attributes:
        label: what it is of.
        told: the value with its unit, or why there is none.
        spread: half-width of the interval in words; empty: not known.
        value: None: nothing was measured.
        low: lower end of the interval; None: not known.
        high: upper end.
        estimated: what was predicted; None: nothing.
    """

    label: str
    told: str
    spread: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    estimated: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Bars under a heading.

    Attributes:
        heading: what they share and others do not; empty: none.
        bars: in their order.
    """

    heading: str
    bars: tuple[Bar, ...]


def draw_bars(groups: Sequence[Group], signs: Signs, width: int = WIDTH) -> list[str]:
    """Draw groups on one scale, which begins at 0; on an axis where a value is below that.

    Args:
        groups: at least one bar in all.
        signs: what is drawn with.
        width: of a line, in characters.
    """
    bars = [bar for group in groups for bar in group.bars]
    ends = [end for bar in bars for end in (bar.value, bar.low, bar.high) if is_number(end)]
    if min(ends, default=0.0) < 0:
        return draw_points(groups, signs, width, difference_scale(bars))
    top = _top(bars)
    return _lines(groups, width, lambda bar, cells: _bar(bar, top, cells, signs))


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis: where values stand on it.

    Attributes:
        least: at its left end.
        most: at its right end.
        line: the value whose place is drawn in every line.
        is_log: equal ratios are equally far apart.
    """

    least: float
    most: float
    line: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Between 0 and 1 inside of the axis, less or more outside."""
        if not self.is_log:
            return (value - self.least) / ((self.most - self.least) or 1.0)
        if value <= 0:
            return -1.0
        ends = math.log(self.least), math.log(self.most)
        return (math.log(value) - ends[0]) / ((ends[1] - ends[0]) or 1.0)


def ratio_scale(bars: Sequence[Bar]) -> Scale:
    """A logarithmic axis around 1 that holds every ratio and, up to a bound, its interval."""
    ends = [end for bar in bars for end in (bar.value, bar.low, bar.high) if is_number(end)]
    logs = [abs(math.log(end)) for end in ends if end > 0]
    far = min(max([LEAST_LN, *logs]), math.log(MOST_RATIO))
    below = any(end < 1 for end in ends)
    above = any(end > 1 for end in ends)
    return Scale(
        math.exp(-far if below or not above else -LEAST_LN),
        math.exp(far if above or not below else LEAST_LN),
        1.0,
        is_log=True,
    )


def difference_scale(bars: Sequence[Bar]) -> Scale:
    """A scale of equal steps that holds 0 and every value with its interval."""
    ends = [end for bar in bars for end in (bar.value, bar.low, bar.high) if is_number(end)]
    return Scale(min([0.0, *ends]), max([0.0, *ends]), 0.0)


def draw_points(
    groups: Sequence[Group], signs: Signs, width: int = WIDTH, axis: Scale | None = None
) -> list[str]:
    """Draw points with their intervals on an axis; without one, ratios around 1.

    Args:
        groups: at least one bar in all.
        signs: what is drawn with.
        width: of a line, in characters.
        axis: None: see ratio_scale.
    """
    found = axis or ratio_scale([bar for group in groups for bar in group.bars])
    return _lines(groups, width, lambda bar, cells: _point(bar, found, cells, signs))


def _top(bars: Sequence[Bar]) -> float:
    """The value at the right end of the scale."""
    values = [bar.value for bar in bars if bar.value is not None and math.isfinite(bar.value)]
    largest = max(values, default=0.0)
    others = [one for bar in bars for one in (bar.high, bar.estimated) if is_number(one)]
    return min(max([largest, *others]), MOST_OVER_LARGEST * largest) or 1.0


def _bar(bar: Bar, top: float, width: int, signs: Signs) -> str:
    """A bar of so many cells."""
    cells = [" "] * width
    value, low = _cells(bar.value, top, width), _cells(bar.low, top, width)
    if value is None:
        return "".join(cells)
    solid = value if low is None else min(low, value)
    whole = int(value) if signs.parts else round(value)
    for cell in range(min(whole, width)):
        cells[cell] = signs.full if cell < round(solid) else signs.shade
    eighths = int((value - int(value)) * 8) if signs.parts else 0
    if eighths and whole < width:
        cells[whole] = signs.parts[eighths - 1]
        whole += 1
    elif whole == 0 and bar.value:  # never nothing for something
        cells[0] = (signs.parts or signs.full)[0]
        whole = 1
    _whisker(cells, whole, bar.high, top, signs)
    if is_number(bar.estimated) and bar.estimated > 0:
        place = min(int(bar.estimated / top * width), width - 1)
        cells[place] = signs.mark if bar.estimated <= top else signs.beyond[1]
    return "".join(cells)


def _whisker(cells: list[str], start: int, high: float | None, top: float, signs: Signs) -> None:
    """From the end of a bar to the upper end of its interval."""
    place = _cells(high, top, len(cells))
    if high is None or place is None:
        return
    last = min(math.ceil(place), len(cells)) - 1
    for cell in range(start, last):
        cells[cell] = signs.whisker
    if last >= start or high > top:
        cells[last] = signs.beyond[1] if high > top * (1 + ROUNDING) else signs.ends[1]


def _point(bar: Bar, axis: Scale, width: int, signs: Signs) -> str:
    """A point with its interval, on an axis of so many cells."""
    cells = [" "] * width

    def cell_of(value: float) -> int:
        return round(max(0.0, min(axis.place(value), 1.0)) * (width - 1))

    cells[cell_of(axis.line)] = signs.line
    value = bar.value
    if not is_number(value):
        return "".join(cells)
    low, high = (end if is_number(end) else value for end in (bar.low, bar.high))
    for cell in range(cell_of(low), cell_of(high) + 1):
        cells[cell] = signs.whisker
    if low < value:
        cells[cell_of(low)] = (signs.beyond if axis.place(low) < -ROUNDING else signs.ends)[0]
    if high > value:
        cells[cell_of(high)] = (signs.beyond if axis.place(high) > 1 + ROUNDING else signs.ends)[1]
    cells[cell_of(value)] = signs.point
    return "".join(cells)


def _cells(value: float | None, top: float, width: int) -> float | None:
    """How many cells a value takes, at most all; None: not known."""
    if value is None or not math.isfinite(value):
        return None
    return max(0.0, min(value / top, 1.0)) * width


def _lines(groups: Sequence[Group], width: int, draw: Callable[[Bar, int], str]) -> list[str]:
    """Labels, drawings and values in columns; narrow ones get two lines a bar."""
    width = max(width, LEAST_WIDTH)
    bars = [bar for group in groups for bar in group.bars]
    told = max(columns(_words(bar.told)) for bar in bars)
    spread = max(columns(_words(bar.spread)) for bar in bars)
    behind = told + (1 + spread if spread else 0)
    indent = INDENT * any(group.heading for group in groups)
    label = min(max(columns(_words(bar.label)) for bar in bars), LONGEST_LABEL) + len(indent)
    cells = width - label - behind - 2
    lines = []
    for group in groups:
        if group.heading:
            lines.append(cut(_words(group.heading), width))
        for bar in group.bars:
            name = padded(indent + cut(_words(bar.label), label - len(indent)), label)
            words = f"{_right(bar.told, told)} {padded(_words(bar.spread), spread)}".rstrip()
            if cells >= LEAST_CELLS:
                lines.append(f"{name} {draw(bar, cells)} {words}".rstrip())
                continue
            lines.append(cut(f"{name} {words}", width))
            lines.append(f"  {draw(bar, width - 2)}".rstrip())
    return lines


def wrapped(line: str, width: int) -> list[str]:
    """Words about a drawing, in lines of its width."""
    return textwrap.wrap(one_line(line), max(width, LEAST_WIDTH), subsequent_indent=INDENT)


def _words(text: str) -> str:
    return short(one_line(text))


def _right(text: str, width: int) -> str:
    """Text at the right end of so many columns."""
    return " " * (width - columns(_words(text))) + _words(text)


def columns(text: str) -> int:
    """Columns of a terminal that a line takes: characters of East Asia two, accents none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )


def padded(text: str, width: int) -> str:
    """A line with spaces up to so many columns."""
    return text + " " * (width - columns(text))


def cut(text: str, width: int) -> str:
    """A line of at most so many columns; what is longer loses its middle."""
    if columns(text) <= width:
        return text
    half, signs = (width - 1) // 2, list(text)
    head, tail = "", ""
    while signs and columns(head + signs[0]) <= width - 1 - half:
        head += signs.pop(0)
    while signs and columns(signs[-1] + tail) <= half:
        tail = signs.pop() + tail
    return f"{head}…{tail}"
