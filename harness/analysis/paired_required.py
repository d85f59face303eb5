"""Absolute limits on both sides of `bench ab`: a side has one value of every pair. Pure.

Turns give the rate at the median decode step in place of decode_tok_s: a limit on that is judged by
it, as gates are.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.paired import Line
from harness.core.errors import UsageError
from harness.results.enums import Kind
from harness.results.judged import Judged, judge_values, stopped_family
from harness.results.metric_row import MetricRow
from harness.results.metrics import METRICS
from harness.results.requirement import Requirement
from harness.results.schema import Cell
from harness.stats.limits import LEAST_VALUES, Family
from harness.stats.stopping import NO_LOOKS, Looks

SIDES = ("A", "B")
FEW = f"fewer than {LEAST_VALUES} pairs (--pairs {LEAST_VALUES} or more)"


@dataclass(frozen=True, slots=True)
class SideCell:
    """One side of a line: both may be of the same cell.

    Attributes:
        cell: of the side.
        side: `A` or `B`.
    """

    cell: Cell
    side: str


def judge_pairs(
    lines: Sequence[Line], requirements: Sequence[Requirement], looks: Looks = NO_LOOKS
) -> list[tuple[SideCell, Judged]]:
    """What is said of both sides of every line that a requirement is about, told together.

    Args:
        lines: of one file of pairs.
        requirements: all of them.
        looks: at which numbers of pairs a width decided whether there is another one.

    Raises:
        UsageError: a requirement that no line is about: it could never fail.
    """
    asked = [(line, one) for line in lines for one in requirements if line.metric in _names(one)]
    for one in requirements:
        if not any(other is one for _, other in asked):
            raise _unanswered(one)
    family = Family(len(asked) * len(SIDES))
    return [
        (whose, judge_values(one, values, stopped_family(family, looks, len(values)), busy, FEW))
        for line, one in asked
        for busy in [line.background.is_busy]
        for whose, values in _sides(line)
    ]


def refuse_unanswered(requirements: Sequence[Requirement], kinds: Collection[Kind]) -> None:
    """Refuse a requirement that turns and starts of some kinds of tests do not answer.

    Raises:
        UsageError: says what they give.
    """
    for one in requirements:
        if not any(row.of_start or set(row.in_turns) & set(kinds) for row in _rows(one)):
            raise _unanswered(one)


def stand_ins(requirements: Sequence[Requirement]) -> Iterator[str]:
    """Yield a sentence for each limit that another metric than its own answers."""
    for one in requirements:
        for row in _rows(one):
            if row is not one.metric:
                yield (
                    f"{one.text} is judged by {row.name}, which turns give"
                    f" (bench explain {row.name})"
                )


def _rows(one: Requirement) -> tuple[MetricRow, ...]:
    """What turns or starts give of a requirement's metric; nothing of rates over minutes."""
    given = (row for row in METRICS if row.in_turns or row.of_start)
    name = one.metric.name
    return () if one.is_sustained else tuple(row for row in given if name in (row.name, row.once))


def _names(one: Requirement) -> set[str]:
    """What lines of a requirement are called: in older files by the name of the metric itself."""
    found = {row.name for row in _rows(one)}
    return {*found, one.metric.name} if found else found


def _sides(line: Line) -> Iterator[tuple[SideCell, list[float]]]:
    """Yield both sides with their values, pair after pair."""
    yield SideCell(line.cell, SIDES[0]), [value.base for value in line.values]
    yield SideCell(line.new_cell, SIDES[1]), [value.new for value in line.values]


def _unanswered(one: Requirement) -> UsageError:
    known = dict.fromkeys(row.once or row.name for row in METRICS if row.in_turns or row.of_start)
    return UsageError(
        f"--require {one.text}: pairs do not measure {one.metric_name} in these tests; turns and"
        f" starts give {', '.join(known)}",
        fix="a test of it (--gen 32, --pg 128,32), or bench run --require, which judges all others",
    )
