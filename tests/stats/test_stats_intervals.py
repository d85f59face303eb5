"""Intervals by hand, their coverage over seeded draws, and percentiles with their refusal."""

import math
import random

import pytest

from harness.core.errors import MeasurementError
from harness.stats.intervals import (
    Interval,
    half_width_share,
    least_samples,
    log_t_interval,
    percentile,
    t_interval,
)


def test_interval_of_two_values_by_hand():
    """Logs of 1 and e**2: 0 and 2, mean 1, sd sqrt(2); t(0.975, 1) = 12.7062, so 1 -+ 12.7062."""
    interval = log_t_interval([1.0, math.e**2])
    assert math.log(interval.low) == pytest.approx(1 - 12.7062, abs=1e-4)
    assert math.log(interval.high) == pytest.approx(1 + 12.7062, abs=1e-4)
    assert interval.center == pytest.approx((1 + math.e**2) / 2)


def test_center_is_the_median_not_the_mean():
    assert log_t_interval([10.0, 11.0, 900.0]).center == 11.0


def test_equal_values_have_no_width():
    interval = log_t_interval([3.0, 3.0, 3.0])
    assert interval.center == 3.0
    assert half_width_share(interval) == pytest.approx(0.0, abs=1e-12)


def test_interval_of_rates_mirrors_that_of_times():
    """Twice as fast is half as long: the ends of 1/v are the inverse ends of v."""
    times = log_t_interval([2.0, 2.2, 1.9, 2.5, 2.1])
    rates = log_t_interval([1 / value for value in (2.0, 2.2, 1.9, 2.5, 2.1)])
    assert rates.low == pytest.approx(1 / times.high)
    assert rates.high == pytest.approx(1 / times.low)


def test_interval_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = [1.3, 0.9, 1.1, 1.7, 1.05, 1.2]
    logs = [math.log(value) for value in values]
    low, high = stats.t.interval(
        0.95, len(logs) - 1, loc=sum(logs) / len(logs), scale=stats.sem(logs)
    )
    interval = log_t_interval(values)
    assert (math.log(interval.low), math.log(interval.high)) == pytest.approx((low, high), rel=1e-9)


def test_plain_interval_takes_values_around_zero():
    """-1, 0, 1: sd 1, t(0.975, 2) = 4.3027, half-width 4.3027 / sqrt 3 = 2.484."""
    interval = t_interval([-1.0, 0.0, 1.0])
    assert (interval.low, interval.high) == pytest.approx((-2.4842, 2.4842), abs=1e-3)
    assert half_width_share(interval) is None


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.0], [1.0, -2.0], [1.0, math.nan]])
def test_values_without_an_interval_are_refused(values):
    with pytest.raises(MeasurementError):
        log_t_interval(values)


def test_half_width_is_a_share_of_the_center():
    """90 to 110 around 100 is 10 %."""
    assert half_width_share(Interval(100.0, 90.0, 110.0)) == 0.10


@pytest.mark.parametrize("processes", [2, 3, 5, 10])
@pytest.mark.parametrize("sigma", [0.01, 0.3])
def test_nominal_coverage_is_real_coverage(processes, sigma):
    """4000 seeded log-normal draws: 95 % cover the true median, +- 1.2 % (3.5 standard errors).

    The bound does not depend on how many processes there are: the t-interval is exact on
    log-normal values, even with two.
    """
    chance = random.Random(f"coverage {processes} {sigma}")
    draws = 4000
    covered = 0
    for _ in range(draws):
        interval = log_t_interval([7.0 * chance.lognormvariate(0, sigma) for _ in range(processes)])
        covered += interval.low <= 7.0 <= interval.high
    assert abs(covered / draws - 0.95) <= 0.012


def test_least_samples_are_those_of_the_binomial_bound():
    """By ln 0.01 / ln 0.99 = 458.2 and ln 0.01 / ln 0.9 = 43.7."""
    assert (least_samples(0.99), least_samples(0.9), least_samples(0.5)) == (459, 44, 7)


def test_percentiles_are_refused_below_their_bound():
    assert percentile(range(458), 0.99) is None
    assert percentile(range(459), 0.99) == 454  # rank ceil(0.99 * 459) = 455, counted from 0
    assert percentile(range(43), 0.9) is None
    assert percentile(range(44), 0.9) == 39


def test_an_indicative_percentile_is_given_from_few_samples():
    assert percentile([5.0, 1.0, 3.0], 0.9, indicative=True) == 5.0
    assert percentile([], 0.9, indicative=True) is None


def test_percentile_is_an_order_statistic():
    """Of 1..100, at least 7 % are not above 7; rounding of 0.07 * 100 must not make it 8."""
    assert percentile(range(1, 101), 0.07, indicative=True) == 7
    assert percentile(range(1, 101), 0.5) == 50


def test_a_share_outside_zero_to_one_is_refused():
    with pytest.raises(MeasurementError):
        percentile([1.0], 99)
