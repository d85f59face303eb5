"""A sweep of levels: what each loses against what it needs, with the Pareto front. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.core.units import MIB
from harness.report.charts.cells import Machine, bits_of, cell_words, cut, measured
from harness.report.charts.chart import Chart, Spec, Value, chart, slug
from harness.report.charts.labels import Mark, Place, linear, placed, symlog
from harness.report.charts.parts import (
    NARROW,
    NUMBER,
    Series,
    chosen_only,
    layer,
    layered,
    name_text,
    number,
    only,
    tooltip,
    whisker,
)
from harness.report.rows import make_rows, shown, shown_metric
from harness.report.sweep import DECODER, SweepPoint, pareto_fronts, sweeps
from harness.results.metrics import metric_row
from harness.results.schema import Metric

ON_FRONT = "yes"
OFF_FRONT = "no"
# The loss begins at exactly 0, which no logarithm has: straight up to this, logarithmic beyond.
STRAIGHT_TO = 0.001
LOSSES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
HEIGHT = 360
LARGEST_AREA = 700.0  # px² of the mark of the largest level


@dataclass(frozen=True, slots=True)
class Against:
    """What a loss is set against.

    Attributes:
        name: of the chart.
        title: of the chart, after the loss.
        mark: what pareto_fronts calls the front.
        more_is_better: direction of the front.
        how: a sentence of the caption.
    """

    name: str
    title: str
    mark: str
    more_is_better: bool
    how: str


SPEED = Against("sweep-speed", "against speed", "speed", True, "Good is low and to the right.")
MEMORY = Against("sweep-memory", "against memory", "memory", False, "Good is low and to the left.")


def sweep_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """Loss against speed and against memory, of every sweep with known losses."""
    for machine in all_machines:
        rows = make_rows(machine.document.records)
        fronts = {id(rows[place]): mark for place, mark in pareto_fronts(rows).items()}
        for sweep in sweeps(rows):
            for against in (SPEED, MEMORY):
                points = [one for one in sweep if _value(one, against) and one.loss is not None]
                if points:
                    yield _sweep_chart(machine, against, points, fronts)


def _value(one: SweepPoint, against: Against) -> float | None:
    """Speed, or memory in MiB."""
    if against is SPEED:
        return one.rate
    return None if one.peak_bytes is None else one.peak_bytes / MIB


def _loss_metric(one: SweepPoint) -> Metric | None:
    """The loss with its interval; of an encoder as 1 - cosine."""
    record = one.row.judged or one.row.records[0]
    if one.by is DECODER:
        return shown_metric(record, "kld_nats")
    cosine = shown_metric(record, "embedding_cosine")
    if cosine is None or cosine.value is None:
        return None
    ends = [None if end is None else 1 - end for end in (cosine.high, cosine.low)]
    return Metric(value=1 - cosine.value, low=ends[0], high=ends[1], unit="cosine", processes=1)


def _sweep_chart(
    machine: Machine, against: Against, points: Sequence[SweepPoint], fronts: dict[int, str]
) -> Chart:
    """One sweep against one quantity."""
    points = sorted(points, key=lambda one: -bits_of(one.row.records[0]))
    first = points[0]
    unit = metric_row(first.by.rate).unit if against is SPEED else "MiB"
    quantity = f"{'encode' if first.by is not DECODER else 'decode'} speed, {unit}"
    quantity = quantity if against is SPEED else f"peak memory, {unit}"
    loss = "KL divergence from fp32, nats a token" if first.by is DECODER else "1 − cosine to fp32"
    model = cut(first.row.cell.model)
    values = _values(points, against, fronts)
    text = "" if first.is_text else " Weights or tokens are random: rounding only, not quality."
    caption = (
        f"Each mark is a level, its area the bytes of the weights. {against.how} No level on the"
        f" dashed line, the Pareto front, is beaten in both.{text}"
    )
    return chart(
        f"{against.name}-{slug(first.row.cell.model)}",
        f"{model}: quality lost {against.title}{machine.suffix}",
        caption,
        _spec(values, against, quantity, loss),
        [
            {
                "level": row["name"],
                quantity: row["x"],
                loss: row["value"],
                "loss low": row["low"],
                "loss high": row["high"],
                "weights MiB": row["weights"],
                "Pareto front": row["front"],
            }
            for row in values
        ],
        **machine.words,
    )


def _values(
    points: Sequence[SweepPoint], against: Against, fronts: dict[int, str]
) -> list[dict[str, Value]]:
    """What is drawn of every level."""
    labels = cell_words([one.row.cell for one in points])
    found = []
    for label, one in zip(labels, points, strict=True):
        record = one.row.judged or one.row.records[0]
        speed = shown_metric(record, one.by.rate) if against is SPEED else None
        marks = fronts.get(id(one.row), "")
        weights = shown(record, "weights_bytes")
        found.append(
            {
                "name": label,
                "x": _value(one, against),
                "from": None if speed is None else speed.low,
                "to": None if speed is None else speed.high,
                "weights": None if weights is None else weights / MIB,
                "front": ON_FRONT if marks in (against.mark, "both") else OFF_FRONT,
                **measured(_loss_metric(one)),
            }
        )
    return found


def _reach(values: Sequence[Value]) -> tuple[float, float]:
    """The ends of an axis over some values, with room for marks and names."""
    known = [float(value) for value in values if value is not None]
    room = (max(known) - min(known)) * 0.06 or max(known) * 0.1 or 1.0
    return min(known) - room, max(known) + room


def _names(
    values: Sequence[dict[str, Value]],
    x_ends: tuple[float, float],
    y_ends: tuple[float, float],
    largest: float,
) -> dict[Place, list[dict[str, Value]]]:
    """The rows whose names find room, by where it is; those on the front choose first.

    Room is that of the narrowest plot with names: on a wider one marks are further apart.
    """
    x = linear(*x_ends, NARROW)
    y = symlog(*y_ends, STRAIGHT_TO, HEIGHT)
    rows = sorted(values, key=lambda row: row["front"] != ON_FRONT)
    marks = [
        Mark(
            str(row["name"]),
            x(float(row["x"] or 0.0)),
            y(float(row["value"] or 0.0)),
            math.sqrt(LARGEST_AREA * float(row["weights"] or 0.0) / largest / math.pi) + 1.0,
            None
            if row["from"] is None or row["to"] is None
            else (x(float(row["from"])), x(float(row["to"]))),
        )
        for row in rows
    ]
    found: dict[Place, list[dict[str, Value]]] = {}
    for row, place in zip(rows, placed(marks, NARROW, HEIGHT), strict=True):
        if place is not None:
            told: dict[str, Value] = {key: row[key] for key in ("name", "x", "value")}
            found.setdefault(place, []).append(told)
    return found


def _spec(values: Sequence[dict[str, Value]], against: Against, quantity: str, loss: str) -> Spec:
    """Marks, whiskers both ways, and the front with the names of its levels."""
    most = max(float(row["high"] or row["value"] or 0.0) for row in values)
    top = next((end for end in LOSSES if end >= most), most)
    y_ends = (-STRAIGHT_TO / 2, top)
    x_ends = _reach([row[key] for row in values for key in ("x", "from", "to")])
    y = number(
        "value",
        loss,
        scale={
            "type": "symlog",
            "constant": STRAIGHT_TO,
            "domain": list(y_ends),
            "nice": False,
        },
        axis={"values": [end for end in LOSSES if end <= top], "format": "~g"},
    )
    x = number("x", quantity, scale={"domain": list(x_ends), "nice": False, "zero": False})
    series = Series("name", "level", tuple(str(row["name"]) for row in values))
    largest = max(float(row["weights"] or 0.0) for row in values) or 1.0
    size = {
        "field": "weights",
        "type": "quantitative",
        "scale": {"domain": [0, largest], "range": [0, LARGEST_AREA]},
        "legend": None,
    }
    colored = {"color": series.color}
    names = _names(values, x_ends, y_ends, largest)
    return layered(
        values,
        [
            layer(
                {"type": "line", "style": "quiet", "strokeDash": [5, 4], "strokeWidth": 1.2},
                {"x": x, "y": y, "order": {"field": "x", "type": "quantitative"}},
                chosen_only(),
                only("front", ON_FRONT),
            ),
            *whisker(
                {"strokeOpacity": 0.45},
                {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, **colored},
                values,
                chosen_only(),
            ),
            *whisker(
                {"strokeOpacity": 0.45},
                {"x": {**x, "field": "from"}, "x2": {"field": "to"}, "y": y, **colored},
                values,
                chosen_only(),
            ),
            layer(
                {"type": "point", "filled": True, "opacity": 0.9},
                {
                    "x": x,
                    "y": y,
                    **colored,
                    "shape": series.shape,
                    "size": size,
                    "tooltip": tooltip(
                        ("name", "level"),
                        ("x", quantity, NUMBER),
                        ("from", "95 % from", NUMBER),
                        ("to", "95 % to", NUMBER),
                        ("value", loss, ".3~g"),
                        ("low", "95 % from", ".3~g"),
                        ("high", "95 % to", ".3~g"),
                        ("weights", "weights, MiB", NUMBER),
                        ("front", "on the Pareto front"),
                    ),
                },
                chosen_only(),
                params=series.chosen,
            ),
            *(
                layer(
                    {"type": "text", "dx": dx, "dy": dy, "align": align, "baseline": "middle"},
                    {"x": x, "y": y, **name_text("name")},
                    chosen_only(),
                    data={"values": rows},
                )
                for (dx, dy, align), rows in names.items()
            ),
        ],
        HEIGHT,
    )
