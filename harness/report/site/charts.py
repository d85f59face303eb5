"""The history of one cell as charts: every run with its interval, and its estimate. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.core.units import MIB
from harness.report.charts.chart import PLOT_HEIGHT, Chart, chart
from harness.report.charts.thinning import MOST_POINTS, thinned
from harness.report.columns import best_estimator, estimated
from harness.report.numbers import counted
from harness.report.rows import shown_metric
from harness.report.site.plan import CellPlan
from harness.report.site.sources import SiteRow
from harness.results.metrics import rate_of_kind
from harness.results.schema import Cell, kind_of

FEW_DAYS = timedelta(days=3)
LEAST_POINTS = 2  # one run is no history: its numbers stand in the tables
CROWDED = 60  # points beyond which marks are small, so that each is seen
Value = str | float | int | None


@dataclass(frozen=True, slots=True)
class History:
    """One kind of chart of a cell.

    Attributes:
        metric: of a cell, by its name.
        unit: of what is drawn.
        title: what it shows.
        scale: what values are divided by.
    """

    metric: Callable[[Cell], str]
    unit: Callable[[Cell], str]
    title: str
    scale: float = 1.0


HISTORIES = (
    History(
        lambda cell: rate_of_kind(kind_of(cell)).name,
        lambda cell: rate_of_kind(kind_of(cell)).unit,
        "Speed over time",
    ),
    History(lambda _: "ttft_ms", lambda _: "ms", "Time to the first token"),
    History(lambda _: "peak_rss_bytes", lambda _: "MiB", "Peak memory", MIB),
)


def history_charts(cell: CellPlan) -> tuple[Chart, ...]:
    """The charts of a cell for which at least two runs have a value and a date."""
    drawn = (_history_chart(history, cell) for history in HISTORIES)
    return tuple(one for one in drawn if one is not None)


def _history_chart(history: History, cell: CellPlan) -> Chart | None:
    """One chart; None: there are too few points."""
    name = history.metric(cell.newest.cell)
    known = list(_rows(history, name, cell.points))
    if len(known) < LEAST_POINTS:
        return None
    rows = thinned(known, MOST_POINTS, lambda row: float(row["value"] or 0.0))
    unit = history.unit(cell.newest.cell)
    left_out = len(cell.points) - len(known)
    notes = [f"{counted(left_out, 'runs')} without such a value or a date"] * bool(left_out)
    notes += [f"{len(rows)} of {len(known)} runs are drawn"] * (len(rows) < len(known))
    return chart(
        name.replace("_", "-"),
        history.title,
        "A point is a run, the line through it its 95 % interval, the dashed line what was"
        " estimated; colours are versions of onnxruntime.",
        _spec(unit, rows),
        rows,
        notes=tuple(notes),
    )


def _rows(history: History, name: str, points: Sequence[SiteRow]) -> Iterator[dict[str, Value]]:
    """Yield what is drawn of each run."""
    for point in points:
        metric, when = shown_metric(point.record, name), _instant(point.source.created_utc)
        if metric is None or metric.value is None or when is None:
            continue
        estimate = estimated(point.record, name, best_estimator(point.record))
        told = {
            "value": metric.value,
            "low": metric.low,
            "high": metric.high,
            "estimate": estimate,
        }
        numbers = {
            key: None if number is None else number / history.scale for key, number in told.items()
        }
        yield {
            "when": when,
            **numbers,
            "onnxruntime": point.source.onnxruntime,
            "trust": str(point.record.trust.grade) if point.record.trust else None,
            "file": point.source.file,
        }


def _instant(text: str) -> str | None:
    """A date that Vega reads as it is meant; None: it is none."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).isoformat()


def _ticks(rows: Sequence[dict[str, Value]]) -> str:
    """How times on the axis are written: runs of a few days need the hour to be told apart."""
    begun = [datetime.fromisoformat(str(row["when"])) for row in rows]
    return "%m-%d %H:%M" if max(begun) - min(begun) < FEW_DAYS else "%Y-%m-%d"


def _spec(unit: str, rows: Sequence[dict[str, Value]]) -> dict[str, Any]:
    """Intervals, points and the estimate, over time."""
    x = {
        "field": "when",
        "type": "temporal",
        "scale": {"type": "utc", "padding": 20},
        "axis": {"title": None, "format": _ticks(rows), "labelOverlap": True, "tickCount": 6},
    }
    y = {"field": "value", "type": "quantitative", "scale": {"zero": False, "nice": True}}
    colour = {"field": "onnxruntime", "type": "nominal", "title": "onnxruntime"}
    crowded = len(rows) > CROWDED
    tooltip = [
        {"field": "when", "type": "nominal", "title": "began"},  # a time would be told in local
        {"field": "value", "title": unit, "format": ".4~g"},
        {"field": "low", "title": "low", "format": ".4~g"},
        {"field": "high", "title": "high", "format": ".4~g"},
        {"field": "estimate", "title": "estimated", "format": ".4~g"},
        *({"field": name, "type": "nominal"} for name in ("onnxruntime", "trust", "file")),
    ]
    return {
        "width": "container",
        "height": PLOT_HEIGHT,
        "data": {"values": list(rows)},
        "encoding": {"x": x},
        "layer": [
            {
                "mark": {"type": "line", "strokeDash": [5, 4], "style": "quiet"},
                "encoding": {"y": {**y, "field": "estimate", "title": unit}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 1 if crowded else 2},
                "encoding": {
                    "y": {**y, "field": "low", "title": unit},
                    "y2": {"field": "high"},
                    "color": colour,
                },
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 18 if crowded else 70,
                    "opacity": 1,
                },
                "encoding": {"y": {**y, "title": unit}, "color": colour, "tooltip": tooltip},
            },
        ],
    }
