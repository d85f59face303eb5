"""Two sides, cell by cell and metric by metric: how far apart, how sure, and the verdict. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from harness.analysis.axis_words import MACHINE_AXIS, axis_field, axis_words
from harness.analysis.compare_differences import check_sides
from harness.analysis.compare_match import (
    Match,
    comparable,
    describe,
    is_counted_otherwise,
    line_key,
    lost_cells,
    match_axis,
    match_documents,
)
from harness.analysis.compare_sides import PROCESSES, Side, find_compared, side_of
from harness.core.errors import UsageError
from harness.results.background import UNKNOWN, Background
from harness.results.enums import Ending, Verdict
from harness.results.metric_row import TIME_WORDS, MetricRow
from harness.results.progress import ending_of, progress_sentence
from harness.results.schema import Cell, Document
from harness.stats.correction import holm
from harness.stats.differences import Difference, combine, paired_difference
from harness.stats.intervals import Interval, percentile, percentile_interval
from harness.stats.power import ALPHA, detectable, surely_detectable
from harness.stats.ranks import shift_of_pairs, shift_of_samples

DEFAULT_TOLERANCE = 0.03
HIGH_SHARE = 0.9  # of the speeds whose difference a note tells
ROUNDS = "rounds"  # the basis of a paired comparison


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of two sides.

    Attributes:
        tolerance: share by which a ratio may be off 1 and still be called the same.
        metrics: names, compared in every test that has them; empty: the default ones.
        watched: names that are compared besides, because a gate watches them.
        no_correction: leave out the correction for multiple comparisons (Holm).
    """

    tolerance: float = DEFAULT_TOLERANCE
    metrics: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    no_correction: bool = False


@dataclass(frozen=True, slots=True)
class CompareRow:
    """One metric of one cell on both sides.

    Attributes:
        metric: which one.
        cell: the base's cell.
        new_cell: the new side's; differs in the axis.
        unit: of both values.
        base: value of the base.
        new: value of the new side.
        counts: processes, rounds, runs or chunks of each side.
        basis: which of them.
        center: new / base as a geometric mean, or new - base for a metric that is no ratio.
        difference: on the metric's scale, above 0 where new is worse; None: no scatter is known.
        ranks: the same by ranks, from 6 values a side; else None.
        margin: the tolerance on the metric's scale.
        processes: that were timed on each side, over all its runs.
        background: what others used of the processors while each side was measured.
        sides: machines of base and new; empty: of another comparison.
        p_adjusted: two-sided p-value, corrected for all lines that could be mistaken (Holm).
        verdict: worse, better, same or inconclusive, of this line alone.
        reason: why nothing can be told, where the data is not enough; else None.
    """

    metric: MetricRow
    cell: Cell
    new_cell: Cell
    unit: str
    base: float
    new: float
    counts: tuple[int, int]
    basis: str
    center: float
    difference: Difference | None
    ranks: Interval | None
    margin: float
    processes: tuple[int, int]
    background: tuple[Background, Background] = (UNKNOWN, UNKNOWN)
    sides: tuple[str, str] = ("", "")
    p_adjusted: float | None = None
    verdict: Verdict = Verdict.INCONCLUSIVE
    reason: str | None = None

    @property
    def word(self) -> str:
        """The verdict in the metric's own words."""
        better, worse = self.metric.words
        words = {Verdict.BETTER: better, Verdict.WORSE: worse}
        return words.get(self.verdict, str(self.verdict))

    @property
    def holds_together(self) -> bool:
        """Whether worse or better is confirmed by the correction for multiple comparisons."""
        return self.p_adjusted is not None and self.p_adjusted < ALPHA

    @property
    def could_show(self) -> float | None:
        """Least difference that is found with a chance of 80 % at the scatter seen.

        A share of the base for a ratio, else in the unit; None: nothing could be shown.
        """
        found = self.difference
        if found is None:
            return None
        return self._amount(detectable(found.standard_error, found.dof, least=self.margin))

    @property
    def mde(self) -> float | None:
        """The same at the upper limit of that scatter, which holds in 95 of 100 comparisons."""
        if self.difference is None:
            return None
        return self._amount(surely_detectable(self.difference, least=self.margin))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of `center`."""
        if self.difference is None:
            return None
        plain = self.difference.mirrored() if self.metric.more_is_better else self.difference
        low, high = plain.interval()
        return self.metric.off_scale(low), self.metric.off_scale(high)

    def _amount(self, least: float) -> float:
        """A difference on the scale of the statistics as a share of the base, or as it is."""
        return self.metric.off_scale(least) - 1 if self.metric.is_ratio else least


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two sides, or one document along an axis, say.

    Attributes:
        question: what was asked.
        axis: the field that differs; None: two sides.
        base_runs: run ids of the base.
        new_runs: run ids of the new side.
        rows: in the order of the base, one cell's metrics together.
        notes: what differs, what stands alone, what was left out.
        lost: cells that one side could not measure, and why: no line judges them.
        partial: what runs lack that ended before their plan did, and the command that goes on;
            the first of the notes too.
        axis_values: of the base and of the new side, in words; empty: two sides.
    """

    question: Question
    axis: str | None
    base_runs: tuple[str, ...]
    new_runs: tuple[str, ...]
    rows: tuple[CompareRow, ...]
    notes: tuple[str, ...]
    lost: tuple[tuple[Cell, str], ...] = ()
    partial: tuple[str, ...] = ()
    axis_values: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


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
    found = compare_matches(matches, question, None, runs, (*told, *alone))
    short = (*partial_runs(base, "base "), *partial_runs(new, "new "))
    return replace(found, lost=lost_cells(base, new), partial=short, notes=(*short, *found.notes))


