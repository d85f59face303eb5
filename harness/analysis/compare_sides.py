"""One side of one comparison: its metrics, where its middle is and how far it scatters. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, variance

from harness.core.errors import ResultFormatError, UsageError, suggestion
from harness.results.background import UNKNOWN, Background, background_of
from harness.results.metric_row import MetricRow, Source
from harness.results.metrics import METRICS
from harness.results.quality import EmbeddingScores
from harness.results.schema import Metric, Record, kind_of
from harness.results.summarize import process_values, quality_path
from harness.results.sustained import sustained_background
from harness.stats.differences import Difference
from harness.stats.distributions import t_quantile
from harness.stats.stopping import NO_LOOKS, Looks

# What a side's scatter is taken from.
PROCESSES, RUNS, CHUNKS, QUESTIONS = "processes", "runs", "chunks", "questions"
COUNTED, KNOWN = "counted", "known scatter"


@dataclass(frozen=True, slots=True)
class Measured:
    """One record and the run it stands in.

    Attributes:
        run_id: of the run.
        record: of it.
        looks: after how many rounds the width of its intervals decided on another one.
    """

    run_id: str
    record: Record
    looks: Looks = NO_LOOKS


@dataclass(frozen=True, slots=True)
class Side:
    """One side of one metric of one cell; statistics on the metric's scale.

    Attributes:
        value: as the table shows it, in the metric's unit.
        center: mean.
        variance: of that mean; None: nothing tells.
        dof: degrees of freedom of the variance.
        count: how many processes, runs or chunks.
        basis: which of the three, or what else the scatter is known from.
        values: one per process by round, or one per run; empty: only mean and variance are known.
        unit: of `value`.
        processes: that were timed, over all runs.
        background: what others used of the processors meanwhile.
        looks: at which numbers of processes a width decided whether there is another one.
    """

    value: float
    center: float
    variance: float | None
    dof: float
    count: int
    basis: str
    values: dict[int, float]
    unit: str
    processes: int = 0
    background: Background = UNKNOWN
    looks: Looks = NO_LOOKS


def side_of(metric: MetricRow, measured: Sequence[Measured], per_run: bool) -> Side | None:
    """Draw up one side; None where it does not hold the metric.

    Args:
        metric: which one.
        measured: records of one cell, one per run.
        per_run: the run is the unit, one value each, because a side has several.
    """
    found = [one for one in measured if _value(one.record.metrics.get(metric.name)) is not None]
    if not found:
        return None
    return replace(
        _statistics(metric, found, per_run),
        processes=sum(one.record.metrics[metric.name].processes for one in found),
        background=_background(metric, found),
    )


def _background(metric: MetricRow, found: Sequence[Measured]) -> Background:
    """What others used of the processors meanwhile: of long processes the busiest one's."""
    if metric.source is not Source.SUSTAIN:
        return background_of(process.watch for one in found for process in one.record.samples)
    sides = [sustained_background(one.record) for one in found]
    return next((side for side in sides if side.is_busy), sides[-1])


def _statistics(metric: MetricRow, found: Sequence[Measured], per_run: bool) -> Side:
    """A side by what its scatter is taken from."""
    shown = found[-1].record.metrics[metric.name]
    if not metric.is_ratio:
        return _quality_side(metric, found[-1].record, shown)
    if shown.processes == 0:
        return _flat(metric, shown, 0.0, COUNTED)
    if per_run:
        return _run_side(metric, found, shown.unit)
    values = scaled_values(metric, found[-1].record, found[-1].run_id)
    if values:
        looks = found[-1].looks
        side = _many(metric, shown.value or 0.0, values, PROCESSES, shown.unit)
        return replace(side, variance=_widened(side, looks), looks=looks)
    return _summary_side(metric, shown)


def _value(found: Metric | None) -> float | None:
    """The metric's value, where it is one."""
    return None if found is None or found.value is None else found.value


def _many(metric: MetricRow, shown: float, values: dict[int, float], basis: str, unit: str) -> Side:
    """A side of several values."""
    numbers = list(values.values())
    spread = variance(numbers) / len(numbers) if len(numbers) > 1 else None
    return Side(shown, fmean(numbers), spread, len(numbers) - 1, len(numbers), basis, values, unit)


