"""What interleaved pairs of live workers say: a line per metric, judged like any other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log, log1p
from statistics import fmean, median

from harness.analysis.compare import CompareRow, Comparison, Question, judged
from harness.analysis.compare_sides import find_compared
from harness.results.background import UNKNOWN, Background, background_of
from harness.results.entries import PairEntry
from harness.results.metric_row import MetricRow
from harness.results.schema import Cell
from harness.stats.differences import Difference, paired_difference
from harness.stats.intervals import CONFIDENCE, Interval
from harness.stats.ranks import shift_of_pairs
from harness.stats.stopping import FIRST_LOOK, NO_LOOKS, Looks

BASIS = "pairs"
LEAST_PAIRS = FIRST_LOOK


@dataclass(frozen=True, slots=True)
class PairValue:
    """What one pair says of one metric of one test.

    Attributes:
        log_ratio: ln(b / a), the median over its turns.
        base: of side a, the median over its turns.
        new: of side b.
    """

    log_ratio: float
    base: float
    new: float


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of one test in both variants, a value per pair.

    Attributes:
        metric: a name of the registry that turns or starts give.
        cell: of side a.
        new_cell: of side b.
        values: pair after pair.
        is_start: load or first run, of which a pair has one value a side.
        background: what others used of the processors meanwhile, beside both sides alike.
    """

    metric: str
    cell: Cell
    new_cell: Cell
    values: tuple[PairValue, ...]
    is_start: bool = False
    background: Background = UNKNOWN


def compare_turns(
    lines: Sequence[Line],
    question: Question,
    names: tuple[str, str],
    notes: tuple[str, ...],
    looks: Looks = NO_LOOKS,
) -> Comparison:
    """Judge every line, corrected for multiple comparisons.

    A line of fewer than LEAST_PAIRS pairs has no verdict.
    The interval is Student's over the pairs' log ratios, as wide as a number of pairs asks for that
    its width decided; ratios are b / a.

    Args:
        lines: two pairs or more each.
        question: tolerance, and whether lines stand alone.
        names: how the sides are called.
        notes: what stands below the table.
        looks: at which numbers of pairs a width decided whether another one was measured.
    """
    rows = judged([_row(line, question, looks) for line in lines], question)
    return Comparison(question, None, (names[0],), (names[1],), tuple(rows), notes)


def widest_half_width(lines: Sequence[Line], confidence: float = CONFIDENCE) -> float | None:
    """The largest half-width of an interval over the lines, as a share; None: no interval yet.

    Starts do not count: without turns they would decide how long a comparison takes.
    """
    widths = []
    for line in lines:
        if line.is_start:
            continue
        if len(line.values) < LEAST_PAIRS:
            return None
        low, high = _difference(line).interval(confidence)
        widths.append((high - low) / 2)
    return max(widths, default=None)


def _row(line: Line, question: Question, looks: Looks) -> CompareRow:
    """One line, not judged yet."""
    (metric,) = find_compared((line.metric,))
    count, enough = len(line.values), len(line.values) >= LEAST_PAIRS
    found = _difference(line).widened(looks.confidence(count))
    # Geometric means, as the ratio is; it is of ratios of turns, so a side's own mean is not used.
    base = exp(fmean(log(value.base) for value in line.values))
    worse = found.mirrored() if metric.more_is_better else found
    ranks = shift_of_pairs([0.0] * count, [value.log_ratio for value in line.values])
    return CompareRow(
        metric=metric,
        cell=line.cell,
        new_cell=line.new_cell,
        unit=metric.unit,
        base=base,
        new=base * exp(found.center),
        counts=(count, count),
        basis=BASIS,
        center=metric.off_scale(found.center),
        difference=worse if enough else None,
        ranks=None if ranks is None else _ratios(metric, ranks),
        margin=log1p(question.tolerance),
        processes=(count, count),
        background=(line.background, line.background),
        reason=None if enough else f"{count} pairs: no verdict under {LEAST_PAIRS}",
    )


def _difference(line: Line) -> Difference:
    """Mean log ratio of the pairs, and its scatter."""
    return paired_difference([0.0] * len(line.values), [value.log_ratio for value in line.values])


def _ratios(metric: MetricRow, found: Interval) -> Interval:
    """An interval of logarithms as ratios."""
    return Interval(*(metric.off_scale(end) for end in (found.center, found.low, found.high)))


def lines_of(pairs: Sequence[PairEntry], cells: Mapping[str, tuple[Cell, Cell]]) -> list[Line]:
    """Lines of everything that every pair gave, in the order in which it was taken.

    Args:
        pairs: as they are journalled.
        cells: test name -> the cells of both sides; a start stands under the first.
    """
    taken: dict[tuple[str, str], list[PairValue]] = {}
    for pair in pairs:
        for metric, values in pair.starts_ms.items():
            taken.setdefault(("", metric), []).append(_pair_value([values]))
        for turn in pair.turns:
            taken.setdefault((turn.test, turn.metric), []).append(_pair_value(turn.values))
    first = next(iter(cells.values()))
    return [
        Line(
            metric,
            *cells.get(test, first),
            tuple(values),
            is_start=not test,
            background=_background(pairs, test),
        )
        for (test, metric), values in taken.items()
        if len(values) > 1
    ]


def _pair_value(turns: Sequence[tuple[float, float]]) -> PairValue:
    """What one pair says of one metric, of its turns in (a, b)."""
    return PairValue(
        median(log(b / a) for a, b in turns),
        median(a for a, _ in turns),
        median(b for _, b in turns),
    )


def _background(pairs: Sequence[PairEntry], test: str) -> Background:
    """What others used while a test took turns; of a start, in all tests of its pairs."""
    return background_of(
        watch
        for pair in pairs
        for watch in ([pair.watches.get(test)] if test else pair.watches.values())
    )


class Ending(StrEnum):
    """Why no further pair is measured."""

    PRECISION = "precision"  # every interval is narrow enough
    PAIRS = "pairs"  # all that were asked for
    BUDGET = "budget"  # the next one would end after it
    INTERRUPTED = "interrupted"
    LOST = "lost"  # a worker of the next one, twice


def looks_until(ending: Ending, pairs: int, most: int) -> Looks:
    """The looks of a comparison that ended: where no width ended it, the last pair is the last.

    Args:
        ending: why.
        pairs: that were measured.
        most: that were allowed; 0: intervals are those of a fixed number of pairs.
    """
    return Looks(LEAST_PAIRS, most if ending is Ending.PRECISION else min(pairs, most))


@dataclass(frozen=True, slots=True)
class Limits:
    """When enough pairs have been measured.

    Attributes:
        most: pairs.
        precision: half-width of every interval that is narrow enough, a share.
        budget_s: seconds after which no further pair is begun; None: no limit.
    """

    most: int
    precision: float
    budget_s: float | None

    @property
    def looks(self) -> Looks:
        """At which numbers of pairs the width decides."""
        return Looks(LEAST_PAIRS, self.most)

    def ending(self, pairs: int, elapsed_s: float, lines: Sequence[Line]) -> Ending | None:
        """Why there are enough; None: another one is measured.

        The budget is kept by the usual length of a pair; two are measured in any case.
        """
        width = widest_half_width(lines, self.looks.confidence(pairs))
        if width is not None and width <= self.precision:
            return Ending.PRECISION
        if pairs >= self.most:
            return Ending.PAIRS
        if self.budget_s is None or pairs < 2:
            return None
        return Ending.BUDGET if elapsed_s * (pairs + 1) / pairs > self.budget_s else None
