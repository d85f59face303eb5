"""Two sides, cell by cell and metric by metric: how far apart, how sure, and the verdict. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.analysis.compare_check import check_sides
from harness.analysis.compare_match import (
    Match,
    axis_field,
    comparable,
    describe,
    is_counted_otherwise,
    line_key,
    match_axis,
    match_documents,
)
from harness.analysis.compare_rows import CompareRow, Comparison, Question
from harness.analysis.compare_sides import PROCESSES, Side, side_of
from harness.analysis.compared import find_compared
from harness.analysis.verdict import judge
from harness.core.errors import UsageError
from harness.results.enums import Verdict
from harness.results.metric_row import TIME_WORDS, MetricRow
from harness.results.schema import Document
from harness.stats.differences import Difference, combine, paired_difference
from harness.stats.family import holm
from harness.stats.intervals import Interval, percentile, percentile_interval
from harness.stats.ranks import shift_of_pairs, shift_of_samples

HIGH_SHARE = 0.9  # of the speeds whose difference a note tells
ROUNDS = "rounds"  # the basis of a paired comparison


def compare_documents(
    base: Sequence[Document],
    new: Sequence[Document],
    question: Question,
    force: bool = False,
) -> Comparison:
    """Compare two sides, each of one run or more.

    Raises:
        UsageError: sides that may not be compared, or that share no cell that counts.
        ResultFormatError: damaged samples, or a metric in two units.
    """
    told = check_sides(base, new, force)
    matches, alone = match_documents(base, new)
    runs = [tuple(document.run_id for document in side) for side in (base, new)]
    return _comparison(matches, question, None, runs, (*told, *alone))


def compare_axis(document: Document, axis: str, base: str | None, question: Question) -> Comparison:
    """Compare the cells of one run along an axis, round by round.

    Raises:
        UsageError: no such axis, or nothing to compare along it.
        ResultFormatError: damaged samples.
    """
    matches, alone = match_axis(document, axis, base)
    return _comparison(matches, question, axis_field(axis), [(document.run_id,)] * 2, alone)


def _comparison(
    matches: Sequence[Match],
    question: Question,
    axis: str | None,
    runs: Sequence[tuple[str, ...]],
    notes: tuple[str, ...],
) -> Comparison:
    """Every line of every match, judged as one family."""
    metrics = find_compared(question.metrics, question.watched)
    absent: dict[str, list[str]] = {}
    rows = list(_rows(matches, metrics, question, absent))
    if not rows:
        by = f" by {', '.join(question.metrics)}" if question.metrics else ""
        raise UsageError(
            "; ".join([f"the two sides share nothing that can be compared{by}", *notes]),
            fix="results that hold the same cells; bench report FILE shows what each holds",
        )
    missing = [f"{what}: {len(cells)} cells" for what, cells in absent.items()]
    lines = list(judged(rows, question))
    return Comparison(
        question=question,
        axis=axis,
        base_runs=runs[0],
        new_runs=runs[1],
        rows=tuple(lines),
        notes=(
            *notes,
            *missing,
            *_silent_notes(lines),
            *_rank_notes(lines),
            *_spread_note(lines),
        ),
    )


def _rows(
    matches: Sequence[Match],
    metrics: Sequence[MetricRow],
    question: Question,
    absent: dict[str, list[str]],
) -> Iterator[CompareRow]:
    """Yield one row per metric and match; `absent` collects what only one side holds."""
    seen = set()
    for match in matches:
        per_run = len(match.base) > 1 or len(match.new) > 1
        for metric in metrics:
            if not comparable(metric, match, metric.name in question.metrics):
                continue
            key = line_key(metric, match)
            base, new = (side_of(metric, side, per_run) for side in (match.base, match.new))
            if base is not None and new is not None and is_counted_otherwise(metric, match):
                what = f"{metric.name} is from another counter in base than in new"
                absent.setdefault(what, []).append(describe(match.cell))
                continue
            if base is not None and new is not None:
                if key not in seen:
                    seen.add(key)
                    yield _row(metric, match, base, new, question)
            elif base is not None or new is not None:
                side = "base" if base is not None else "new"
                absent.setdefault(f"{metric.name} only in {side}", []).append(describe(match.cell))


def _row(metric: MetricRow, match: Match, base: Side, new: Side, question: Question) -> CompareRow:
    """One row, not judged yet."""
    if base.unit != new.unit:
        raise UsageError(
            f"{metric.name} of {describe(match.cell)} is in {base.unit or 'no unit'} in base and "
            f"in {new.unit or 'no unit'} in new",
            fix="measure both sides with one version",
        )
    rounds = sorted(base.values.keys() & new.values.keys()) if match.interleaved else []
    paired = len(rounds) > 1
    first, second = (
        [side.values[place] for place in (rounds if paired else side.values)]
        for side in (base, new)
    )
    difference = paired_difference(first, second) if paired else _independent(base, new)
    center = new.center - base.center if difference is None else difference.center
    ranks = (shift_of_pairs if paired else shift_of_samples)(first, second)
    tolerance = question.tolerance if metric.tolerance is None else metric.tolerance
    counts = (len(rounds), len(rounds)) if paired else (base.count, new.count)
    if difference is not None and metric.more_is_better:
        difference = difference.mirrored()
    return CompareRow(
        metric=metric,
        cell=match.cell,
        new_cell=match.new_cell,
        unit=base.unit,
        base=base.value,
        new=new.value,
        counts=counts,
        basis=ROUNDS if paired else base.basis,
        center=metric.off_scale(center),
        difference=difference,
        ranks=_off_scale(metric, ranks),
        margin=math.log1p(tolerance) if metric.is_ratio else tolerance,
        reason=None if difference is not None else _why(counts, base.basis),
    )


def _independent(base: Side, new: Side) -> Difference | None:
    """The difference of two sides that share no round; None where a side has no scatter."""
    if base.variance is None or new.variance is None:
        return None
    center = new.center - base.center
    return combine(center, (base.variance, new.variance), (base.dof, new.dof))


def judged(rows: Sequence[CompareRow], question: Question) -> Iterator[CompareRow]:
    """Yield every row with its verdict, and its p-value in the family of all that may mistake."""
    risky = [row for row in rows if row.difference is not None and row.difference.standard_error]
    alone = [row.difference.p_value() for row in risky if row.difference is not None]
    adjusted = alone if question.each else holm(alone)
    p_values = {id(row): p_value for row, p_value in zip(risky, adjusted, strict=True)}
    for row in rows:
        found = row.difference
        if found is None:
            yield row
            continue
        yield replace(
            row,
            p_family=p_values.get(id(row), found.p_value()),
            verdict=judge(found, row.margin),
        )


def _rank_notes(rows: Sequence[CompareRow]) -> Iterator[str]:
    """Yield where ranks do not support what the means say: one wild process, or two kinds."""
    for row in rows:
        neutral = 1.0 if row.metric.is_ratio else 0.0
        if row.ranks is None or row.verdict not in (Verdict.WORSE, Verdict.BETTER):
            continue
        if row.ranks.low <= neutral <= row.ranks.high:
            yield (
                f"{row.metric.name} of {describe(row.cell)}: by ranks {row.ranks.center:.3f} "
                f"[{row.ranks.low:.3f}, {row.ranks.high:.3f}], which does not support {row.word}"
            )


def _silent_notes(rows: Sequence[CompareRow]) -> Iterator[str]:
    """Yield why lines have no interval, each reason once."""
    for reason in dict.fromkeys(row.reason for row in rows if row.reason is not None):
        silent = [describe(row.cell) for row in rows if row.reason == reason]
        yield f"no interval in {len(silent)} lines, such as {silent[0]}: {reason}"


def _spread_note(rows: Sequence[CompareRow]) -> Iterator[str]:
    """Yield how far apart most speeds of two runs are, whatever the cause: the machine's noise.

    Given from the lines that a 90th percentile needs, with its distribution-free interval.
    """
    apart = [
        abs(row.difference.center)
        for row in rows
        if row.difference is not None and row.basis == PROCESSES and row.metric.words == TIME_WORDS
    ]
    high, ends = percentile(apart, HIGH_SHARE), percentile_interval(apart, HIGH_SHARE)
    if high is not None and ends is not None:
        low, most, middle = (f"{math.expm1(end):.1%}" for end in (*ends, high))
        yield f"9 in 10 of {len(apart)} speeds differ by at most {middle} [{low}, {most}]"


def _why(counts: tuple[int, int], basis: str) -> str:
    """Why a side has no scatter."""
    more = "--rounds 5" if basis == PROCESSES else "measure once more"
    return f"a side has {min(counts)} of the {basis} that a verdict needs two of; {more}"


def _off_scale(metric: MetricRow, found: Interval | None) -> Interval | None:
    """An interval as ratios, or as it is."""
    if found is None:
        return None
    ends = (found.center, found.low, found.high)
    return Interval(*(metric.off_scale(end) for end in ends))
