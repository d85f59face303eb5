"""The records of a comparison: what is asked, one line of the answer, the whole of it."""

from dataclasses import dataclass

from harness.results.enums import Verdict
from harness.results.metric_row import MetricRow
from harness.results.schema import Cell
from harness.stats.differences import Difference
from harness.stats.intervals import Interval
from harness.stats.power import ALPHA, detectable, surely_detectable

DEFAULT_TOLERANCE = 0.03


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of two sides.

    Attributes:
        tolerance: share by which a ratio may be off 1 and still be called the same.
        metrics: names, compared in every test that has them; empty: the default ones.
        watched: names that are compared besides, because a gate watches them.
        each: every line is a question of its own, not one of a family.
    """

    tolerance: float = DEFAULT_TOLERANCE
    metrics: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    each: bool = False


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
        p_family: two-sided p-value, adjusted for all lines that could be mistaken.
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
    p_family: float | None = None
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
        """Whether worse or better is also said of the line as one of the family (Holm)."""
        return self.p_family is not None and self.p_family < ALPHA

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
    def sure_to_show(self) -> float | None:
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
    """

    question: Question
    axis: str | None
    base_runs: tuple[str, ...]
    new_runs: tuple[str, ...]
    rows: tuple[CompareRow, ...]
    notes: tuple[str, ...]
