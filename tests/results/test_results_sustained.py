"""What is left of a speed: peak, end, and when it fell."""

import pytest

from harness.results.replies import SustainWindow
from harness.results.summarize import sustained


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


def test_a_single_window_is_all_there_is():
    assert summed(7.0).share == 1.0
