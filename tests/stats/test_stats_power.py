"""Power and least detectable difference: against scipy, and against simulated comparisons."""

import math
import random

import pytest

from harness.stats.differences import Difference, paired_difference
from harness.stats.power import POWER, detectable, power, surely_detectable


def test_power_agrees_with_the_noncentral_t_distribution():
    stats = pytest.importorskip("scipy.stats")
    for dof in (1, 2, 4, 8, 7.3, 18, 60):
        critical = stats.t.ppf(0.975, dof)
        for shift in (0.0, 0.5, 2.0, 4.0):
            expected = stats.nct.sf(critical, dof, shift)
            assert power(shift, 1.0, dof) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_without_an_effect_each_direction_is_found_in_half_of_alpha():
    assert power(0.0, 1.0, 8) == pytest.approx(0.025, rel=1e-9)
    assert power(0.0, 1.0, math.inf, alpha=0.01) == pytest.approx(0.005, rel=1e-9)


def test_a_tolerance_only_takes_power_away():
    """At no effect hardly anything is found beyond it; at a large one nothing is lost."""
    assert power(0.0, 0.01, 8, least=0.05) < 1e-4
    assert power(0.2, 0.01, 8, least=0.05) == pytest.approx(power(0.2, 0.01, 8), abs=1e-6)


def test_known_scatter_is_the_normal_case():
    """1 - Phi(1.96 - 2.8) = 0.7995: the textbook's 2.8 standard errors for 80 %."""
    assert power(2.8, 1.0, math.inf) == pytest.approx(0.7995, abs=1e-3)


def test_detectable_undoes_power():
    least = detectable(0.02, 8)
    assert power(least, 0.02, 8) == pytest.approx(POWER, abs=1e-3)
    assert detectable(0.02, 8, alpha=0.005) > least
    assert detectable(0.04, 8) == pytest.approx(2 * least, rel=1e-3)


def test_nothing_below_the_tolerance_is_detectable():
    """At a tiny scatter it is the tolerance plus a little of the scatter."""
    assert detectable(1e-4, 8, least=0.03) == pytest.approx(0.03, rel=0.01)
    assert detectable(0.0, math.inf, least=0.03) == 0.03


def test_few_processes_are_less_sure():
    few, many = (surely_detectable(Difference(0.0, 0.02, dof)) for dof in (2, 30))
    assert few > many > detectable(0.02, 30)


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_the_printed_difference_covers_the_real_one(pairs):
    """In 95 % of 3000 seeded runs it is not below what is really detectable, +- 1.4 %.

    Bound: 3.5 binomial standard errors, sqrt(0.95 * 0.05 / 3000) = 0.4 %.
    """
    chance = random.Random(f"detectable {pairs}")
    real = detectable(0.03 / math.sqrt(pairs), pairs - 1)
    unit = surely_detectable(Difference(0.0, 1.0, pairs - 1))  # it scales with the standard error
    runs, covered = 3000, 0
    for _ in range(runs):
        drawn = [chance.gauss(0, 0.03) for _ in range(pairs)]
        covered += unit * paired_difference([0.0] * pairs, drawn).standard_error >= real
    assert abs(covered / runs - 0.95) <= 0.014
