"""Trends as tables: one series point after point beside a plot, or many, a line each. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.core.units import MIB
from harness.history.series import ONNXRUNTIME, Better, Point
from harness.history.standing import JudgedStep, Trend
from harness.history.trends import Found
from harness.report.grid import (
    PEOPLE,
    TABLE,
    VARIES,
    WIDE,
    Column,
    draw_columns,
    draw_records,
    prose,
)
from harness.report.numbers import counted, half_width, percent, signed_percent, three_digits

PLOT_CELLS = 24
LINE_CELLS = 16  # of a series that is one line of many
HEIGHTS = "▁▂▃▄▅▆▇█"
POINT, WHISKER, BACKGROUND = "●", "─", "·"
SHORT_COMMIT = 10
LEAST_SPAN = 0.02  # of the largest value: noise of a per mille is not drawn as a mountain
MOST_DRAWN = 60  # points of a table; of more the newest, and those around steps
AROUND = 2  # points on both sides of a step
MOST_SERIES = 40


@dataclass(frozen=True, slots=True)
class Drawn:
    """One point as its row has it.

    Attributes:
        point: itself.
        step: that begins with it; None: none does.
        plot: the interval and the value on the scale of the whole series.
        unit: of the value.
    """

    point: Point
    step: JudgedStep | None
    plot: str
    unit: str


def draw_trends(trends: Sequence[Trend], found: Found, style: str) -> str:
    """Draw one trend in full, or several as a line each; no line feed at the end.

    Args:
        trends: of every series.
        found: the names of their machines, and what was left out.
        style: of `options.FORMATS`.
    """
    if style not in PEOPLE:
        rows = [row for trend in trends for row in trend_values(trend, found)]
        return draw_records(rows, style)
    style = WIDE if style == TABLE else style  # plots are cells, and no cell of theirs is torn
    if len(trends) == 1:
        return _one(trends[0], found, style)
    return _many(trends, found, style)


def draw_machines(found: Found, style: str) -> str:
    """Draw the newest point of each machine; no line feed at the end."""
    newest = [(one, max(one.points, key=lambda point: point.when)) for one in found.series]
    if style not in PEOPLE:
        rows = [
            {
                "cell": series.cell,
                "metric": series.metric,
                "unit": series.unit,
                "machine": series.machine,
                "name": found.machines[series.machine],
                **_point_values(point),
            }
            for series, point in newest
        ]
        return draw_records(rows, style)
    columns: tuple[Column[Any], ...] = (
        Column("cell", lambda one: one[0].cell, shown=VARIES),
        Column("metric", lambda one: one[0].metric, shown=VARIES),
        Column("machine", lambda one: one[0].machine),
        Column("name", lambda one: found.machines[one[0].machine]),
        Column("newest", lambda one: one[1].when[:10]),
        Column(ONNXRUNTIME, lambda one: one[1].version(ONNXRUNTIME) or None),
        Column("value", lambda one: value_words(one[1].value, one[0].unit)),
        Column("±", lambda one: half_width_of(one[1])),
        Column("points", lambda one: len(one[0].points)),
    )
    notes = ["machines are told apart, and no step is looked for between them", *found.left_out]
    return "\n".join([draw_columns(columns, newest, style), "", _notes(notes, style)])


def _one(trend: Trend, found: Found, style: str) -> str:
    """Heading, points, steps."""
    series = trend.series
    drawn = _drawn(trend)
    shown = _shown(drawn)
    better = "more is better" if series.better is Better.MORE else "less is better"
    head = f"{series.cell}: {series.metric} ({better}) on {found.machines[series.machine]}"
    columns: tuple[Column[Drawn], ...] = (
        Column("began UTC", lambda one: one.point.when[:16].replace("T", " ")),
        Column("commit", lambda one: one.point.commit[:SHORT_COMMIT] or None, shown="known"),
        Column(ONNXRUNTIME, lambda one: one.point.version(ONNXRUNTIME) or None, shown="differs"),
        Column("trust", lambda one: one.point.grade or None, shown=VARIES),
        Column(
            f"{series.metric} {_unit_word(series.unit)}",
            lambda one: _number(one.point.value, one.unit),
        ),
        Column("±", lambda one: half_width_of(one.point), shown="known"),
        Column(_scale(trend), lambda one: one.plot),
        Column("step", lambda one: step_words(one.step) if one.step else "", shown="known"),
    )
    columns = tuple(one for one in columns if one.header != "step" or trend.steps)
    parts = [prose(head, style), "", draw_columns(columns, shown, style), ""]
    hidden = len(drawn) - len(shown)
    return "\n".join([*parts, _notes([*trend_lines(trend, hidden), *found.left_out], style)])


def _many(trends: Sequence[Trend], found: Found, style: str) -> str:
    """One line a series: those with a step for the worse first, then by name."""
    order = sorted(trends, key=lambda one: not one.fails)
    columns: tuple[Column[Trend], ...] = (
        Column("cell", lambda one: one.series.cell),
        Column("metric", lambda one: one.series.metric, shown=VARIES),
        Column("machine", lambda one: one.series.machine, shown=VARIES),
        Column("points", lambda one: len(one.series.points)),
        Column("newest", lambda one: value_words(one.series.points[-1].value, one.series.unit)),
        Column("trend", lambda one: line_of([point.value for point in one.series.points])),
        Column("last step", lambda one: step_words(one.standing) if one.standing else None),
    )
    shown = order[:MOST_SERIES]
    rest = len(order) - len(shown)
    failing = sum(one.fails for one in trends)
    notes = [
        f"{len(trends)} series: {failing} of them behind a step for the worse that nobody accepted"
        if failing
        else f"{len(trends)} series: none behind a step for the worse that nobody accepted",
        f"{rest} more series: more words of a cell's name, or --format jsonl" * (rest > 0),
        _mixed(found),
        *found.left_out,
    ]
    drawn = draw_columns(columns, shown, style)
    return "\n".join([drawn, "", _notes([note for note in notes if note], style)])


def _mixed(found: Found) -> str:
    """That several machines have lines of their own; empty of one."""
    if len(found.machines) < 2:
        return ""
    names = "; ".join(f"{machine}: {name}" for machine, name in found.machines.items())
    return f"machines are kept apart: {names}"


def _drawn(trend: Trend) -> list[Drawn]:
    """Every point with its place on one scale."""
    begins = {one.step.place: one for one in trend.steps}
    low, high = span_of(trend.series.points)
    return [
        Drawn(point, begins.get(place), interval_of(point, low, high), trend.series.unit)
        for place, point in enumerate(trend.series.points)
    ]


def _shown(drawn: Sequence[Drawn]) -> list[Drawn]:
    """The points of a table: all, or the newest and those around steps."""
    if len(drawn) <= MOST_DRAWN:
        return list(drawn)
    steps = [place for place, one in enumerate(drawn) if one.step]
    near = {near for place in steps for near in range(place - AROUND, place + AROUND)}
    newest = range(len(drawn) - MOST_DRAWN // 2, len(drawn))
    return [drawn[place] for place in sorted({0, *near, *newest}) if 0 <= place < len(drawn)]


def trend_lines(trend: Trend, hidden: int = 0) -> Iterator[str]:
    """Yield what a trend comes to.

    Args:
        trend: the series and its steps.
        hidden: points that are not drawn.
    """
    points = trend.series.points
    days = sorted(point.when[:10] for point in points)
    span = f"{days[0]} to {days[-1]}"
    more = f"; {hidden} of them are not drawn, --format csv has all" * (hidden > 0)
    yield f"{counted(len(points), 'points')}, {span}{more}"
    if len(points) == 1:
        yield "one run: nothing to compare it with yet"
    elif not trend.steps:
        yield "no step was found"
    for one in trend.steps:
        yield from _step_lines(trend, one)


def _step_lines(trend: Trend, one: JudgedStep) -> Iterator[str]:
    """Yield a step and how sure it is, what changed with it, and who accepted it or how to."""
    step = one.step
    sure = "both detectors see it" if step.is_confirmed else f"suspected by {step.votes[0]} alone"
    yield f"{step.first.when[:10]} {_change(one)} ({_ends(one)}), from {step.first.run_id}: {sure}"
    if one.changed:
        yield f"changed with it: {', '.join(one.changed)}"
    if one.blessing is not None:
        yield f"accepted {one.blessing.date}: {one.blessing.reason}"
    elif step.is_confirmed and step.is_worse:
        run = f" --run {step.first.run_id}" * (len(trend.steps) > 1)
        words = f'"{trend.series.cell}" --machine {trend.series.machine}'
        metric = f" --metric {trend.series.metric}"
        yield f'accept it: bench history bless {words}{metric}{run} --reason "..."'


def _ends(one: JudgedStep) -> str:
    step = one.step
    if step.is_ratio:
        return f"{signed_percent(step.low - 1)} to {signed_percent(step.high - 1)}"
    return f"{three_digits(step.low)} to {three_digits(step.high)}"


def _change(one: JudgedStep) -> str:
    """`-17.2 %, worse`."""
    step = one.step
    size = signed_percent(step.change - 1) if step.is_ratio else f"{step.change:+.3g}"
    return f"{size}, {'worse' if step.is_worse else 'better'}"


def step_words(one: JudgedStep) -> str:
    """A step in a cell of a table: `WORSE -17.2%`, `suspected -3.1%`, `accepted -17.2%`."""
    step = one.step
    size = signed_percent(step.change - 1) if step.is_ratio else f"{step.change:+.3g}"
    if one.blessing is not None:
        return f"accepted {size}"
    if not step.is_confirmed:
        return f"suspected {size}"
    return f"{'WORSE' if step.is_worse else 'BETTER'} {size}"


def span_of(points: Sequence[Point]) -> tuple[float, float]:
    """The ends of a plot's axis: of values and of the intervals that are not much wider.

    An interval that tells nothing would flatten everything else: ends count up to half of the
    median beyond it.
    """
    values = [point.value for point in points]
    center = median(values)
    ends = [end for point in points for end in (point.low, point.high) if end is not None]
    near = [end for end in ends if abs(end - center) <= abs(center) / 2]
    low, high = min([*values, *near]), max([*values, *near])
    least = LEAST_SPAN * max(abs(low), abs(high), 1e-12)
    pad = max(0.0, (least - (high - low)) / 2)
    return low - pad, high + pad


def interval_of(point: Point, low: float, high: float, cells: int = PLOT_CELLS) -> str:
    """A value and its interval on an axis, in characters."""
    place = _cell_of(point.value, low, high, cells)
    signs = [BACKGROUND] * cells
    if point.low is not None and point.high is not None:
        first = _cell_of(point.low, low, high, cells)
        for index in range(first, _cell_of(point.high, low, high, cells) + 1):
            signs[index] = WHISKER
    signs[place] = POINT
    return "".join(signs)


def _cell_of(value: float, low: float, high: float, cells: int) -> int:
    share = (value - low) / (high - low) if high > low else 0.5
    return min(cells - 1, max(0, math.floor(share * cells)))


def line_of(values: Sequence[float], cells: int = LINE_CELLS) -> str:
    """A series as heights in one line: at most so many, each the median of its share of points."""
    count = min(cells, len(values))
    parts = [
        median(values[index * len(values) // count : (index + 1) * len(values) // count])
        for index in range(count)
    ]
    least = LEAST_SPAN * max(map(abs, parts))
    low, high = min(parts), max(parts)
    pad = max(0.0, (least - (high - low)) / 2)
    return "".join(HEIGHTS[_cell_of(value, low - pad, high + pad, len(HEIGHTS))] for value in parts)


def _unit_word(unit: str) -> str:
    """The unit that a column's numbers have."""
    return {"bytes": "MiB", "share": "%"}.get(unit, unit)


