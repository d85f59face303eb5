"""A power law through a few points, and how far each point lies from it. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.core.errors import MeasurementError
from harness.stats.distributions import t_quantile
from harness.stats.intervals import CONFIDENCE

LEAST_SIZES = 3  # through two points there is always a line: it says nothing about a rule
LARGEST_LN = 700.0  # beyond it a float cannot hold the factor


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """value = factor · size ^ exponent, fitted on logarithms.

    Attributes:
        exponent: a size twice as large gives a value 2 ^ exponent times as large.
        low: lower end of the exponent's 95 % interval.
        high: upper end.
        r2: share of the variance of ln(value) that the law explains; None where every value is
            the same, so that there is nothing to explain.
        residuals_ln: ln(value / value of the law) of each point, in the order of the points.
    """

    exponent: float
    low: float
    high: float
    r2: float | None
    residuals_ln: tuple[float, ...]


def fit_power_law(sizes: Sequence[float], values: Sequence[float]) -> PowerLaw:
    """Fit ln(value) = a + b · ln(size) by ordinary least squares.

        b    = Σ (ln x − mean ln x) · (ln y − mean ln y) / Sxx,   Sxx = Σ (ln x − mean ln x)²
        ends = b ∓ t(0.975, n − 2) · √(SSE / (n − 2) / Sxx),      SSE = Σ residual²
        R²   = 1 − SSE / Σ (ln y − mean ln y)²

    Assumes: the points scatter around the law alike and independently. The scatter is mostly that
    of architectures: the interval says how well models of this kind fix the exponent, and no more
    rounds of measuring make it narrow.
    Source: Draper & Smith 1998, Applied Regression Analysis, chapter 1.

    Args:
        sizes: above 0, at least LEAST_SIZES different ones.
        values: as many, above 0.

    Raises:
        MeasurementError: too few different sizes.
    """
    ln_sizes = [math.log(size) for size in sizes]
    if len(set(ln_sizes)) < LEAST_SIZES:
        raise MeasurementError(
            f"no power law through {len(set(ln_sizes))} sizes",
            fix=f"measure models of {LEAST_SIZES} sizes or more",
        )
    xs, ys = _from_mean(ln_sizes), _from_mean([math.log(value) for value in values])
    sxx = _dot(xs, xs)
    slope = _dot(xs, ys) / sxx
    residuals = [y - slope * x for x, y in zip(xs, ys, strict=True)]
    unexplained, dof = _dot(residuals, residuals), len(xs) - 2
    half = t_quantile((1 + CONFIDENCE) / 2, dof) * math.sqrt(unexplained / dof / sxx)
    is_flat = min(values) == max(values)
    r2 = None if is_flat else max(1 - unexplained / _dot(ys, ys), 0.0)
    return PowerLaw(slope, slope - half, slope + half, r2, tuple(residuals))


def percent_of_factor(factor_ln: float) -> float:
    """How far a factor is from 1, the same for a factor and its inverse: 25 for 1.25 and 0.8.

    100 · (exp(|ln factor|) − 1)
    """
    return 100 * math.expm1(min(abs(factor_ln), LARGEST_LN))


def _from_mean(values: Sequence[float]) -> list[float]:
    """Differences from the mean."""
    mean = fmean(values)
    return [value - mean for value in values]


def _dot(first: Sequence[float], second: Sequence[float]) -> float:
    """Sum of the products, rounded once."""
    return math.fsum(x * y for x, y in zip(first, second, strict=True))
