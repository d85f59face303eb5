"""What is left of a speed: peak, end, and when it fell."""

import math
import random

import pytest
from msgspec import structs

from harness.results.background import UNKNOWN, Background
from harness.results.replies import Sustained, SustainWindow
from harness.results.summarize import metric
from harness.results.sustained import (
    slowed,
    sustained,
    sustained_background,
    sustained_metrics,
)
from tests.measured_documents import record


def windows(*rates):
    return [SustainWindow(start_s=10.0 * index, rate=rate) for index, rate in enumerate(rates)]


def summed(*rates):
    return sustained(windows(*rates), "decode_tok_s", "tok/s", 10.0)


def test_a_steady_speed_is_its_own_peak():
    found = summed(100.0, 100.0, 100.0, 100.0)
    assert (found.peak, found.sustained, found.share) == (100.0, 100.0, 1.0)
    assert found.throttled_after_s is None
    assert (found.metric, found.unit, len(found.windows)) == ("decode_tok_s", "tok/s", 4)


def test_a_fall_begins_where_no_later_window_comes_back():
    """Peak 100; 94, 80, 80 stay below 95 from 40 s on; the last quarter (2 of 7) is 80."""
    found = summed(100.0, 100.0, 100.0, 99.0, 94.0, 80.0, 80.0)
    assert found.throttled_after_s == 40.0
    assert found.share == pytest.approx(0.8)


def test_one_slow_window_at_the_end_is_no_fall():
    assert summed(100.0, 100.0, 100.0, 100.0, 50.0).throttled_after_s is None


def test_one_lucky_window_is_no_peak():
    assert summed(100.0, 150.0, 100.0, 100.0).peak == 100.0


def test_a_short_test_ends_with_no_more_than_its_peak():
    """Of three windows the last one alone is no end."""
    found = summed(100.0, 100.0, 230.0)
    assert (found.peak, found.share) == (100.0, 1.0)


def test_a_single_window_is_all_there_is():
    assert summed(7.0).share == 1.0


def short(*rates):
    """The rate of short processes, as a record has it."""
    return {"decode_tok_s": metric(list(rates), "tok/s")}


def test_the_end_is_a_metric_with_the_interval_of_one_process():
    """Two processes at a factor e apart: s = 1 / sqrt 2 in ln, t(0.975, 1) = 12.7."""
    (found,) = sustained_metrics(summed(50.0), short(1.0, math.e)).items()
    name, value = found
    assert (name, value.value, value.unit) == ("sustained_decode_tok_s", 50.0, "tok/s")
    assert math.log(value.high / 50.0) == pytest.approx(12.706 / math.sqrt(2), rel=1e-4)
    assert math.log(50.0 / value.low) == pytest.approx(12.706 / math.sqrt(2), rel=1e-4)
    assert value.processes == 2


def test_windows_that_swing_widen_it():
    """20 windows at the end, batches of 4: calm ones, and ones that swing for minutes."""
    calm = sustained_metrics(summed(*[100.0] * 80), short(99.0, 100.0, 101.0))
    swing = [100.0] * 60 + [100.0] * 10 + [80.0] * 10
    wide = sustained_metrics(summed(*swing), short(99.0, 100.0, 101.0))
    half = [math.log(one["sustained_decode_tok_s"].high / one["sustained_decode_tok_s"].value)
            for one in (calm, wide)]  # fmt: skip
    assert half[1] > 2 * half[0] > 0


def test_one_short_process_gives_no_interval():
    value = sustained_metrics(summed(50.0), short(49.0))["sustained_decode_tok_s"]
    assert (value.value, value.low, value.high, value.processes) == (50.0, None, None, 1)
    assert sustained_metrics(Sustained(reason="it died"), short(49.0)) == {}
    assert sustained_metrics(None, short(49.0)) == {}


def test_the_interval_covers_what_another_process_would_give():
    """Processes 3 % apart, windows 2 %: in 95 of 100 the truth lies in the interval, or more."""
    chance, held, draws = random.Random(7), 0, 600
    for _ in range(draws):
        rates = [100.0 * chance.lognormvariate(0, 0.03) for _ in range(5)]
        own = 100.0 * chance.lognormvariate(0, 0.03)
        found = summed(*[own * chance.lognormvariate(0, 0.02) for _ in range(120)])
        value = sustained_metrics(found, short(*rates))["sustained_decode_tok_s"]
        held += value.low <= 100.0 <= value.high
    assert held / draws > 0.93
    assert held < draws


def test_who_was_busy_during_the_windows_is_their_mean():
    seen = [
        SustainWindow(start_s=0.0, rate=1.0, background_cpu_share=0.1, steal_share=0.0),
        SustainWindow(start_s=1.0, rate=1.0, background_cpu_share=0.3, steal_share=None),
    ]
    one = structs.replace(record([1.0]), sustain=sustained(seen, "decode_tok_s", "tok/s", 1.0))
    assert sustained_background(one) == Background(pytest.approx(0.2), None)
    assert sustained_background(record([1.0])) == UNKNOWN


def test_what_slowed_it_is_told():
    seen = [
        SustainWindow(start_s=0.0, rate=1.0, thermal_events=3, throttled_periods=2),
        SustainWindow(start_s=1.0, rate=1.0, thermal_events=None, throttled_periods=None),
    ]
    assert slowed(sustained(seen, "decode_tok_s", "tok/s", 1.0)) == (
        "without a rest 100% of the peak are left; slowed down for heat or power 3 times; "
        "the container's quota stopped it in 2 periods"
    )
