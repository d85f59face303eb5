"""Student's t and chi-square in pure Python, so that the base install needs no scipy."""

import math
from collections.abc import Callable
from functools import lru_cache

from harness.core.errors import MeasurementError

# Continued fractions: terms until the relative change is below one rounding error.
BETA_TERMS = 1000
GAMMA_TERMS = 10_000
FRACTION_CHANGE = 1e-16
SERIES_CHANGE = 1e-17
TINY = 1e-300
MOST_HALVINGS = 1100  # more than the floats between any two need


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
    return math.exp(log_front) * _beta_fraction(x, a, b) / a


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by the modified Lentz method.

    Source: Thompson & Barnett 1986, doi:10.1016/0021-9991(86)90046-X.
    """
    value, c, d = 1.0, 1.0, 0.0
    for term in range(BETA_TERMS):
        coefficient = _beta_coefficient(term, x, a, b)
        d = 1 / (1 + coefficient * d or TINY)
        c = 1 + coefficient / c or TINY
        value *= c * d
        if abs(c * d - 1) < FRACTION_CHANGE:
            break
    return 1 / value


def _beta_coefficient(term: int, x: float, a: float, b: float) -> float:
    """Coefficient number `term` + 1 of A&S 26.5.8; the even and the odd ones alternate."""
    m, odd = divmod(term + 1, 2)
    if odd:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))


def incomplete_gamma(a: float, x: float) -> float:
    """Regularised lower incomplete gamma function P(a, x) for a > 0 and x >= 0.

    The series converges fast below x = a + 1; above it 1 - Q(a, x) by its continued fraction.
    Source: Abramowitz & Stegun 1964, 6.5.29 and 6.5.31.
    """
    if x <= 0:
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    return front * _gamma_series(a, x) if x < a + 1 else 1 - front * _gamma_fraction(a, x)


def _gamma_series(a: float, x: float) -> float:
    """The sum of x**n / (a (a + 1) ... (a + n))."""
    term = total = 1 / a
    for n in range(1, GAMMA_TERMS):
        term *= x / (a + n)
        total += term
        if term < total * SERIES_CHANGE:
            break
    return total


def _gamma_fraction(a: float, x: float) -> float:
    """The continued fraction of Q, by the modified Lentz method.

    Source: Thompson & Barnett 1986, doi:10.1016/0021-9991(86)90046-X.
    """
    b = x + 1 - a
    c, d = 1 / TINY, 1 / b
    value = d
    for n in range(1, GAMMA_TERMS):
        factor = -n * (n - a)
        b += 2
        d = 1 / (factor * d + b or TINY)
        c = b + factor / c or TINY
        value *= c * d
        if abs(c * d - 1) < FRACTION_CHANGE:
            break
    return value


def first_beyond(
    holds: Callable[[float], bool], guess: float, halvings: int = MOST_HALVINGS
) -> float:
    """Return the smallest float at which `holds` no longer does, by bisection.

    Needs no derivative and cannot diverge. The guess is doubled until it is beyond.

    Args:
        holds: true at every number up to some point above 0, and false at every one after it.
        guess: where to begin, above 0.
        halvings: after which it is near enough; by default neighbouring floats are reached.
    """
    low, high = 0.0, guess
    while holds(high):
        low, high = high, high * 2
    for _ in range(halvings):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if holds(middle):
            low = middle
        else:
            high = middle
    return high
