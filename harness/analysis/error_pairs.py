"""Estimates beside what the same cells measured, as errors. Pure.

The error of an estimate is the logarithm of a ratio of times, or of bytes:

    e = ln(estimated time / measured time)

0 is exact; above 0 the estimate is too slow (too large). Twice too slow is as wrong as twice too
fast: |e| = 0.693 for both. A rate is the inverse of a time: e = ln(measured rate / estimated rate).
The estimator `remeasure` is a first run, taken for an estimate of a second one of the same cells:
how far apart two measurements are, which no estimate can be told to be better than.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.estimator.record import ESTIMATORS
from harness.results.metrics import metric_row
from harness.results.samples import DECODE, ENCODE, PREFILL, REQUEST, kind_of
from harness.results.schema import Cell, Document, Record
from harness.results.validity import why_left_out

REMEASURE = "remeasure"
ONE_THREAD, ALL_THREADS = "1 thread", "all"
EVERY_KIND = (PREFILL, DECODE, REQUEST, ENCODE)


@dataclass(frozen=True, slots=True)
class JudgedMetric:
    """One metric that estimates are judged by.

    Attributes:
        name: as in the registry.
        kinds: the kinds of test it is judged on.
    """

    name: str
    kinds: tuple[str, ...]

    @property
    def is_rate(self) -> bool:
        """Whether more is faster, so that time is its inverse."""
        return metric_row(self.name).more_is_better


JUDGED = (
    JudgedMetric("decode_tok_s", (DECODE,)),
    JudgedMetric("prefill_tok_s", (PREFILL,)),
    JudgedMetric("ttft_ms", (REQUEST,)),
    JudgedMetric("encode_seq_s", (ENCODE,)),
    JudgedMetric("peak_rss_bytes", EVERY_KIND),
    JudgedMetric("weights_bytes", EVERY_KIND),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One judged metric of a record whose measurements count.

    Attributes:
        metric: which one.
        threads: thread class of the cell in its document, as thread_class() names it.
        record: where it stands.
        measured: in the metric's unit, above 0; None when it was not measured.
    """

    metric: JudgedMetric
    threads: str
    record: Record
    measured: float | None

    def estimated(self, estimator: str) -> float | None:
        """An estimate in the metric's unit, above 0; None where there is none."""
        return _above_zero(self.record.estimates.get(self.metric.name, {}).get(estimator))


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric of one cell, as it was estimated and as it was measured.

    Attributes:
        metric: name of one of JUDGED.
        threads: thread class of the cell in its document.
        estimator: one of ESTIMATORS, or REMEASURE.
        cell: the cell.
        error_ln: ln(estimated time / measured time).
    """

    metric: str
    threads: str
    estimator: str
    cell: Cell
    error_ln: float


def log_time_ratio(metric: JudgedMetric, estimated: float, measured: float) -> float:
    """ln(estimated time / measured time) of two rates, times or sizes above 0.

    A difference of logarithms: swapping the two gives exactly the negative, equal ones exactly 0.
    """
    difference = math.log(estimated) - math.log(measured)
    return 0.0 - difference if metric.is_rate else difference


def thread_class(threads: int, most_threads: int) -> str:
    """`1 thread`, `all` for the largest count of the document, else the count: `4 threads`."""
    if threads == 1:
        return ONE_THREAD
    return ALL_THREADS if threads == most_threads else f"{threads} threads"


def judged_metrics(documents: Iterable[Document]) -> Iterator[Judged]:
    """Yield what estimates are judged by, of every record that counts, measured or not."""
    for document in documents:
        most_threads = max((record.cell.threads for record in document.records), default=1)
        for record in document.records:
            if why_left_out(record) is not None:
                continue
            for metric in JUDGED:
                if kind_of(record.cell) in metric.kinds:
                    threads = thread_class(record.cell.threads, most_threads)
                    yield Judged(metric, threads, record, _measured(record, metric.name))


def estimate_pairs(documents: Iterable[Document]) -> list[Pair]:
    """Return every estimate whose metric was measured in the same record."""
    return [
        _pair(judged, estimator, estimated, judged.measured)
        for judged in judged_metrics(documents)
        if judged.measured is not None
        for estimator in ESTIMATORS
        if (estimated := judged.estimated(estimator)) is not None
    ]


def remeasure_pairs(documents: Iterable[Document], remeasured: Iterable[Document]) -> list[Pair]:
    """Return ln(first time / second time) of every cell that further documents measured again.

    A cell is the same one when all its fields are. Its thread class is that of its first document.
    """
    again: dict[tuple[Cell, str], list[float]] = {}
    for judged in judged_metrics(remeasured):
        if judged.measured is not None:
            key = (judged.record.cell, judged.metric.name)
            again.setdefault(key, []).append(judged.measured)
    return [
        _pair(judged, REMEASURE, judged.measured, second)
        for judged in judged_metrics(documents)
        if judged.measured is not None
        for second in again.get((judged.record.cell, judged.metric.name), ())
    ]


def _pair(judged: Judged, estimator: str, estimated: float, measured: float) -> Pair:
    """Return the error of one estimate."""
    error_ln = log_time_ratio(judged.metric, estimated, measured)
    return Pair(judged.metric.name, judged.threads, estimator, judged.record.cell, error_ln)


def _measured(record: Record, name: str) -> float | None:
    """Return a metric's value; None when it was not measured."""
    metric = record.metrics.get(name)
    return None if metric is None else _above_zero(metric.value)


def _above_zero(value: float | None) -> float | None:
    """Return a value that has a logarithm; None for every other, which is no measurement."""
    return value if value is not None and 0 < value < math.inf else None
