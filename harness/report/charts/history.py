"""How a metric of a cell went: values with intervals, levels between steps, steps marked. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median

from harness.core.units import MIB
from harness.history.series import ONNXRUNTIME, Better, Order
from harness.history.standing import JudgedStep, Trend
from harness.report.charts.chart import Chart, Spec, Value, chart, slug
from harness.report.charts.parts import (
    interval_tooltip,
    layer,
    layered,
    number,
    only,
    tooltip,
    whisker,
)
from harness.report.charts.themes import PALETTE
from harness.report.charts.thinning import MOST_POINTS, thinned
from harness.report.history_trend import step_words

HEIGHT = 280
ACROSS = {
    Order.DATE: ("time", "the run began, UTC"),
    Order.COMMIT: ("place", "runs in the order of their commits"),
    Order.ONNXRUNTIME: ("place", "runs in the order of onnxruntime's versions"),
}


def trend_chart(trend: Trend, machine: str, by: Order) -> Chart:
    """The chart of one series.

    Args:
        trend: the series and its steps, in order.
        machine: name of its machine.
        by: what points follow each other by.
    """
    series = trend.series
    unit, scale = _unit(series.unit)
    every = list(_points(trend, scale))
    drawn = thinned(every, MOST_POINTS - len(trend.steps), lambda row: _number(row["value"]))
    rows = [*drawn, *(row for row in every if row["step"] and row not in drawn)]
    notes = [f"{len(rows):,} of {len(every):,} points are drawn"] * (len(rows) < len(every))
    direction = "more" if series.better is Better.MORE else "less"
    return chart(
        slug(f"trend-{series.metric}-{series.cell}"),
        f"{series.cell}: {series.metric}, {unit}",
        f"Each point is a run on {machine}, with its 95 % interval; {direction} is better. Lines"
        " are the medians between steps; a dashed line stands where a step begins.",
        _spec(sorted(rows, key=lambda row: _number(row["place"])), _levels(trend, scale), unit, by),
        [_row(one, unit) for one in every],
        notes=tuple(notes),
        source=machine,
    )


def _unit(unit: str) -> tuple[str, float]:
    """The unit that is drawn, and how many of the stored one it is."""
    return ("MiB", MIB) if unit == "bytes" else (unit, 1.0)


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _points(trend: Trend, scale: float) -> Iterator[dict[str, Value]]:
    """Yield what is drawn of every point."""
    begins = {one.step.place: one for one in trend.steps}
    for place, point in enumerate(trend.series.points):
        step = begins.get(place)
        yield {
            "place": place + 1,
            "when": point.when,
            "time": _epoch_ms(point.when),
            "value": point.value / scale,
            "low": None if point.low is None else point.low / scale,
            "high": None if point.high is None else point.high / scale,
            "processes": point.processes,
            "run": point.run_id,
            "commit": point.commit or "–",
            "onnxruntime": point.version(ONNXRUNTIME) or "–",
            "grade": point.grade or "–",
            "begins": "yes" if step else "no",
            "step": step_words(step) if step else None,
            "changed": ", ".join(step.changed) if step else None,
        }


def _epoch_ms(when: str) -> int:
    """A time of a point as a chart has it, whatever the browser makes of texts."""
    return round(datetime.fromisoformat(when).timestamp() * 1000)


def _levels(trend: Trend, scale: float) -> list[dict[str, Value]]:
    """The median of every stretch between confirmed steps, from its first to its last point."""
    points = trend.series.points
    starts = [0, *(one.step.place for one in trend.steps if one.step.is_confirmed), len(points)]
    found: list[dict[str, Value]] = []
    for first, end in pairwise(starts):
        if first < end:
            level = median(point.value for point in points[first:end]) / scale
            found.append(
                {
                    "place": first + 1,
                    "until": end,
                    "time": _epoch_ms(points[first].when),
                    "last": _epoch_ms(points[end - 1].when),
                    "level": level,
                }
            )
    return found


def _spec(
    rows: Sequence[dict[str, Value]], levels: Sequence[dict[str, Value]], unit: str, by: Order
) -> Spec:
    """Intervals, points, levels and steps on one axis that does not begin at 0."""
    field, title = ACROSS[by]
    across: Spec = number(field, title, scale={"zero": False, "nice": False})
    end = "until"
    if field == "time":
        across = {"field": field, "type": "temporal", "title": title, "scale": {"type": "utc"}}
        end = "last"
    value = number("value", unit, scale={"zero": False})
    of_run = tooltip(
        ("when", "began, UTC"),
        ("run", "run"),
        ("commit", "commit"),
        ("onnxruntime", "onnxruntime"),
        ("grade", "trust"),
    )
    begins = [("step", "step"), ("changed", "changed with it"), ("run", "first run behind it")]
    spec = layered(
        rows,
        [
            layer(
                {"type": "rule", "strokeDash": [4, 3], "style": "strong"},
                {"x": across, "tooltip": tooltip(*begins)},
                only("begins", "yes"),
            ),
            *whisker(
                {"opacity": 0.55, "color": PALETTE[0]},
                {"x": across, "y": {**value, "field": "low"}, "y2": {"field": "high"}},
                rows,
            ),
            layer(
                {"type": "point", "filled": True, "size": 34, "color": PALETTE[0]},
                {"x": across, "y": value, "tooltip": [*interval_tooltip("value", unit), *of_run]},
            ),
            layer(
                {"type": "text", "align": "left", "dx": 5, "dy": 9, "baseline": "top"},
                {
                    "x": across,
                    "y": {"value": 0},
                    "text": {"field": "step", "type": "nominal"},
                    "tooltip": tooltip(*begins),
                },
                only("begins", "yes"),
            ),
        ],
        HEIGHT,
    )
    mean = layer(
        {"type": "rule", "strokeWidth": 2, "color": PALETTE[1]},
        {"x": across, "x2": {"field": end}, "y": {**value, "field": "level"}},
    )
    spec["layer"].append({**mean, "data": {"values": [dict(one) for one in levels]}})
    return spec


def _row(one: dict[str, Value], unit: str) -> dict[str, Value]:
    """One line of the chart's data."""
    return {
        "began UTC": one["when"],
        "run": one["run"],
        "commit": one["commit"],
        "onnxruntime": one["onnxruntime"],
        unit: one["value"],
        f"95 % from, {unit}": one["low"],
        f"95 % to, {unit}": one["high"],
        "processes": one["processes"],
        "trust": one["grade"],
        "step": one["step"],
    }


def steps_of(trends: Sequence[Trend]) -> list[tuple[Trend, JudgedStep]]:
    """Every step of some trends, those for the worse that nobody accepted first."""
    found = [(trend, one) for trend in trends for one in trend.steps]
    return sorted(found, key=lambda pair: (not _is_open(pair[1]), pair[0].series.cell))


def _is_open(one: JudgedStep) -> bool:
    return one.step.is_confirmed and one.step.is_worse and one.blessing is None
