"""Every sample behind every row, process by process, with the box of the process medians. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from harness.core.units import NS_PER_MS
from harness.report.charts.cells import Machine, bits_of, cell_words, is_drawn, measured
from harness.report.charts.chart import Chart, Spec, Value, chart
from harness.report.charts.parts import (
    NUMBER,
    interval_tooltip,
    known,
    layer,
    layered,
    logarithmic,
    names,
    only,
    rows_height,
    tooltip,
    whisker,
)
from harness.report.charts.themes import PALETTE
from harness.report.charts.thinning import MOST_POINTS, thinned
from harness.report.numbers import counted
from harness.report.rows import shown_metric
from harness.results.enums import Kind
from harness.results.metrics import metric_row
from harness.results.replies import Sample
from harness.results.schema import (
    DECODE,
    ENCODE,
    GRAPH,
    IMAGE,
    PREFILL,
    REQUEST,
    SOUND,
    TURN,
    Record,
    kind_of,
)
from harness.results.summarize import process_values

MOST_ROWS = 30
SAMPLE, PROCESS, INTERVAL = "sample", "process", "interval"
OUTER_SHARE = 0.005  # of the samples at either end, which may lie beyond the axis
BOX_COLOR, DIAMOND_COLOR = PALETTE[0], PALETTE[1]
DIGITS = 6  # of a sample that is drawn: a page holds thousands
Passes = Callable[[Sample], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Timed:
    """What is drawn of one kind of test.

    Attributes:
        metric: time of one sample.
        what: one sample, in words.
        samples: of one process, ns.
    """

    metric: str
    what: str
    samples: Passes


def _steps(sample: Sample) -> Sequence[int]:
    """Every decode step of every pass."""
    return list(chain.from_iterable(sample.itl_ns))


TIMED: dict[Kind, Timed] = {
    DECODE: Timed("tpot_ms", "decode step", _steps),
    PREFILL: Timed("prefill_ms", "pass over the prompt", lambda sample: sample.prefill_ns),
    REQUEST: Timed("ttft_ms", "first token of a request", lambda sample: sample.ttft_ns),
    TURN: Timed("ttft_ms", "first token of a turn", lambda sample: sample.ttft_ns),
    ENCODE: Timed("encode_ms", "pass of an encoder", lambda sample: sample.encode_ns),
    IMAGE: Timed("image_ms", "pass over images", lambda sample: sample.encode_ns),
    SOUND: Timed("sound_ms", "pass over sounds", lambda sample: sample.encode_ns),
    GRAPH: Timed("run_ms", "run of a graph", lambda sample: sample.encode_ns),
}


def process_charts(all_machines: Sequence[Machine]) -> Iterator[Chart]:
    """A chart for each document and kind of test with samples."""
    for machine in all_machines:
        groups: dict[Kind, list[Record]] = {}
        for record in machine.document.records:
            kind = kind_of(record.cell)
            if is_drawn(record) and any(TIMED[kind].samples(p.sample) for p in record.samples):
                groups.setdefault(kind, []).append(record)
        for kind, records in groups.items():
            yield _process_chart(machine, kind, records)


def _process_chart(machine: Machine, kind: Kind, records: Sequence[Record]) -> Chart:
    """The tests of one kind."""
    timed = TIMED[kind]
    models = list(dict.fromkeys(record.cell.model for record in records))
    ordered = sorted(records, key=lambda one: (models.index(one.cell.model), -bits_of(one)))
    drawn = ordered[:MOST_ROWS]
    labels = cell_words([record.cell for record in drawn])
    unit = metric_row(timed.metric).unit
    most = max(2, MOST_POINTS // sum(len(one.samples) for one in drawn))
    values = [
        row
        for label, record in zip(labels, drawn, strict=True)
        for row in _values(label, record, timed, most)
    ]
    times = [float(row["ms"] or 0.0) for row in values]
    ends = _axis(times)
    counts = [sum(len(timed.samples(p.sample)) for p in one.samples) for one in drawn]
    left_out = len(records) - len(drawn)
    return chart(
        f"processes-{kind}",
        f"Every {timed.what}, {unit}{machine.suffix}",
        f"Every small tick is one {timed.what}, every diamond the value of one fresh process. The"
        " box holds the middle half of the processes, the dark line is their 95 % interval: the"
        " process is what is repeated, so the interval is over diamonds, not over ticks.",
        _spec(values, labels, ends, unit),
        _table(drawn, labels, counts, timed, unit),
        notes=(
            *(f"{len(drawn)} of {len(records)} rows are drawn",) * bool(left_out),
            *_notes(values, sum(counts), [time for time in times if _is_beyond(time, ends)], unit),
        ),
        **machine.words,
    )


def _notes(
    values: Sequence[dict[str, Value]], samples: int, beyond: Sequence[float], unit: str
) -> Iterator[str]:
    """Yield how many samples are drawn of how many, and how many lie beyond the axis."""
    shown = sum(row["what"] == SAMPLE for row in values)
    if shown < samples:
        yield (
            f"{shown:,} of {samples:,} samples are drawn: evenly spaced in each process, with its"
            " fastest and its slowest"
        )
    if beyond:
        yield (
            f"Beyond the axis: {counted(len(beyond), 'samples')}, the slowest of"
            f" {max(beyond):,.4g} {unit}"
        )


def _is_beyond(time: float, ends: tuple[float, float]) -> bool:
    """Whether a time lies beyond the axis."""
    return not ends[0] <= time <= ends[1]


def _values(label: str, record: Record, timed: Timed, most: int) -> Iterator[dict[str, Value]]:
    """Yield the interval, then samples and value of each process."""
    of_process = process_values(record, timed.metric)
    whole = measured(shown_metric(record, timed.metric))
    if whole["low"] is not None:
        yield {**whole, "row": label, "what": INTERVAL, "ms": whole["low"]}
    for process in record.samples:
        samples = timed.samples(process.sample)
        if not samples:
            continue
        for sample_ns in thinned(samples, most, key=float):
            yield {"row": label, "what": SAMPLE, "ms": float(f"{sample_ns / NS_PER_MS:.{DIGITS}g}")}
        center = of_process.get(process.round, median(samples) / NS_PER_MS)
        yield {
            **whole,
            "row": label,
            "what": PROCESS,
            "ms": center,
            "round": process.round + 1,
            "samples": len(samples),
        }


def _table(
    records: Sequence[Record], labels: Sequence[str], counts: Sequence[int], timed: Timed, unit: str
) -> Iterator[dict[str, Value]]:
    """Yield a line for each cell: its processes, not their samples."""
    for record, label, count in zip(records, labels, counts, strict=True):
        found = measured(shown_metric(record, timed.metric))
        values = process_values(record, timed.metric).values()
        yield {
            "row": label,
            unit: found["value"],
            f"low {unit}": found["low"],
            f"high {unit}": found["high"],
            f"fastest process {unit}": min(values, default=None),
            f"slowest process {unit}": max(values, default=None),
            "processes": len(record.samples),
            "samples": count,
        }


def _spec(
    values: Sequence[dict[str, Value]],
    labels: Sequence[str],
    ends: tuple[float, float],
    unit: str,
) -> Spec:
    """Samples below, boxes of processes and intervals over them, diamonds on top."""
    x = logarithmic("ms", f"{unit}, logarithmic", *ends)
    row = names("row", labels)
    return layered(
        values,
        [
            layer(
                {"type": "tick", "style": "quiet", "opacity": 0.3, "clip": True, "bandSize": 15},
                {"x": x, "y": row},
                only("what", SAMPLE),
            ),
            layer(
                {
                    "type": "boxplot",
                    "extent": "min-max",
                    "size": 13,
                    "box": {"opacity": 0.45},
                    "median": False,
                    "rule": False,
                    "clip": True,
                },
                {"x": x, "y": row, "color": {"value": BOX_COLOR}},
                only("what", PROCESS),
            ),
            *whisker(
                {"strokeWidth": 1.8, "style": "strong", "clip": True},
                {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": row},
                values,
                only("what", INTERVAL),
            ),
            layer(
                {"type": "point", "shape": "diamond", "filled": True, "size": 55, "clip": True},
                {
                    "x": x,
                    "y": row,
                    "color": {"value": DIAMOND_COLOR},
                    "tooltip": [
                        *tooltip(
                            ("row", "row"),
                            ("round", "process"),
                            ("ms", f"this process, {unit}", NUMBER),
                            ("samples", "its samples"),
                        ),
                        *interval_tooltip("value", f"all, {unit}"),
                    ],
                },
                only("what", PROCESS),
                known("ms"),
            ),
        ],
        rows_height(len(labels)),
    )


def _axis(times: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis: all but the outermost samples, with some room.

    A single preempted step would else press all others into a corner.
    """
    ordered = sorted(time for time in times if time > 0) or [1.0]
    skipped = int(len(ordered) * OUTER_SHARE)
    return ordered[skipped] / 1.1, ordered[-1 - skipped] * 1.1
