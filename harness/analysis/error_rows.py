"""Errors -> rows of a table: their middle, their high end, their worst, and their bias. Pure."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from harness.analysis.error_pairs import ALL_THREADS, JUDGED, REMEASURE, Pair
from harness.estimator.record import CALIBRATED, ESTIMATORS
from harness.results.schema import Cell
from harness.stats.intervals import least_samples, percentile

HIGH_SHARE = 0.9  # of the cells whose error is not above `p90_ln`
GROUPED = CALIBRATED  # the estimator of a grouped view: the one that users are given

METRIC_PLACES = {metric.name: place for place, metric in enumerate(JUDGED)}
ESTIMATOR_PLACES = {name: place for place, name in enumerate((*ESTIMATORS, REMEASURE))}


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """The errors e of one estimator in one metric and thread class.

    Attributes:
        metric: name of a judged metric.
        threads: `1 thread`, `all` (the largest count of a document), or another count.
        estimator: one of ESTIMATORS, or REMEASURE.
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
