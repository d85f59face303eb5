"""Where a series of values changes its level: intervals of windows before and after. Pure.

Values are on the scale of the statistics (logarithms of what is compared as ratios). The scatter
from one value to the next is part of every error, so that a machine that drifts from run to run is
not taken for a change, however narrow the interval of each run is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import fmean, median

from harness.stats.differences import Difference
from harness.stats.power import ALPHA

MAD_TO_SD = 1.4826  # of a normal distribution
NEIGHBOURS = 3  # on either side of a value, whose median says what is usual there
LEAST_FOR_MEMORY = 30  # values that say whether neighbours resemble each other
TRIMMED = 3.0  # deviations of a difference beyond which it is a step or a wild value
MOST_MEMORY = 0.95


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes a difference between neighbouring windows a change of level.

    The constants were chosen on simulated series of other seeds than those that are reported
    (`python benchmarks/step_power.py tune`).

    Attributes:
        windows: values on either side that are looked at, at most; each position is asked with all.
        least: values on either side, at least: fewer may be two wild runs.
        margin: smallest difference that is told.
        straight: by how much, in logarithms of likelihood, a change of level must be likelier than
            a straight line through both windows: a slow drift is no change.
        alpha: most that the risk of one false change or more in a series of white noise can be.
        clip: standard deviations from the median of its neighbours beyond which a value is wild.
    """

    windows: tuple[int, ...] = (20, 60)
    least: int = 3
    margin: float = math.log(1.01)
    straight: float = 4.0
    alpha: float = ALPHA
    clip: float = 4.0


@dataclass(frozen=True, slots=True)
class Shift:
    """One change of level.

    Attributes:
        place: index of the first value after it.
        difference: after - before, with the scatter it stands on.
        p_adjusted: two-sided, corrected for every position and window (Bonferroni).
    """

    place: int
    difference: Difference
    p_adjusted: float


RULE = Rule()


def find_shifts(
    values: Sequence[float], errors: Sequence[float], rule: Rule = RULE
) -> tuple[Shift, ...]:
    """Changes of level, in order.

    The position whose two windows differ most, by Student's t over their pooled scatter, is one if
    it is significant among all positions; then both parts are asked alike. At last every change is
    held against its neighbours, between which its windows must lie.

    Args:
        values: in order of time.
        errors: standard error of each value by itself, 0 where it is not known: the scatter is
            never taken for less than they are.
        rule: what counts.
    """
    series = _Series(clipped(values, rule.clip), errors, memory_of(values))
    family = len(rule.windows) * max(1, len(values) - 2 * rule.least + 1)
    places: list[int] = []
    parts = [(0, len(values))]
    while parts:
        low, high = parts.pop()
        best = _best(series, low, high, rule, family)
        if best is not None:
            places.append(best.place)
            parts += [(low, best.place), (best.place, high)]
    return _held_together(series, sorted(places), rule, family)


def difference_at(
    values: Sequence[float], errors: Sequence[float], low: int, place: int, high: int
) -> Difference:
    """The difference at a place that something else has found, from what lies low .. high.

    Of the widest windows of the rule, at most; wild values clipped, memory counted.
    """
    series = _Series(clipped(values, RULE.clip), errors, memory_of(values))
    widest = max(RULE.windows)
    return _difference(series, max(low, place - widest), place, min(high, place + widest))


def noise_of(values: Sequence[float]) -> float:
    """Standard deviation from value to value, which neither a change nor a few wild values move.

        1.4826 median |x(i+1) - x(i)| / sqrt(2)

    Assumes: neighbours are independent. 0 from fewer than two values.
    """
    steps = [abs(after - before) for before, after in pairwise(values)]
    return MAD_TO_SD * median(steps) / math.sqrt(2) if steps else 0.0


def clipped(values: Sequence[float], deviations: float) -> list[float]:
    """The values, none further from the median of its neighbours than so many deviations.

    A change of level stays where it is: more than half of the neighbours are on a value's own side
    (where there are more than six values; fewer are left as they are).
    Source: Hampel 1974, doi:10.1080/01621459.1974.10482962.
    """
    reach = deviations * noise_of(values)
    if reach == 0 or len(values) <= 2 * NEIGHBOURS:
        return list(values)
    found = []
    for place, value in enumerate(values):
        usual = median(values[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1])
        found.append(min(max(value, usual - reach), usual + reach))
    return found


def memory_of(values: Sequence[float]) -> float:
    """Correlation of neighbours, from squared differences, which a change of level hardly moves.

        mean (x(i+2) - x(i))**2 / mean (x(i+1) - x(i))**2 = 1 + r

    for values each of which remembers r of the one before it. 0 where fewer than LEAST_FOR_MEMORY
    values say too little, or where it is at most 1 / sqrt(n), which chance alone often gives.
    """
    count = len(values)
    if count < LEAST_FOR_MEMORY:
        return 0.0
    near, far = (_usual_square(values, lag) for lag in (1, 2))
    found = far / near - 1 if near > 0 else 0.0
    return min(found, MOST_MEMORY) if found > 1 / math.sqrt(count) else 0.0


def _usual_square(values: Sequence[float], lag: int) -> float:
    """Mean square of the differences so far apart, without those of steps and wild values."""
    pairs = zip(values, values[lag:], strict=False)
    apart = [abs(after - before) for before, after in pairs]
    reach = TRIMMED * MAD_TO_SD * median(apart)
    return fmean(one * one for one in apart if one <= reach)


