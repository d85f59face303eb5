"""What a comparison can find: its power, and the least difference it would have shown. Pure."""

import math
from functools import lru_cache

from harness.stats.differences import Difference, quantile
from harness.stats.distributions import chi_square_quantile, first_beyond

ALPHA = 0.05
POWER = 0.8
# How sure the printed least difference is to be no smaller than the real one.
SURE = 0.95
# The integral over the unknown scatter: steps in ln(sample sd / real sd). The integrand is smooth
# and dies out on both sides, where the trapezoid rule converges faster than any power of the step.
STEPS = 400
NOTHING = 1e-18  # a density that no sum notices
BISECTIONS = 14  # of a range that spans one doubling: to 1e-4
SHARES = 24  # midpoints of the average over the two sides' scatter
REACH = 40.0  # e-foldings to the left: exp(-40) is below rounding


def power(
    effect: float, standard_error: float, dof: float, alpha: float = ALPHA, least: float = 0.0
) -> float:
    """Chance of finding a difference in its own direction.

    Found means: two-sided p below `alpha`, and the measured difference beyond `least`.

        P = integral over u of (1 - Phi(max(t u, least / se) - effect / se)) f(u) du

    u is the sampled over the real standard error, dof * u**2 chi-square distributed, t the
    critical value. Without `least` it is a tail of the noncentral t distribution, and agrees with
    scipy.stats.nct to 1e-9 (tested).

    Args:
        effect: the real difference, 0 or more.
        standard_error: the real one, above 0, in the unit of `effect`.
        dof: degrees of freedom of its estimate.
        alpha: two-sided level.
        least: difference that the rule asks for besides.
    """
    critical = quantile(1 - alpha / 2, dof)
    return _found(critical, effect / standard_error, dof, least / standard_error)


def power_of_processes(
    effect: float, noise: float, processes: int, alpha: float = ALPHA, least: float = 0.0
) -> float:
    """The same for two sides of so many independent processes, by Welch's test.

    Its degrees of freedom depend on how the scatter falls on both sides: the share f of one side
    is Beta((n - 1) / 2, (n - 1) / 2) distributed, independent of the sum; with f = sin(x)**2 its
    density is sin(2 x)**(n - 2), over which the power is averaged.

    Args:
        effect: the real difference, 0 or more.
        noise: standard deviation between the processes of a side, alike on both.
        processes: of each side, at least 2.
        alpha: two-sided level.
        least: difference that the rule asks for besides.
    """
    error = noise * math.sqrt(2 / processes)
    total = weights = 0.0
    for place in range(SHARES):
        angle = (place + 0.5) * math.pi / 2 / SHARES
        share, weight = math.sin(angle) ** 2, math.sin(2 * angle) ** (processes - 2)
        dof = (processes - 1) / (share**2 + (1 - share) ** 2)
        critical = quantile(1 - alpha / 2, dof)
        found = _found(critical, effect / error, 2 * processes - 2, least / error)
        total, weights = total + weight * found, weights + weight
    return total / weights


@lru_cache(maxsize=4096)
def detectable(
    standard_error: float, dof: float, alpha: float = ALPHA, least: float = 0.0
) -> float:
    """The least real difference that is found with a chance of POWER; see `power`.

    0 scatter finds everything beyond `least`. Answers are kept: a table asks for one several times.
    """
    if standard_error == 0:
        return least
    return first_beyond(
        lambda effect: power(effect, standard_error, dof, alpha, least) < POWER,
        max(least, standard_error),
        BISECTIONS,
    )


def surely_detectable(difference: Difference, alpha: float = ALPHA, least: float = 0.0) -> float:
    """The least difference that this data would have shown, said with 95 % confidence.

    The real scatter may be above the sampled one; taken is its upper limit

        se * sqrt(dof / chi-square quantile(1 - SURE, dof))

    so that in 95 of 100 comparisons the real `detectable` is not above the answer.
    """
    error = difference.standard_error
    if error > 0 and math.isfinite(difference.dof):
        error *= math.sqrt(difference.dof / chi_square_quantile(1 - SURE, difference.dof))
    return detectable(error, difference.dof, alpha, least)


def _found(critical: float, shift: float, dof: float, floor: float) -> float:
    """Chance that a normal value around `shift` is above the sampled critical value and `floor`."""
    if math.isinf(dof):
        return _above(max(critical, floor) - shift)
    return math.fsum(
        weight * _above(max(critical * ratio, floor) - shift) for ratio, weight in _scatter(dof)
    )


@lru_cache(maxsize=128)
def _scatter(dof: float) -> tuple[tuple[float, float], ...]:
    """Sampled over real standard error, and the weight of each value; weights sum to 1.

    f(u) = 2 (dof / 2)**(dof / 2) / Gamma(dof / 2) u**(dof - 1) exp(-dof u**2 / 2), in x = ln u.
    """
    log_front = math.log(2) + dof / 2 * math.log(dof / 2) - math.lgamma(dof / 2)
    # Far below x = 0 the density falls as exp(dof x), above as exp(-dof exp(2 x) / 2).
    left = -max(REACH / dof, 7 / math.sqrt(dof))
    right = math.log(1 + 9 / math.sqrt(dof))
    step = (right - left) / STEPS
    points = []
    for place in range(STEPS + 1):
        x = left + place * step
        density = math.exp(log_front + dof * x - dof * math.exp(2 * x) / 2)
        if density > NOTHING:
            points.append((math.exp(x), step * density))
    return tuple(points)


def _above(value: float) -> float:
    """Share of the normal distribution above a value."""
    return math.erfc(value / math.sqrt(2)) / 2