def _widened(side: Side, looks: Looks) -> float | None:
    """The variance, larger where its own smallness may have ended the run; see stopping.Looks."""
    if side.variance is None:
        return None
    found = Difference(side.center, math.sqrt(side.variance), side.dof)
    return found.widened(looks.confidence(side.count)).standard_error ** 2


def _run_side(metric: MetricRow, found: Sequence[Measured], unit: str) -> Side:
    """A side of several runs: each gives the mean of its processes, else its own value."""
    values = {}
    for place, one in enumerate(found):
        processes = scaled_values(metric, one.record, one.run_id)
        shown = one.record.metrics[metric.name].value or 0.0
        values[place] = fmean(processes.values()) if processes else metric.on_scale(shown)
    return _many(metric, metric.off_scale(median(values.values())), values, RUNS, unit)


def _flat(metric: MetricRow, shown: Metric, spread: float, basis: str) -> Side:
    """A side whose scatter is known."""
    value = shown.value or 0.0
    return Side(value, metric.on_scale(value), spread, math.inf, 1, basis, {}, shown.unit)


def _summary_side(metric: MetricRow, shown: Metric) -> Side:
    """A side that kept no samples: mean and variance out of its interval.

    center = (ln low + ln high) / 2,   se = (ln high - ln low) / 2 / t(0.975, n - 1)
    """
    value = shown.value or 0.0
    if shown.low is None or shown.high is None or shown.processes < 2 or shown.low <= 0:
        if metric.known_scatter_ln is not None:
            return _flat(metric, shown, metric.known_scatter_ln**2, KNOWN)
        return Side(
            value, metric.on_scale(value), None, 0, shown.processes, PROCESSES, {}, shown.unit
        )
    low, high, dof = metric.on_scale(shown.low), metric.on_scale(shown.high), shown.processes - 1
    error = (high - low) / 2 / t_quantile(0.975, dof)
    return Side(value, (low + high) / 2, error**2, dof, shown.processes, PROCESSES, {}, shown.unit)


def _quality_side(metric: MetricRow, record: Record, shown: Metric) -> Side:
    """A side of quality: the interval is over chunks of the text.

    Its lower end may have been cut at what the quantity can be, so the farther end counts.
    """
    value = shown.value or 0.0
    chunks, basis = _chunks(record, metric)
    if shown.low is None or shown.high is None or chunks < 2:
        return Side(value, value, None, 0, chunks, basis, {}, shown.unit)
    half = max(shown.high - value, value - shown.low)
    error = half / t_quantile(0.975, chunks - 1)
    return Side(value, value, error**2, chunks - 1, chunks, basis, {}, shown.unit)


def _chunks(record: Record, metric: MetricRow) -> tuple[int, str]:
    """How many chunks of text, texts or questions stand behind a metric; 0: not known."""
    tasks = None if record.quality is None else record.quality.tasks
    if tasks is not None and hasattr(tasks, metric.name):
        return tasks.items, QUESTIONS
    path = quality_path(record.quality, kind_of(record.cell))
    if path is None:
        return 0, CHUNKS
    return (path.texts if isinstance(path, EmbeddingScores) else path.chunks), CHUNKS


def compared() -> dict[str, MetricRow]:
    """Every metric that two sides can be compared by, by name."""
    return {row.name: row for row in METRICS if row.scale is not None}


def find_compared(names: tuple[str, ...], watched: tuple[str, ...] = ()) -> tuple[MetricRow, ...]:
    """Look metrics up by name, and those that are watched; without names the headlines.

    Raises:
        UsageError: no comparison is by such a name.
    """
    known = compared()
    for name in (*names, *watched):
        if name not in known:
            raise UsageError(f"no comparison by {name!r}", fix=suggestion(name, known))
    return tuple(
        row
        for row in known.values()
        if row.name in (*names, *watched) or (row.headline and not names)
    )


def scaled_values(metric: MetricRow, record: Record, run_id: str) -> dict[int, float]:
    """Every process's value of a timed metric on the scale of the statistics, by round.

    Raises:
        ResultFormatError: damaged samples; says of which run.
    """
    try:
        values = process_values(record, metric.name)
    except ResultFormatError as error:
        raise ResultFormatError(f"{run_id}: {error.problem}", error.fix) from error
    return {place: metric.on_scale(value) for place, value in values.items()}
