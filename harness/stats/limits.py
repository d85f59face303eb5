"""On which side of a limit a quantity lies, told of many lines, look by look. Pure.

A line is one quantity of one candidate beside its limit. It is looked at after some numbers of
values, and the first look whose whole interval lies on one side decides it. Of a line one side is
the wrong one, so what must be rare is an end of an interval on the wrong side of the limit; with
one tail of

    share * part of the look / lines

beyond each end of each look, where the parts of all looks add up to 1, any such error among all
lines and looks has a chance of at most `share`, whatever depends on what (Bonferroni 1936). Looks
after few values are the ones that save processes, and the ones whose tail costs width, as Student's
quantile grows fast there: a look's part is as 1 / its number of values, and a tenth of that below
FEW_VALUES, where hardly any distance would be enough.

The quantity is the median of what processes measure: what a table shows. Real processes are not
normal: some are slow for reasons of their own, and few of them in a row are alike. So two intervals
stand for one, each with half of the tail, and what either leaves out is left out; of so few values
that the first can leave out nothing, the second has the whole tail:

- order statistics (the sign test): right for any shape, but it needs a dozen values to leave out
  anything at such a tail;
- Student's around the mean, wider on each side by how far a median can be from it, with the scatter
  of all lines where this one's is smaller: it tells what is far away from three values on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, comb, fsum, inf, sqrt
from statistics import fmean, median

from harness.stats.differences import quantile

SHARE = 0.05  # of families that hold any false claim
LEAST_VALUES = 3  # fewer have no scatter worth the name
GROWTH = 1.5  # of the number of values, from look to look
FEW_VALUES, FEW_PART = 5, 0.1  # a look after fewer has this much of its part
# The most that a median is away from a mean, in standard deviations, of values with one peak.
# Source: Basu & DasGupta 1997, "The mean, median, and mode of unimodal distributions"; of values
# with several peaks it is 1.
MEDIAN_OFF = sqrt(3 / 5)
ABOVE, BELOW, NEITHER = 1, -1, 0


@dataclass(frozen=True, slots=True)
class Family:
    """Lines that are told together, and after how many values each is looked at.

    Attributes:
        lines: how many there are.
        looks: numbers of values, ascending; one: the number was fixed before.
        share: chance of any false claim in all of it.
    """

    lines: int = 1
    looks: tuple[int, ...] = ()
    share: float = SHARE

    def tail(self, count: int) -> float:
        """What each end of an interval leaves out at the look after so many values.

        Args:
            count: one of the looks; between two, the part of the smallest is taken.
        """
        return self.share * self._part(count) / max(self.lines, 1)

    @property
    def tail_of_once(self) -> float:
        """What each end leaves out of lines that are looked at once."""
        return self.share / max(self.lines, 1)

    def is_look(self, count: int) -> bool:
        """Whether lines are looked at after so many values."""
        return not self.looks or count in self.looks

    def _part(self, count: int) -> float:
        """The look's part of the share."""
        if not self.looks:
            return 1.0
        weights = {look: (FEW_PART if look < FEW_VALUES else 1.0) / look for look in self.looks}
        return weights.get(count, min(weights.values())) / fsum(weights.values())


@dataclass(frozen=True, slots=True)
class Told:
    """What the values of a line say.

    Attributes:
        side: ABOVE or BELOW the limit; NEITHER: not told.
        center: the median of the values.
        low: lower end of the interval.
        high: upper end.
    """

    side: int
    center: float
    low: float
    high: float


def looks_between(first: int, most: int) -> tuple[int, ...]:
    """Numbers of values at which lines are looked at: each half as large again as the one before.

    Args:
        first: the fewest, at least LEAST_VALUES.
        most: the last look.
    """
    looks = [max(first, LEAST_VALUES)]
    while looks[-1] < most:
        looks.append(min(most, ceil(looks[-1] * GROWTH)))
    return tuple(looks)


def tell_values(
    values: Sequence[float], limit: float, family: Family, scatter: float = 0.0
) -> Told:
    """The side of a line with one value of each process, on the scale of the statistics.

    Assumes: values that do not depend on each other; where they are fewer than a dozen, one peak.

    Args:
        values: at any number; only those of the family's looks keep its share.
        limit: on the same scale.
        family: what it is told beside.
        scatter: standard deviation that is taken where that of the values is smaller.
    """
    middle = median(values)
    if len(values) < LEAST_VALUES:
        return Told(NEITHER, middle, -inf, inf)
    count, tail = len(values), family.tail(len(values))
    cut = _cut(count, tail / 2)
    mean = fmean(values)
    spread = max(scatter, sqrt(_squares(values) / (count - 1)))
    half = (_quantile(tail / 2 if cut else tail, count - 1) / sqrt(count) + MEDIAN_OFF) * spread
    low, high = mean - half, mean + half
    if cut:
        ordered = sorted(values)
        low, high = max(low, ordered[cut - 1]), min(high, ordered[-cut])
    return Told(side_of(low, high, limit), middle, low, high)


def common_scatter(lines: Iterable[Sequence[float]]) -> float:
    """The standard deviation of values around the mean of their own line, over all lines.

    0 where no line has two values.
    """
    known = [values for values in lines if len(values) > 1]
    total = fsum(_squares(values) for values in known)
    return sqrt(total / sum(len(values) - 1 for values in known)) if known else 0.0


def tell_known(value: float, error: float, dof: float, limit: float, family: Family) -> Told:
    """The side of a line with one value, of which the standard error is known.

    Args:
        value: on the scale of the statistics.
        error: 0: it was counted.
        dof: degrees of freedom of the error; infinite where it is known.
        limit: on the same scale; a counted value that is just as large lies on its better side,
            which the caller knows.
        family: what it is told beside; its looks do not count.
    """
    low, high = ends(value, error, dof, family)
    return Told(side_of(low, high, limit), value, low, high)


def ends(center: float, error: float, dof: float, family: Family) -> tuple[float, float]:
    """Ends of Student's interval that leaves the family's tail beyond each, looked at once."""
    half = 0.0 if error == 0 else _quantile(family.tail_of_once, dof) * error
    return center - half, center + half


def side_of(low: float, high: float, limit: float) -> int:
    """Where an interval lies by its whole width; one whose ends contradict each other nowhere."""
    if low > high:
        return NEITHER
    if low > limit:
        return ABOVE
    return BELOW if high < limit else NEITHER


def _squares(values: Sequence[float]) -> float:
    """The sum of squares around the mean."""
    mean = fmean(values)
    return fsum((value - mean) ** 2 for value in values)


@lru_cache(maxsize=4096)
def _cut(count: int, tail: float) -> int:
    """The rank of the order statistic that the median lies beyond with at most the tail; 0: none.

    The number of values below the median is binomial (count, 1/2).
    """
    below, rank = 0.0, 0
    while below + (chance := comb(count, rank) / 2**count) <= tail:
        below, rank = below + chance, rank + 1
    return rank


@lru_cache(maxsize=4096)
def _quantile(tail: float, dof: float) -> float:
    """Student's t that leaves a tail above it."""
    return quantile(1 - tail, dof)
