"""What was measured against what was estimated, metric by metric. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.errors import JUDGED, JudgedMetric, judged_metrics
from harness.core.units import MIB
from harness.report.charts.cells import Machine, cut, measured, sources
from harness.report.charts.chart import Chart, Spec, Value, chart
from harness.report.charts.parts import (
    NUMBER,
    Series,
    chosen_only,
    interval_tooltip,
    layer,
    layered,
    logarithmic,
    tooltip,
    whisker,
)
from harness.report.charts.thinning import MOST_POINTS, thinned
from harness.report.columns import best_estimator, estimated
from harness.report.explained import record_name
from harness.results.metrics import metric_row
from harness.results.schema import Record

BAND = 0.1  # either way of the ideal line
TITLES = {
    "decode_tok_s": "Decode rate",
    "prefill_tok_s": "Prefill rate",
    "ttft_ms": "Time to first token",
    "encode_seq_s": "Encoding rate",
    "peak_rss_bytes": "Peak memory",
}
PASSES = {
    "decode_tok_s": "decode step",
    "prefill_tok_s": "prefill",
    "ttft_ms": "prefill",
    "encode_seq_s": "encode",
}
UNKNOWN = "not known"
# what bounds a pass by its estimate; of memory, its largest part
BOUNDS = ("memory", "compute", "overhead", UNKNOWN)
BOUND_WORDS = {
    "memory": "reading memory",
    "compute": "computing",
    "overhead": "calls",
    UNKNOWN: UNKNOWN,
}
PART_WORDS = {"weights as held": "weights", "mapped file": "weights", "runtime": "runtime"}
BOUND_SAYS = "what bounds it"
SAYS = {"MiB": "which part is the largest"}
OTHER_PART = "cache and activations"


@dataclass(frozen=True, slots=True)
class _Point:
    """One cell: measured, estimated, and what bounds it."""

    record: Record
    machine: str
    estimate: float
    bound: str
    scale: float
    metric: str

    @property
    def value(self) -> float:
        """What was measured, in the unit that is drawn."""
        return (self.record.metrics[self.metric].value or 0.0) / self.scale

    @property
    def ratio(self) -> float:
        """Measured over estimated."""
        return self.value / self.estimate


def estimate_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each metric that estimates are judged by, over all documents."""
    for metric in JUDGED:
        if metric.name in TITLES:
            points = [point for machine in all_machines for point in _points(machine, metric)]
            if points:
                yield _estimate_chart(metric.name, points, all_machines)


def _points(machine: Machine, metric: JudgedMetric) -> Iterator[_Point]:
    """Yield the cells of a document that hold both an estimate and a measurement."""
    scale = MIB if metric_row(metric.name).unit == "bytes" else 1.0
    for judged in judged_metrics([machine.document]):
        if judged.metric is not metric or judged.measured is None:
            continue
        estimate = estimated(judged.record, metric.name, best_estimator(judged.record))
        if estimate is not None and 0 < estimate < math.inf:
            bound = _bound(judged.record, metric.name)
            yield _Point(judged.record, machine.label, estimate / scale, bound, scale, metric.name)


def _bound(record: Record, metric: str) -> str:
    """What most of the estimate goes to, in words."""
    found = record.explanation
    if found is None:
        return UNKNOWN
    if metric not in PASSES:
        largest = max(found.memory, key=lambda part: part.bytes, default=None)
        return UNKNOWN if largest is None else PART_WORDS.get(largest.part, OTHER_PART)
    bound = next((one.bound for one in found.passes if one.pass_name == PASSES[metric]), UNKNOWN)
    return BOUND_WORDS.get(bound, UNKNOWN)


