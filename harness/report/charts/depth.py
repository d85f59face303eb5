"""How a decode step slows down with the tokens in the cache. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.report.charts.cells import Machine, cell_words, is_drawn, measured
from harness.report.charts.chart import Chart, Spec, Value, chart
from harness.report.charts.parts import (
    NUMBER,
    Series,
    chosen_only,
    interval_tooltip,
    known,
    layer,
    layered,
    number,
    tooltip,
    whisker,
)
from harness.report.columns import PARAMS, best_estimator, estimated
from harness.report.rows import ROW_FIELDS, shown_metric
from harness.results.schema import DECODE, Record, kind_of

METRIC, UNIT = "tpot_ms", "ms a token"
SAME = tuple(name for name in ROW_FIELDS if name not in ("depth", "capacity"))
MOST_SERIES = 16


@dataclass(frozen=True, slots=True)
class _Line:
    """One setting at several depths."""

    label: str
    records: tuple[Record, ...]


def depth_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each document that decodes at two depths or more."""
    for machine in all_machines:
        lines = _lines(machine)
        if lines:
            yield _depth_chart(machine, lines)


def _lines(machine: Machine) -> list[_Line]:
    """Settings that were measured at several depths."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in machine.document.records:
        if kind_of(record.cell) == DECODE and is_drawn(record) and shown_metric(record, METRIC):
            key = tuple(getattr(record.cell, name) for name in SAME)
            groups.setdefault(key, []).append(record)
    deep = [
        sorted(group, key=lambda record: record.cell.depth)
        for group in groups.values()
        if len({record.cell.depth for record in group}) > 1
    ]
    labels = cell_words([group[0].cell for group in deep], never=("depth", "workload", "capacity"))
    return [_Line(label, tuple(group)) for label, group in zip(labels, deep, strict=True)]


def _depth_chart(machine: Machine, lines: Sequence[_Line]) -> Chart:
    """One document."""
    drawn = lines[:MOST_SERIES]
    values = [row for line in drawn for record in line.records for row in _values(line, record)]
    is_estimated = any(row["estimate"] is not None for row in values)
    caption = (
        "How long one token takes with so many tokens in the cache, median over fresh processes"
        " with its 95 % interval."
    )
    caption += " Dashed: estimated from the graph and this machine's peaks." * is_estimated
    return chart(
        "depth",
        f"Decode latency against context depth, {UNIT}{machine.suffix}",
        caption,
        _spec(values, drawn, is_estimated),
        [
            {
                "row": row["row"],
                "depth tokens": row["depth"],
                UNIT: row["value"],
                f"low {UNIT}": row["low"],
                f"high {UNIT}": row["high"],
                f"estimated {UNIT}": row["estimate"],
            }
            for row in values
        ],
        notes=(f"{MOST_SERIES} of {len(lines)} lines are drawn",) * (len(lines) > MOST_SERIES),
        **machine.words,
    )


def _values(line: _Line, record: Record) -> Iterator[dict[str, Value]]:
    """Yield what is drawn of one depth."""
    best = best_estimator(record)
    yield {
        "row": line.label,
        "depth": record.cell.depth,
        "estimate": None if best == PARAMS else estimated(record, METRIC, best),
        **measured(shown_metric(record, METRIC)),
    }


def _spec(values: Sequence[dict[str, Value]], lines: Sequence[_Line], is_estimated: bool) -> Spec:
    """Lines with marks and whiskers, and the estimates beside them."""
    series = Series("row", "row", tuple(line.label for line in lines))
    most = max(float(row["depth"] or 0.0) for row in values)
    x = number("depth", "tokens in the cache", scale={"domain": [0, most * 1.03], "nice": False})
    y = number("value", UNIT, scale={"zero": True})
    place: Spec = {"x": x, "y": y, "color": series.color}
    estimates = layer(
        {"type": "line", "strokeDash": [5, 4], "strokeOpacity": 0.7},
        {**place, "y": {**y, "field": "estimate"}},
        chosen_only(),
        known("estimate"),
    )
    return layered(
        values,
        [
            *([estimates] if is_estimated else []),
            layer({"type": "line", "strokeWidth": 1.8}, place, chosen_only()),
            *whisker(
                {"strokeWidth": 1.5},
                {**place, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
                values,
                chosen_only(),
            ),
            layer(
                {"type": "point", "filled": True, "size": 75, "opacity": 1},
                {
                    **place,
                    "shape": series.shape,
                    "tooltip": [
                        *tooltip(("row", "row"), ("depth", "tokens in the cache", ",")),
                        *interval_tooltip("value", UNIT),
                        *tooltip(("estimate", f"estimated, {UNIT}", NUMBER)),
                    ],
                },
                chosen_only(),
                params=series.chosen,
            ),
        ],
    )
