"""The chi-square distribution in pure Python: how far a sample's scatter may be below the real."""

import math
from functools import lru_cache

from harness.core.errors import MeasurementError
from harness.stats.bisection import first_beyond

TERMS = 10_000
SMALLEST_CHANGE = 1e-17
TINY = 1e-300


@lru_cache(maxsize=1024)
def chi_square_quantile(share: float, dof: float) -> float:
    """The value below which `share` of the chi-square distribution lies.

    Solved on the cumulative share by bisection down to neighbouring floats.
    Agrees with scipy.stats.chi2.ppf to 1e-9 (tested).

    Args:
        share: between 0 and 1, both excluded.
        dof: degrees of freedom, above 0.

    Raises:
        MeasurementError: an argument outside its range.
    """
    if not (0 < share < 1 and 0 < dof < math.inf):
        raise MeasurementError(
            f"no chi-square quantile for a share of {share} with {dof} degrees of freedom",
            fix="a confidence between 0 and 1, and at least 2 processes",
        )
    return first_beyond(lambda x: incomplete_gamma(dof / 2, x / 2) < share, max(1.0, dof))


def incomplete_gamma(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function P(a, x) for a > 0 and x >= 0.

    The series converges fast below x = a + 1; above it 1 - Q(a, x) by its continued fraction.
    Source: Abramowitz & Stegun 1964, 6.5.29 and 6.5.31.
    """
    if x <= 0:
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    return front * _series(a, x) if x < a + 1 else 1 - front * _fraction(a, x)


def _series(a: float, x: float) -> float:
    """The sum of x**n / (a (a + 1) ... (a + n))."""
    term = total = 1 / a
    for n in range(1, TERMS):
        term *= x / (a + n)
        total += term
        if term < total * SMALLEST_CHANGE:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """The continued fraction of Q, by the modified Lentz method.

    Source: Thompson & Barnett 1986, doi:10.1016/0021-9991(86)90046-X.
    """
    b = x + 1 - a
    c, d = 1 / TINY, 1 / b
    value = d
    for n in range(1, TERMS):
        factor = -n * (n - a)
        b += 2
        d = 1 / (factor * d + b or TINY)
        c = b + factor / c or TINY
        value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value
