"""Differences of two sides, their tails and families, by hand and against scipy."""

import math
import random

import pytest

from harness.core.errors import MeasurementError
from harness.stats.correction import holm
from harness.stats.differences import (
    Difference,
    combine,
    paired_difference,
    upper_tail,
    welch_difference,
)

BASE = (1.3, 0.9, 1.1, 1.7, 1.05, 1.2)
NEW = (1.6, 1.2, 1.0, 1.9, 1.45, 1.5)


def test_pairs_by_hand():
    """Differences 1, 2, 3: mean 2, sd 1, se 1 / sqrt 3; t(0.975, 2) = 4.3027."""
    found = paired_difference([1.0, 1.0, 1.0], [2.0, 3.0, 4.0])
    assert (found.center, found.dof) == (2.0, 2)
    assert found.standard_error == pytest.approx(1 / math.sqrt(3))
    assert found.interval() == pytest.approx((2 - 2.4842, 2 + 2.4842), abs=1e-3)


def test_what_both_sides_of_a_pair_share_falls_out():
    """A round that is slow for both sides leaves no trace."""
    base = [1.0, 5.0, 9.0]
    assert paired_difference(base, [value + 0.5 for value in base]).standard_error == 0.0


def test_welch_of_equal_scatter_has_all_degrees_of_freedom():
    found = welch_difference([1.0, 2.0, 3.0], [5.0, 6.0, 7.0])
    assert (found.center, found.dof) == (4.0, 4.0)


@pytest.mark.parametrize("kind", ["paired", "welch"])
def test_agreement_with_scipy(kind):
    """Centre, both intervals, the two-sided p and both one-sided ones, to 1e-9."""
    stats = pytest.importorskip("scipy.stats")
    if kind == "paired":
        found, test = paired_difference(BASE, NEW), stats.ttest_rel
        options = {}
    else:
        found, test = welch_difference(BASE, NEW), stats.ttest_ind
        options = {"equal_var": False}
    result = test(NEW, BASE, **options)
    for confidence in (0.9, 0.95):
        expected = result.confidence_interval(confidence)
        assert found.interval(confidence) == pytest.approx(tuple(expected), rel=1e-9)
    assert found.p_value() == pytest.approx(result.pvalue, rel=1e-9)
    shifted = [value - 0.1 for value in NEW]
    above = test(shifted, BASE, alternative="greater", **options)
    below = test(shifted, BASE, alternative="less", **options)
    assert found.p_above(0.1) == pytest.approx(above.pvalue, rel=1e-9)
    assert found.p_below(0.1) == pytest.approx(below.pvalue, rel=1e-9)


def test_exchanging_the_sides_mirrors_everything():
    found, back = welch_difference(BASE, NEW), welch_difference(NEW, BASE)
    assert back == found.mirrored()
    assert back.p_value() == found.p_value()
    assert back.interval() == tuple(-end for end in reversed(found.interval()))


@pytest.mark.parametrize("confidence_alpha", [(0.95, 0.05), (0.9, 0.1)])
def test_the_p_value_says_what_the_interval_says(confidence_alpha):
    """It is below alpha exactly where the interval leaves 0 out, over 400 seeded draws."""
    confidence, alpha = confidence_alpha
    chance = random.Random(7)
    sides = set()
    for _ in range(400):
        found = Difference(chance.gauss(0, 2), 1.0, chance.randint(1, 9))
        low, high = found.interval(confidence)
        assert (found.p_value() < alpha) == (not low <= 0 <= high)
        sides.add(low <= 0 <= high)
    assert sides == {True, False}


def test_equivalence_is_the_90_percent_interval_inside_the_margin():
    chance = random.Random(8)
    answers = set()
    for _ in range(400):
        found = Difference(chance.gauss(0, 1), chance.uniform(0.1, 1), 8)
        low, high = found.interval(0.9)
        inside = low > -1 and high < 1
        assert (found.p_equivalent(1.0) < 0.05) == inside
        answers.add(inside)
    assert answers == {True, False}


def test_a_known_scatter_is_the_normal_distribution():
    """1.96 standard errors on each side."""
    found = combine(0.0, [1.0, 0.0], [math.inf, math.inf])
    assert found.interval() == pytest.approx((-1.959964, 1.959964), abs=1e-6)
    assert found.p_above(1.959964) == pytest.approx(0.975, abs=1e-6)


def test_counted_sides_leave_no_doubt():
    assert Difference(0.0, 0.0, math.inf).p_value() == 1.0
    assert Difference(0.1, 0.0, math.inf).p_value() == 0.0
    assert Difference(0.1, 0.0, math.inf).interval() == (0.1, 0.1)
    assert Difference(0.01, 0.0, math.inf).p_equivalent(0.02) == 0.0


@pytest.mark.parametrize(
    ("base", "new"), [([1.0], [1.0, 2.0]), ([], []), ([1.0, math.nan], [1.0, 2.0])]
)
def test_sides_without_scatter_are_refused(base, new):
    with pytest.raises(MeasurementError):
        welch_difference(base, new)


def test_pairs_of_unlike_length_are_refused():
    with pytest.raises(MeasurementError, match="no pairs"):
        paired_difference([1.0, 2.0], [1.0])


def test_both_tails_sum_to_one():
    assert upper_tail(-1.3, 4) + upper_tail(1.3, 4) == pytest.approx(1.0)


def test_holm_by_hand():
    """0.01 * 3, then 0.02 * 2, then 0.04 * 1 but not below the one before."""
    assert holm([0.02, 0.01, 0.04]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.03]) == [0.03]


def test_holm_keeps_the_family_error():
    """20 true null claims at once: in at most 5 % + 3 standard errors any false one."""
    chance = random.Random(9)
    tables = 4000
    false = sum(min(holm([chance.random() for _ in range(20)])) < 0.05 for _ in range(tables))
    assert false / tables <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / tables)
