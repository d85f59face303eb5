"""How far each estimate is from what was measured, cell by cell and over whole documents. Pure.

The error of an estimate is the logarithm of a ratio of times, or of bytes:

    e = ln(estimated time / measured time)

0 is exact; above 0 the estimate is too slow (too large). Twice too slow is as wrong as twice too
fast: |e| = 0.693 for both. A rate is the inverse of a time: e = ln(measured rate / estimated rate).
The estimator `remeasure` is a first run, taken for an estimate of a second one of the same cells:
how far apart two measurements are, which no estimate can be told to be better than.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from harness.core.errors import UsageError
from harness.estimator.record import AS_CALIBRATED, CALIBRATED, ESTIMATORS
from harness.results.enums import Kind
from harness.results.metrics import metric_row
from harness.results.schema import DECODE, ENCODE, PREFILL, REQUEST, Cell, Document, Record, kind_of
from harness.results.validity import why_left_out
from harness.stats.intervals import least_samples, percentile

REMEASURE = "remeasure"
ONE_THREAD, ALL_THREADS = "1 thread", "all"
EVERY_KIND = (PREFILL, DECODE, REQUEST, ENCODE)
HIGH_SHARE = 0.9  # of the cells whose error is not above `p90_ln`
GROUPED = CALIBRATED  # the estimator of a grouped view: the one that users are given


@dataclass(frozen=True, slots=True)
class JudgedMetric:
    """One metric that estimates are judged by.

    Attributes:
        name: as in the registry.
        kinds: the kinds of test it is judged on.
    """

    name: str
    kinds: tuple[Kind, ...]

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
METRIC_PLACES = {metric.name: place for place, metric in enumerate(JUDGED)}
# The calibrated estimate without the drift of the machine stands before the one with it.
JUDGED_ESTIMATORS = (*ESTIMATORS[:-1], AS_CALIBRATED, ESTIMATORS[-1])
ESTIMATOR_PLACES = {name: place for place, name in enumerate((*JUDGED_ESTIMATORS, REMEASURE))}


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
        estimator: one of JUDGED_ESTIMATORS, or REMEASURE.
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
        for estimator in JUDGED_ESTIMATORS
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


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """The errors e of one estimator in one metric and thread class.

    Attributes:
        metric: name of a judged metric.
        threads: `1 thread`, `all` (the largest count of a document), or another count.
        estimator: one of JUDGED_ESTIMATORS, or REMEASURE.
        group: which group of the grouping; None in the table over all cells.
        cells: how many errors there are.
        median_ln: median of |e|.
        p90_ln: the |e| of rank ceil(0.9 * cells), in rising order.
        p90_is_indicative: there are fewer cells than a 90th percentile needs.
        worst_ln: largest |e|.
        worst_cell: model, level and test of that cell; None where every error is 0.
        bias_ratio: exp(mean e), the geometric mean of estimated / measured time; above 1: too slow.
    """

    metric: str
    threads: str
    estimator: str
    group: str | None
    cells: int
    median_ln: float
    p90_ln: float | None
    p90_is_indicative: bool
    worst_ln: float
    worst_cell: str | None
    bias_ratio: float


@dataclass(frozen=True, slots=True)
class Grouping:
    """One way of dividing cells.

    Attributes:
        label: name of a cell's group.
        rank: what groups are sorted by; equal ones keep the order of the documents.
    """

    label: Callable[[Cell], str]
    rank: Callable[[Cell], tuple[int, ...]] = lambda cell: ()


GROUPINGS = {
    "model": Grouping(lambda cell: cell.model),
    "level": Grouping(lambda cell: cell.level),
    "depth": Grouping(lambda cell: f"d{cell.depth}", lambda cell: (cell.depth,)),
    "test": Grouping(
        lambda cell: cell.workload.partition(" @ ")[0],
        lambda cell: (cell.prompt, cell.gen, cell.sequences),
    ),
}


def error_rows(pairs: Iterable[Pair]) -> tuple[ErrorRow, ...]:
    """One row per metric, thread class and estimator that has a pair, in this order."""
    found: dict[tuple[str, str, str], list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=_place):
        found[pair.metric, pair.threads, pair.estimator].append(pair)
    return tuple(error_row(group) for group in found.values())


def group_rows(pairs: Iterable[Pair], by: str) -> tuple[ErrorRow, ...]:
    """One row per metric, thread class and group, of the estimator GROUPED alone.

    Args:
        pairs: of any estimators.
        by: a key of GROUPINGS.
    """
    grouping = GROUPINGS[by]
    found: dict[tuple[str, str, str], list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: (*_place(pair), grouping.rank(pair.cell))):
        if pair.estimator == GROUPED:
            found[pair.metric, pair.threads, grouping.label(pair.cell)].append(pair)
    return tuple(error_row(group, label) for (_, _, label), group in found.items())


def error_row(pairs: Sequence[Pair], group: str | None = None) -> ErrorRow:
    """Sum up the errors of one metric, thread class and estimator: at least one pair."""
    sizes = [abs(pair.error_ln) for pair in pairs]
    worst = max(pairs, key=lambda pair: abs(pair.error_ln))
    return ErrorRow(
        metric=worst.metric,
        threads=worst.threads,
        estimator=worst.estimator,
        group=group,
        cells=len(pairs),
        median_ln=median(sizes),
        p90_ln=percentile(sizes, HIGH_SHARE, indicative=True),
        p90_is_indicative=len(pairs) < least_samples(HIGH_SHARE),
        worst_ln=max(sizes),
        worst_cell=cell_name(worst.cell) if worst.error_ln else None,
        bias_ratio=math.exp(fmean(pair.error_ln for pair in pairs)),
    )


def cell_name(cell: Cell) -> str:
    """Model, level and test: `smollm2-135m int4 tg16 @ d1500`; `b4` for a batch of 4."""
    batch = [f"b{cell.batch}"] if cell.batch > 1 else []
    return " ".join([cell.model, cell.level, cell.workload, *batch])


def _place(pair: Pair) -> tuple[int, float, int]:
    """Where the row of a pair stands: metric, then threads from 1 to all, then estimator."""
    threads = math.inf if pair.threads == ALL_THREADS else float(pair.threads.split()[0])
    return METRIC_PLACES[pair.metric], threads, ESTIMATOR_PLACES[pair.estimator]


@dataclass(frozen=True, slots=True)
class ErrorStudy:
    """What documents say about the estimates.

    Attributes:
        rows: one per metric, thread class and estimator.
        groups: one per metric, thread class and group, of the calibrated estimate; empty when no
            grouping was asked for.
        notes: what was left out, and why.
    """

    rows: tuple[ErrorRow, ...]
    groups: tuple[ErrorRow, ...]
    notes: tuple[str, ...]


def study_errors(
    documents: Sequence[Document], remeasured: Sequence[Document] = (), by: str | None = None
) -> ErrorStudy:
    """Judge the estimates in `documents` by what the same documents measured.

    Args:
        documents: their cells are pooled.
        remeasured: the same plan at another time; only what they measured is used.
        by: a key of GROUPINGS; None: no groups.

    Raises:
        UsageError: nothing to judge or to group, a run that is there twice, or two documents that
            are of different methods.
    """
    _check_distinct([*documents, *remeasured])
    for document in (*documents, *remeasured):
        check_method(document, documents[0].method_version)
    pairs = estimate_pairs(documents)
    if not pairs:
        raise UsageError(
            "; ".join(["no cell holds both an estimate and a measurement", *_left_out(documents)]),
            fix="give results of finished cells, or no RESULTS: the plan is then measured",
        )
    rows = error_rows([*pairs, *remeasure_pairs(documents, remeasured)])
    groups = group_rows(pairs, by) if by else ()
    if by and not groups:
        raise UsageError(f"no cell holds the {GROUPED} estimate", fix="leave --by out")
    notes = (
        *_left_out([*documents, *remeasured]),
        *_not_measured(documents),
        *_not_estimated(documents),
        *_not_shared(documents, remeasured),
        *_indicative([*rows, *groups]),
    )
    return ErrorStudy(rows, groups, notes)


def check_method(document: Document, method_version: int) -> None:
    """Refuse a document whose numbers mean something else than those it is compared with."""
    if document.method_version != method_version:
        raise UsageError(
            f"{document.run_id} was measured by method {document.method_version}, not by method "
            f"{method_version} as the run it is set beside",
            fix="measure the older one again: numbers of two methods are not compared",
        )


def _check_distinct(documents: Sequence[Document]) -> None:
    """Refuse a run that is given twice: its cells would count double, or agree with themselves."""
    counts = Counter(document.run_id for document in documents)
    for run_id, count in counts.items():
        if count > 1:
            raise UsageError(
                f"{run_id} is given {count} times, and counts once",
                fix="name each run once; --remeasure takes another run of the same plan",
            )


def _left_out(documents: Iterable[Document]) -> Iterator[str]:
    """One line per document whose measurements do not all count."""
    for document in documents:
        found = [why_left_out(record) for record in document.records]
        counts = Counter(why for why in found if why is not None)
        if counts:
            listed = ", ".join(f"{count} {why}" for why, count in counts.most_common())
            yield (
                f"{document.run_id}: left out {counts.total()} of {len(document.records)} cells: "
                f"{listed}"
            )


def _not_measured(documents: Iterable[Document]) -> Iterator[str]:
    """One line per metric that some cell should hold and does not."""
    every: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for judged in judged_metrics(documents):
        every[judged.metric.name] += 1
        missing[judged.metric.name] += judged.measured is None
    for name, count in missing.items():
        if count:
            yield f"{name} was not measured in {count} of {every[name]} cells"


def _not_estimated(documents: Iterable[Document]) -> Iterator[str]:
    """One line per estimator: which metrics it has no value of, in how many measured cells."""
    measured = [judged for judged in judged_metrics(documents) if judged.measured is not None]
    every = Counter(judged.metric.name for judged in measured)
    for estimator in ESTIMATORS:
        missing = Counter(
            judged.metric.name for judged in measured if judged.estimated(estimator) is None
        )
        listed = [
            f"{metric.name} in {missing[metric.name]} of {every[metric.name]} cells"
            for metric in JUDGED
            if missing[metric.name]
        ]
        if missing == every:
            yield f"{estimator} has no value of anything measured here"
        elif listed:
            yield f"{estimator} has no value of {', '.join(listed)}"


def _not_shared(documents: Sequence[Document], remeasured: Iterable[Document]) -> Iterator[str]:
    """One line per further document: cells that only one side holds, and another machine."""
    first = _cells(documents)
    for document in remeasured:
        second = _cells([document])
        if first != second:
            yield (
                f"cells that {document.run_id} remeasures: {len(first & second)}; only in it: "
                f"{len(second - first)}; only in what it is compared with: {len(first - second)}"
            )
        found = document.environment.cpu_model
        known = documents[0].environment.cpu_model
        if found != known:
            yield f"{document.run_id} was measured on another processor: {found}, not {known}"


def _cells(documents: Iterable[Document]) -> set[Cell]:
    """Cells whose measurements count."""
    return {
        record.cell
        for document in documents
        for record in document.records
        if why_left_out(record) is None
    }


def _indicative(rows: Iterable[ErrorRow]) -> Iterator[str]:
    """One line where any 90th percentile stands on too few cells."""
    if any(row.p90_is_indicative for row in rows):
        yield f"a p90 of fewer than {least_samples(HIGH_SHARE)} cells is indicative"