class _Series:
    """Sums of a series from its beginning, so that any window costs the same."""

    def __init__(self, values: Sequence[float], errors: Sequence[float], memory: float) -> None:
        """Sum up the values, their squares, their products with their places, and the errors."""
        middle = median(values) if values else 0.0
        self.memory, self.count = memory, len(values)
        self._sums: list[tuple[float, float, float, float]] = [(0.0, 0.0, 0.0, 0.0)]
        for place, (value, error) in enumerate(zip(values, errors, strict=True)):
            off, (one, two, slope, known) = value - middle, self._sums[-1]
            self._sums.append((one + off, two + off * off, slope + place * off, known + error**2))

    def window(self, low: int, high: int) -> tuple[float, float, float]:
        """Mean, sum of squares around it, and sum of the squared errors of low .. high."""
        first, last, count = self._sums[low], self._sums[high], high - low
        total = last[0] - first[0]
        around = max(0.0, last[1] - first[1] - total * total / count)
        return total / count, around, last[3] - first[3]

    def around_line(self, low: int, high: int) -> float:
        """Sum of squares around the best straight line through low .. high."""
        first, last, count = self._sums[low], self._sums[high], high - low
        total, middle = last[0] - first[0], (low + high - 1) / 2
        spread = count * (count * count - 1) / 12
        product = last[2] - first[2] - middle * total
        around = last[1] - first[1] - total * total / count - product * product / spread
        return max(0.0, around)


def _best(series: _Series, low: int, high: int, rule: Rule, family: int) -> Shift | None:
    """The most significant change between two ends, where there is one."""
    best, strongest = None, (0.0, 0.0)
    for place in range(low + rule.least, high - rule.least + 1):
        for window in rule.windows:
            ends = max(low, place - window), min(high, place + window)
            found = _difference(series, ends[0], place, ends[1])
            strength = _strength(found), abs(found.center)
            if strength > strongest and _counts(series, found, place, ends, rule):
                best, strongest = (place, found), strength
    if best is None:
        return None
    p_value = min(1.0, family * best[1].p_value())
    return Shift(best[0], best[1], p_value) if p_value < rule.alpha else None


def _held_together(
    series: _Series, places: Sequence[int], rule: Rule, family: int
) -> tuple[Shift, ...]:
    """Every change between its neighbours, each from as many values as the widest window has."""
    kept = list(places)
    while True:
        ends = [0, *kept, series.count]
        found = []
        for index, place in enumerate(kept):
            low, high = ends[index], ends[index + 2]
            several = (
                _difference(series, max(low, place - window), place, min(high, place + window))
                for window in rule.windows
            )
            best = max(several, key=_strength)
            found.append(Shift(place, best, min(1.0, family * best.p_value())))
        weak = [one for one in found if one.p_adjusted >= rule.alpha]
        if not weak:
            return tuple(found)
        kept.remove(max(weak, key=lambda one: one.p_adjusted).place)


def _difference(series: _Series, low: int, place: int, high: int) -> Difference:
    """Mean of place .. high minus that of low .. place, over their pooled scatter.

        var = s**2 (c1 / n1 + c2 / n2),   s**2 = (Q1 + Q2) / (n1 + n2 - c1 - c2)
        dof = n1 / c1 + n2 / c2 - 2

    Q is a window's sum of squares and c the factor by which neighbours that resemble each other
    raise the variance of its mean (1 where they do not: Student's test). Source of c: the variance
    of a mean of an autoregressive series, Box & Jenkins 1976, 2.1.
    """
    before, around_before, known_before = series.window(low, place)
    after, around_after, known_after = series.window(place, high)
    counts = place - low, high - place
    factors = [_factor(count, series.memory) for count in counts]
    free = sum(counts) - sum(factors)
    scatter = (around_before + around_after) / free if free > 0 else math.inf
    scatter = max(scatter, (known_before + known_after) / sum(counts))
    parts = [factor / count for factor, count in zip(factors, counts, strict=True)]
    dof = max(1.0, sum(1 / part for part in parts) - 2)
    return Difference(after - before, math.sqrt(scatter * sum(parts)), dof)


@lru_cache(maxsize=1024)
def _factor(count: int, memory: float) -> float:
    """How much larger the variance of a mean of `count` values is for their memory.

    1 + 2 sum over j of (1 - j / n) r**j
    """
    if memory == 0:
        return 1.0
    power, total = 1.0, 1.0
    for lag in range(1, count):
        power *= memory
        total += 2 * (1 - lag / count) * power
    return total


def _counts(
    series: _Series, found: Difference, place: int, ends: tuple[int, int], rule: Rule
) -> bool:
    """Whether a difference is large enough to be told, and no slope."""
    if abs(found.center) <= rule.margin:
        return False
    low, high = ends
    level = series.window(low, place)[1] + series.window(place, high)[1]
    line = series.around_line(low, high)
    if level <= 0:
        return line > 0
    return line > 0 and (high - low) / 2 * math.log(line / level) > rule.straight


def _strength(found: Difference) -> float:
    """A difference in deviations of a normal distribution, near enough to rank differences by.

    Source: Wallace 1959, doi:10.1214/aoms/1177706141.
    """
    if found.standard_error == 0:
        return math.inf if found.center else 0.0
    ratio = found.center / found.standard_error
    dof = found.dof
    return (8 * dof + 1) / (8 * dof + 3) * math.sqrt(dof * math.log1p(ratio * ratio / dof))