def _estimate_chart(name: str, points: Sequence[_Point], all_machines: Sequence[Machine]) -> Chart:
    """One metric."""
    unit = "MiB" if name not in PASSES else metric_row(name).unit
    near, cells = sum(abs(point.ratio - 1) <= BAND for point in points), len(points)
    points = thinned(points, MOST_POINTS, key=lambda point: point.ratio)
    values = [_row(point) for point in points]
    more = "larger" if unit == "MiB" else "slower" if unit == "ms" else "faster"
    caption = (
        f"Each mark is a cell. On the line measured and estimated are equal, in the band they are"
        f" within 10 % ({near} of {cells}); above it the model is {more} than"
        f" estimated. Colour and shape say {SAYS.get(unit, BOUND_SAYS)} by the estimate."
    )
    alone = len(all_machines) == 1
    return chart(
        f"estimate-{name.partition('_')[0]}",
        f"{TITLES[name]}: measured against estimated, {unit}",
        caption,
        _spec(values, points, unit, all_machines),
        [
            {
                **({} if alone else {"machine": point.machine}),
                "cell": cut(record_name(point.record), 90),
                f"estimated {unit}": point.estimate,
                f"measured {unit}": point.value,
                f"low {unit}": row["low"],
                f"high {unit}": row["high"],
                "measured / estimated": point.ratio,
                "bound by": point.bound,
            }
            for point, row in zip(points, values, strict=True)
        ],
        notes=(f"{len(points):,} of {cells:,} cells are drawn",) * (len(points) < cells),
        source=sources(all_machines),
    )


def _row(point: _Point) -> dict[str, Value]:
    """What is drawn of a cell."""
    return {
        "cell": cut(record_name(point.record), 90),
        "machine": point.machine,
        "estimate": point.estimate,
        "bound": point.bound,
        "ratio": point.ratio,
        **measured(point.record.metrics[point.metric], point.scale),
    }


def _spec(
    values: Sequence[dict[str, Value]],
    points: Sequence[_Point],
    unit: str,
    all_machines: Sequence[Machine],
) -> Spec:
    """Points on logarithmic axes over the ideal line and its band."""
    ends = [end for point in points for end in (point.estimate, point.value) if end > 0]
    low, high = min(ends) / 1.25, max(ends) * 1.25
    band: list[dict[str, Value]] = [
        {"at": at, "least": at * (1 - BAND), "most": at * (1 + BAND)} for at in (low, high)
    ]
    x = logarithmic("estimate", f"estimated, {unit}", low, high)
    y = logarithmic("value", f"measured, {unit}", low, high)
    at = {"x": {**x, "field": "at"}}
    order = (*BOUND_WORDS.values(), *PART_WORDS.values(), OTHER_PART)
    present = {point.bound for point in points}
    legend = "bound by" if unit != "MiB" else "largest part"
    series = Series("bound", legend, tuple(dict.fromkeys(b for b in order if b in present)))
    machine = [] if len(all_machines) == 1 else tooltip(("machine", "machine"))
    ideal = {"data": {"values": band}}
    return layered(
        values,
        [
            layer(
                {"type": "area", "style": "quiet", "opacity": 0.15, "clip": True},
                {**at, "y": {**y, "field": "least"}, "y2": {"field": "most"}},
                **ideal,
            ),
            layer(
                {"type": "line", "style": "quiet", "strokeWidth": 1, "clip": True},
                {**at, "y": {**y, "field": "at"}},
                **ideal,
            ),
            *whisker(
                {"strokeOpacity": 0.5, "clip": True},
                {
                    "x": x,
                    "y": {**y, "field": "low"},
                    "y2": {"field": "high"},
                    "color": series.color,
                },
                values,
                chosen_only(),
            ),
            layer(
                {"type": "point", "filled": True, "size": 70, "opacity": 0.85},
                {
                    "x": x,
                    "y": y,
                    "color": series.color,
                    "shape": series.shape,
                    "tooltip": [
                        *tooltip(("cell", "cell")),
                        *machine,
                        *interval_tooltip("value", f"measured, {unit}"),
                        *tooltip(
                            ("estimate", f"estimated, {unit}", NUMBER),
                            ("ratio", "measured / estimated", ".2f"),
                            ("bound", "bound by"),
                        ),
                    ],
                },
                chosen_only(),
                params=series.chosen,
            ),
        ],
        360,
    )
