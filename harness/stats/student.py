"""Student's t distribution in pure Python, so that the base install needs no scipy."""

import math
from functools import lru_cache

from harness.core.errors import MeasurementError
from harness.stats.bisection import first_beyond

# Continued fraction: terms until the relative change is below one rounding error.
FRACTION_TERMS = 1000
FRACTION_CHANGE = 1e-16
TINY = 1e-300


@lru_cache(maxsize=1024)
def t_quantile(share: float, dof: float) -> float:
    """The value below which `share` of Student's t distribution lies.

    Solved on the cumulative share by bisection down to neighbouring floats.
    Agrees with scipy.stats.t.ppf to 1e-9 (tested).

    Args:
        share: between 0 and 1, both excluded.
        dof: degrees of freedom, above 0.

    Raises:
        MeasurementError: an argument outside its range.
    """
    if not (0 < share < 1 and 0 < dof < math.inf):
        raise MeasurementError(
            f"no t quantile for a share of {share} with {dof} degrees of freedom",
            fix="a confidence between 0 and 1, and at least 2 processes",
        )
    if share == 0.5:
        return 0.0
    upper_tail = min(share, 1 - share)
    size = first_beyond(lambda t: t_upper_tail(t, dof) > upper_tail, 1.0)
    return size if share > 0.5 else -size


def t_upper_tail(value: float, dof: float) -> float:
    """Share of Student's t distribution above `value`, for `value` >= 0.

        P(T > t) = I_x(dof / 2, 1 / 2) / 2   with   x = dof / (dof + t**2)

    I is the regularised incomplete beta function.
    Source: Abramowitz & Stegun 1964, 26.7.1.
    """
    return incomplete_beta(dof / (dof + value * value), dof / 2, 0.5) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b) for 0 <= x <= 1 and a, b > 0.

    The continued fraction converges fast below x = (a + 1) / (a + b + 2); above it the mirror
    image I_x(a, b) = 1 - I_(1-x)(b, a) is taken.
    Source: Abramowitz & Stegun 1964, 26.5.2 and 26.5.8.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by the modified Lentz method.

    Source: Thompson & Barnett 1986, doi:10.1016/0021-9991(86)90046-X.
    """
    value, c, d = 1.0, 1.0, 0.0
    for term in range(FRACTION_TERMS):
        coefficient = _coefficient(term, x, a, b)
        d = 1 / (1 + coefficient * d or TINY)
        c = 1 + coefficient / c or TINY
        value *= c * d
        if abs(c * d - 1) < FRACTION_CHANGE:
            break
    return 1 / value


def _coefficient(term: int, x: float, a: float, b: float) -> float:
    """Coefficient number `term` + 1 of A&S 26.5.8; the even and the odd ones alternate."""
    m, odd = divmod(term + 1, 2)
    if odd:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
