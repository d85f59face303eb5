"""Lines beside their limits: looks, tails, and how often any line says something false."""

import math
import random

import pytest

from harness.stats.limits import (
    ABOVE,
    BELOW,
    NEITHER,
    SHARE,
    Family,
    common_scatter,
    looks_between,
    tell_known,
    tell_values,
)

DRAWS = 200


def test_looks_stand_ever_further_apart_and_end_at_the_most():
    assert looks_between(3, 20) == (3, 5, 8, 12, 18, 20)
    assert looks_between(1, 3) == (3,)
    assert looks_between(5, 5) == (5,)


def test_the_share_is_divided_among_lines_and_looks():
    """As 1/5 to 1/8, so 8/13 and 5/13 of a line's quarter; three values get a tenth of a third."""
    family = Family(4, (5, 8))
    assert family.tail(5) == pytest.approx(SHARE / 4 * 8 / 13)
    assert family.tail(8) == pytest.approx(SHARE / 4 * 5 / 13)
    assert family.tail_of_once == SHARE / 4
    assert family.is_look(5)
    assert not family.is_look(6)
    assert Family(1).is_look(4)  # a number that was fixed before
    few = Family(1, (3, 5))
    assert few.tail(3) == pytest.approx(SHARE * (0.1 / 3) / (0.1 / 3 + 1 / 5))


@pytest.mark.parametrize("most", [3, 5, 12, 20, 100])
def test_no_look_has_more_than_its_part(most):
    family = Family(7, looks_between(3, most))
    parts = [family.tail(look) for look in family.looks]
    assert math.fsum(parts) * 7 == pytest.approx(SHARE)
    assert family.tail(10_000) == min(parts)  # a number that is no look


def test_few_values_have_one_interval_with_the_whole_tail():
    """Student above 2.5 %, 4 degrees of freedom: 2.776; no rank of five leaves out so little."""
    values = [0.8, 0.9, 1.0, 1.1, 1.2]
    told = tell_values(values, 0.0, Family(share=0.025))
    half = (2.776 / math.sqrt(5) + math.sqrt(3 / 5)) * math.sqrt(0.025)
    assert told.high == pytest.approx(1.0 + half, rel=1e-3)


@pytest.mark.parametrize(
    ("values", "side"),
    [
        ([1.0, 1.01, 0.99], ABOVE),
        ([-1.0, -1.01, -0.99], BELOW),
        ([0.1, -0.1, 0.05], NEITHER),
        ([1.0, 1.0], NEITHER),  # too few, however far
        # The mean is below the limit, by one value; all but one lie above it.
        ([0.01, 0.02, 0.01, 0.03, 0.02, 0.02, 0.01, 0.03, 0.01, -0.8], ABOVE),
    ],
)
def test_a_side_is_told_by_the_whole_interval(values, side):
    assert tell_values(values, 0.0, Family()).side == side


def test_rare_slow_processes_do_not_make_a_verdict_that_the_median_contradicts():
    values = [0.01] * 12 + [-0.8] * 5  # mean -0.23, and below 0 by Student's interval
    told = tell_values(values, 0.0, Family(1))
    assert told.center > 0
    assert told.side == NEITHER


def test_a_few_values_that_are_alike_are_believed_as_far_as_all_others_scatter():
    values, others = [0.05, 0.0501, 0.0499], [[0.1, -0.1, 0.05], [-0.2, 0.1, 0.15]]
    assert tell_values(values, 0.0, Family()).side == ABOVE
    common = common_scatter([values, *others])
    assert common == pytest.approx(0.125, abs=0.001)
    assert tell_values(values, 0.0, Family(), common).side == NEITHER


def test_more_lines_and_looks_need_a_larger_distance():
    values = [0.05, 0.03, 0.07, 0.04, 0.06]
    assert tell_values(values, 0.0, Family(1)).side == ABOVE
    assert tell_values(values, 0.0, Family(100, (3, 5))).side == NEITHER


def test_a_known_error_has_one_look_and_counted_values_none():
    assert tell_known(0.1, 0.01, math.inf, 0.0, Family(10, (3, 5, 8))).side == ABOVE
    assert tell_known(0.02, 0.01, math.inf, 0.0, Family(10, (3, 5, 8))).side == NEITHER
    assert tell_known(0.02, 0.0, math.inf, 0.0, Family(10)).low == 0.02


def test_families_at_their_limits_rarely_hold_a_false_line():
    """At most 5 %, and 3 binomial standard errors of so many draws."""
    chance = random.Random("limits")
    family = Family(6, looks_between(3, 12))

    def is_false() -> bool:
        for _ in range(family.lines):
            values = [chance.gauss(0, 0.02) for _ in range(family.looks[-1])]
            if any(tell_values(values[:n], 0.0, family).side == BELOW for n in family.looks):
                return True
        return False

    false = sum(is_false() for _ in range(DRAWS)) / DRAWS
    assert false <= SHARE + 3 * math.sqrt(SHARE * (1 - SHARE) / DRAWS)
