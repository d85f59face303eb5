"""How far each estimate is from what was measured, over whole documents. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.error_pairs import (
    JUDGED,
    estimate_pairs,
    judged_metrics,
    remeasure_pairs,
)
from harness.analysis.error_rows import GROUPED, HIGH_SHARE, ErrorRow, error_rows, group_rows
from harness.core.errors import UsageError
from harness.estimator.record import ESTIMATORS
from harness.results.schema import Cell, Document
from harness.results.validity import why_left_out
from harness.stats.intervals import least_samples


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
                f"{run_id} is given {count} times",
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
        found = document.environment.get("cpu_model")
        known = documents[0].environment.get("cpu_model")
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
