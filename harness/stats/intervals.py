"""Centre and interval of a few process medians; percentiles of many samples. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from harness.core.errors import MeasurementError
from harness.stats.distributions import t_quantile

CONFIDENCE = 0.95
# A percentile is only given when its own upper bound holds with this confidence.
PERCENTILE_CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True)
class Interval:
    """A centre and the interval around it, all in the unit of the values.

    Attributes:
        center: median of the values.
        low: lower end.
        high: upper end.
    """

    center: float
    low: float
    high: float


def log_t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Median of the values, and Student's t-interval on their logarithms.

        exp(mean(ln v) -+ t(1 - (1 - confidence) / 2, n - 1) * sd(ln v) / sqrt(n))

    sd is the sample's (n - 1). Durations and rates scatter by factors, so logarithms are nearer
    to normal and the ends can never be negative; 1/v gives the mirrored interval.
    Assumes: the values are independent: one per process, never pooled iterations.
    Covers the median of what could be measured, of which the centre is the sample's: in 95 % where
    logarithms are normal. Where one process in ten is 30 % slower, the intervals of five cover that
    median in 97 % and the geometric mean, which the rare ones move, in 64 %; those of twenty cover
    either in 88 to 91 % (tested). With 8 or more such values the median may lie outside.

    Args:
        values: at least two, finite, above 0.
        confidence: share of such intervals that cover the truth.

    Raises:
        MeasurementError: fewer than two values, or one that has no logarithm.
    """
    _check(values, above_zero=True)
    low, high = _t_ends([math.log(value) for value in values], confidence)
    return Interval(float(median(values)), math.exp(low), math.exp(high))


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Median of the values and the plain t-interval, for quantities that may be 0 or negative.

        mean(v) -+ t(1 - (1 - confidence) / 2, n - 1) * sd(v) / sqrt(n)

    Raises:
        MeasurementError: fewer than two values, or one that is not finite.
    """
    _check(values, above_zero=False)
    return Interval(float(median(values)), *_t_ends(values, confidence))


def half_width_share(interval: Interval) -> float | None:
    """Half of the interval's width as a share of its centre; None when the centre is 0."""
    if interval.center == 0:
        return None
    return (interval.high - interval.low) / 2 / abs(interval.center)


def percentile(values: Sequence[float], share: float, indicative: bool = False) -> float | None:
    """The order statistic of rank ceil(share * n): at least `share` of the values are not above.

    No interpolation: the answer is a value that was measured.

    Args:
        values: samples, at least one.
        share: 0.99 for p99; between 0 and 1, both excluded.
        indicative: give it even from too few samples; mark it so where it is shown.

    Returns:
        None when `values` are fewer than `least_samples(share)` and it is not `indicative`.
    """
    _check_share(share)
    if not values or (len(values) < least_samples(share) and not indicative):
        return None
    # The small subtraction undoes rounding: 0.07 * 100 is 7.000000000000001 and must stay rank 7.
    rank = max(1, math.ceil(share * len(values) - 1e-9))
    return sorted(values)[rank - 1]


def percentile_interval(
    values: Sequence[float], share: float, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Order statistics around a percentile that hold whatever the distribution is.

    The number of values below the true percentile is binomial (n, share); the lower end is the
    highest rank that more than that many fall under with at most (1 - confidence) / 2, the upper
    end likewise. Assumes: the values are independent.
    Source: Conover 1999, Practical Nonparametric Statistics, 3.2.

    Returns:
        None where even the smallest and the largest value do not enclose it that surely.
    """
    _check_share(share)
    count, tail = len(values), (1 - confidence) / 2
    below = _binomial_shares(count, share)
    low = sum(1 for total in below if total <= tail)  # rank, from 1; 0: none
    high = next((rank + 1 for rank, total in enumerate(below) if total >= 1 - tail), count + 1)
    if low < 1 or high > count:
        return None
    ordered = sorted(values)
    return ordered[low - 1], ordered[high - 1]


def least_samples(share: float) -> int:
    """Fewest samples from which a percentile is given: 459 for p99, 44 for p90, 7 for p50.

        n = ceil(ln(1 - confidence) / ln(share)),   confidence = 0.99

    From fewer, even the largest sample lies below the true percentile with more than 1 % chance.
    Source: the binomial bound behind early stopping in MLPerf LoadGen (early_stopping.cc).
    """
    _check_share(share)
    return math.ceil(math.log(1 - PERCENTILE_CONFIDENCE) / math.log(share))


def _binomial_shares(count: int, share: float) -> list[float]:
    """Chance of at most 0, 1, ... count - 1 successes in `count` tries."""
    total, shares = 0.0, []
    for hits in range(count):
        log_ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
        total += math.exp(log_ways + hits * math.log(share) + (count - hits) * math.log1p(-share))
        shares.append(total)
    return shares


def _t_ends(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Ends of the t-interval around the mean of at least two values."""
    half = t_quantile((1 + confidence) / 2, len(values) - 1)
    half *= stdev(values) / math.sqrt(len(values))
    middle = fmean(values)
    return middle - half, middle + half


def _check(values: Sequence[float], above_zero: bool) -> None:
    """Refuse values that have no interval."""
    if len(values) < 2:
        raise MeasurementError(
            f"no interval from {len(values)} value(s)", fix="--rounds 2 or more; 5 is the default"
        )
    bad = [value for value in values if not math.isfinite(value) or (above_zero and value <= 0)]
    if bad:
        raise MeasurementError(
            f"no interval over {bad[0]!r}",
            fix="look at the raw samples: the clock or counter broke",
        )


def _check_share(share: float) -> None:
    """Refuse a share that no percentile stands at."""
    if not 0 < share < 1:
        raise MeasurementError(f"no percentile at {share}", fix="a share between 0 and 1: 0.9")
