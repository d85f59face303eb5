import math
import random
from statistics import fmean

import pytest

from benchmarks.stopping_rates import pairs_at, rounds_at
from harness.results.plan import RunPlan
from harness.results.summarize import metric
from harness.runner.settings import Settings
from harness.stats.differences import Difference, paired_difference
from harness.stats.intervals import CONFIDENCE, log_t_interval
from harness.stats.stopping import FIRST_LOOK, LAST, NO_LOOKS, STOPPED, Looks, looks_of

DRAWS = 200


def test_the_level_of_a_look_depends_on_what_may_follow():
    """Of 5 to 20 values: before the first look 95 %, at one that can stop 98, at the last 96."""
    looks = Looks(5, 20)
    assert [looks.confidence(count) for count in (4, 5, 19, 20)] == [0.95, 0.98, 0.98, 0.96]
    assert {NO_LOOKS.confidence(count) for count in (2, 5, 50)} == {CONFIDENCE}
    assert Looks(5, 5).confidence(5) == CONFIDENCE  # always five: nothing was decided


def test_a_plan_looks_after_its_own_rounds_but_not_before_five():
    assert looks_of(3, 20) == Looks(FIRST_LOOK, 20)
    assert looks_of(10, 30) == Looks(10, 30)
    assert Settings(rounds=10, precision=0.02, max_rounds=30).looks == Looks(10, 30)
    assert RunPlan(rounds=10, precision=0.02, max_rounds=30).looks == Looks(10, 30)
    assert Settings(rounds=9, precision=0.02, max_rounds=4).most_rounds == 9
    for fixed in (Settings(rounds=9).looks, RunPlan(rounds=9).looks, RunPlan().looks):
        assert fixed.confidence(9) == CONFIDENCE


def test_a_widened_difference_has_the_interval_of_another_level():
    """Its 95 % interval is Student's of 98 %; its p-value agrees with that; its centre stays."""
    plain = paired_difference([0.0] * 6, [0.01, 0.02, 0.03, 0.01, 0.02, 0.04])
    wide = plain.widened(0.98)
    assert wide.interval() == pytest.approx(plain.interval(0.98), rel=1e-12)
    assert (wide.center, wide.dof) == (plain.center, plain.dof)
    assert plain.widened(CONFIDENCE) is plain
    exact = Difference(0.1, 0.0, 4)
    assert exact.widened(0.98) is exact


def test_stopping_keeps_its_level():
    """The same draws by both rules: what 200 draws show of 5 % is 5 % and 2.5 standard errors.

    The plain rule misses more often than the kept one.
    """
    noise = 0.02
    kept, plain = pairs_at(noise, True, DRAWS), pairs_at(noise, False, DRAWS)
    assert kept.missed <= 0.05 + 2.5 * (0.05 * 0.95 / DRAWS) ** 0.5
    assert kept.false <= kept.missed <= plain.missed
    assert plain.values <= kept.values <= 1.4 * plain.values


def test_rows_with_a_precision_keep_their_level():
    noise = 0.03
    kept, plain = rounds_at(noise, True, DRAWS), rounds_at(noise, False, DRAWS)
    assert kept.missed <= 0.05 + 2.5 * (0.05 * 0.95 / DRAWS) ** 0.5
    assert kept.missed <= plain.missed
    assert plain.values <= kept.values <= 1.5 * plain.values


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.015, 0.02, 0.025, 0.05])
def test_at_most_five_in_a_hundred_are_wrong_at_any_noise(noise):
    """2,000 draws have a standard error of 0.5 points; the largest real rate is 4.6 %."""
    assert pairs_at(noise, True, 2000).missed <= 0.05 + 0.005


def test_metrics_of_a_run_that_looked_are_as_wide_as_the_level_asks():
    values = [50.0, 51.0, 49.0, 50.5, 49.5]
    found = metric(values, "tok/s", confidence=STOPPED)
    expected = log_t_interval(values, STOPPED)
    assert (found.value, found.low, found.high) == (50.0, expected.low, expected.high)
    plain = metric(values, "tok/s")
    assert found.high - found.low > plain.high - plain.low
    assert CONFIDENCE < LAST < STOPPED


def test_what_an_interval_covers_where_one_process_in_ten_is_slow():
    """Five processes, 2 % noise, one in ten 30 % slower: the median in 97 %, the mean in 64 %.

    The median of all lies where 0.9 Phi(x / 0.02) + 0.1 * 0 = 0.5, x = 0.02 * 0.1397 = 0.0028.
    The geometric mean is at 0.1 * ln 1.3 = 0.0262.
    """
    chance, draws = random.Random("slow ones"), 1500
    median_hits, mean_hits = [], []
    for _ in range(draws):
        values = [
            math.exp(chance.gauss(0, 0.02)) * (1.3 if chance.random() < 0.1 else 1.0)
            for _ in range(5)
        ]
        found = log_t_interval(values)
        median_hits.append(found.low <= math.exp(0.0028) <= found.high)
        mean_hits.append(found.low <= 1.3**0.1 <= found.high)
    assert fmean(median_hits) == pytest.approx(0.965, abs=0.015)
    assert fmean(mean_hits) == pytest.approx(0.64, abs=0.04)