def _number(value: float, unit: str) -> str:
    """A value without its unit, which stands in the header."""
    return value_words(value, unit).removesuffix(_unit_word(unit)).rstrip()


def _scale(trend: Trend) -> str:
    """The header of the plot: what its ends stand for."""
    unit = trend.series.unit
    return "…".join(_number(end, unit) for end in span_of(trend.series.points))


def value_words(value: float, unit: str) -> str:
    """A value with its unit."""
    if unit == "bytes":
        return f"{three_digits(value / MIB)} MiB"
    return percent(value) if unit == "share" else f"{three_digits(value)} {unit}"


def half_width_of(point: Point) -> str | None:
    """Half of an interval as a share of its value; None: not known."""
    if point.low is None or point.high is None or not point.value:
        return None
    return half_width((point.high - point.low) / 2 / abs(point.value))


def trend_values(trend: Trend, found: Found) -> Iterator[dict[str, Any]]:
    """Yield every point for programs; a step stands at the first point behind it."""
    begins = {one.step.place: one for one in trend.steps}
    for place, point in enumerate(trend.series.points):
        one = begins.get(place)
        yield {
            "cell": trend.series.cell,
            "metric": trend.series.metric,
            "unit": trend.series.unit,
            "better": str(trend.series.better),
            "machine": point.machine,
            "machine_name": found.machines[point.machine],
            **_point_values(point),
            "step": one.step.change if one else None,
            "step_low": one.step.low if one else None,
            "step_high": one.step.high if one else None,
            "step_is_worse": one.step.is_worse if one else None,
            "step_is_confirmed": one.step.is_confirmed if one else None,
            "step_accepted": one.blessing.reason if one and one.blessing else None,
            "changed": ", ".join(one.changed) if one else None,
        }


def _point_values(point: Point) -> dict[str, Any]:
    return {
        "created_utc": point.when,
        "run_id": point.run_id,
        "commit": point.commit or None,
        "onnxruntime": point.version(ONNXRUNTIME) or None,
        "value": point.value,
        "low": point.low,
        "high": point.high,
        "processes": point.processes,
        "grade": point.grade or None,
        "document": point.document,
    }


def _notes(notes: Sequence[str], style: str) -> str:
    mark = "- " if style == "md" else ""
    return "\n".join(f"{mark}{prose(note, style)}" for note in notes)