def compare_axis(document: Document, axis: str, base: str | None, question: Question) -> Comparison:
    """Compare the cells of one run along an axis, round by round.

    Raises:
        UsageError: no such axis, or nothing to compare along it.
        ResultFormatError: damaged samples.
    """
    matches, alone = match_axis(document, axis, base)
    found = compare_matches(matches, question, axis_field(axis), [(document.run_id,)] * 2, alone)
    short, said = partial_runs([document]), axis_words(document, axis_field(axis))
    cells = [row.cell for row in found.rows], [row.new_cell for row in found.rows]
    base_words, new_words = (tuple(dict.fromkeys(map(said.of, side))) for side in cells)
    return replace(
        found,
        partial=short,
        notes=(*short, *found.notes),
        axis_values=(base_words, new_words),
    )


def partial_runs(side: Sequence[Document], name: str = "") -> tuple[str, ...]:
    """A sentence per run of a side that ended before its plan did: what it lacks, how it goes on.

    Args:
        side: its runs.
        name: of the side, with a space behind it; empty: there is only one.
    """
    return tuple(
        f"{name}{document.run_id} is partial: {progress_sentence(document)}"
        for document in side
        if ending_of(document) in (Ending.INTERRUPTED, Ending.BUDGET, Ending.FAILED)
    )


def compare_matches(
    matches: Sequence[Match],
    question: Question,
    axis: str | None,
    runs: Sequence[tuple[str, ...]],
    notes: tuple[str, ...],
) -> Comparison:
    """Every line of every match, corrected for multiple comparisons.

    Args:
        matches: cells of both sides.
        question: what is asked.
        axis: the field that differs, or MACHINE_AXIS; None: two sides.
        runs: run ids of the base and of the new side.
        notes: that stand first.

    Raises:
        UsageError: nothing can be compared, or a metric is in two units.
        ResultFormatError: damaged samples.
    """
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
            *(() if axis == MACHINE_AXIS else _spread_note(lines)),
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
    difference = _paired(base, first, second) if paired else _independent(base, new)
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
        base=_shown(metric, base, first),
        new=_shown(metric, new, second),
        counts=counts,
        basis=ROUNDS if paired else base.basis,
        center=metric.off_scale(center),
        difference=difference,
        ranks=_off_scale(metric, ranks),
        margin=math.log1p(tolerance) if metric.is_ratio else tolerance,
        processes=counts if paired else (base.processes, new.processes),
        background=(base.background, new.background),
        sides=match.sides,
        reason=None if difference is not None else _why(counts, base.basis),
    )


def _shown(metric: MetricRow, side: Side, values: Sequence[float]) -> float:
    """A side's mean over the very values that the ratio is of, so that a line agrees with itself.

    Geometric where the metric is compared by ratios; what was counted or has no values stays.
    """
    center = fmean(values) if values else side.center
    return side.value if center == metric.on_scale(side.value) else metric.off_scale(center)


def _paired(side: Side, base: Sequence[float], new: Sequence[float]) -> Difference:
    """The difference within rounds, of one run whose widths may have decided on their number."""
    found = paired_difference(base, new)
    return found.widened(side.looks.confidence(len(base)))


def _independent(base: Side, new: Side) -> Difference | None:
    """The difference of two sides that share no round; None where a side has no scatter."""
    if base.variance is None or new.variance is None:
        return None
    center = new.center - base.center
    return combine(center, (base.variance, new.variance), (base.dof, new.dof))


def judged(rows: Sequence[CompareRow], question: Question) -> Iterator[CompareRow]:
    """Yield every row with its verdict and its p-value, corrected for multiple comparisons."""
    risky = [row for row in rows if row.difference is not None and row.difference.standard_error]
    alone = [row.difference.p_value() for row in risky if row.difference is not None]
    adjusted = alone if question.no_correction else holm(alone)
    p_values = {id(row): p_value for row, p_value in zip(risky, adjusted, strict=True)}
    for row in rows:
        found = row.difference
        if found is None:
            yield row
            continue
        yield replace(
            row,
            p_adjusted=p_values.get(id(row), found.p_value()),
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


def judge(worse: Difference, margin: float) -> Verdict:
    """Say only what the data supports.

    WORSE or BETTER: the 95 % interval lies wholly on one side of 0 (p below 0.05) and the
    difference itself is beyond the margin. SAME: the 90 % interval lies inside -margin .. margin,
    which is two one-sided tests. Exchanging the sides mirrors the answer.

    Args:
        worse: the difference new - base, above 0 where new is worse.
        margin: the tolerance on the scale of the difference, above 0.
    """
    if worse.p_value() < ALPHA and abs(worse.center) > margin:
        return Verdict.WORSE if worse.center > 0 else Verdict.BETTER
    if worse.p_equivalent(margin) < ALPHA:
        return Verdict.SAME
    return Verdict.INCONCLUSIVE
