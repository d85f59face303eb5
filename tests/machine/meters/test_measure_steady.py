"""The warm-up rule on series whose answer is known."""

import random

import pytest

from harness.machine.meters.steady import has_trend, is_steady, last_windows, warm_up

MS = 1_000_000


class Fake:
    """Durations in order; the clock moves by each of them. The last one repeats."""

    def __init__(self, durations_ns):
        self.durations_ns = list(durations_ns)
        self.now_ns = 0
        self.calls = 0

    def sample(self):
        duration_ns = self.durations_ns[min(self.calls, len(self.durations_ns) - 1)]
        self.calls += 1
        self.now_ns += duration_ns
        return duration_ns

    def clock(self):
        return self.now_ns


def test_windows_are_20_samples_of_a_fast_call():
    """50 samples of 1 ms: the last window is samples 30 to 49, the one before 10 to 29."""
    series = [MS + index for index in range(50)]
    assert last_windows(series) == [series[10:30], series[30:50]]


def test_windows_are_a_quarter_second_of_a_slow_call_and_at_least_two():
    """0.1 s: 3 samples reach 0.25 s. 0.3 s: one would, but a window holds at least 2."""
    assert [len(window) for window in last_windows([100 * MS] * 9)] == [3, 3]
    assert [len(window) for window in last_windows([300 * MS] * 9)] == [2, 2]


def test_half_a_window_is_half_as_many_samples_and_at_least_two():
    """10 samples of 1 ms; 0.125 s of 30 ms are 5; of 0.1 s two."""
    lengths = [len(last_windows([each * MS] * 99, parts=2)[0]) for each in (1, 30, 100)]
    assert lengths == [10, 5, 2]


@pytest.mark.parametrize(("count", "windows"), [(0, 0), (19, 0), (20, 1), (39, 1), (40, 2)])
def test_windows_that_are_not_full_do_not_count(count, windows):
    assert len(last_windows([MS] * count)) == windows


def test_equal_samples_are_steady_after_two_windows():
    assert not is_steady([MS] * 39)
    assert is_steady([MS] * 40)


@pytest.mark.parametrize(("later_ns", "steady"), [(1019, True), (1021, False), (981, True)])
def test_windows_agree_within_two_percent_either_way(later_ns, steady):
    """Medians 1000 and 1000 ± x, each window of 100 less and 100 more than its median in turn.

    Half of the 400 pairs across the windows order alike: Kendall's S = 200, 2.3 deviations of
    85.8: no trend.
    """

    def window(middle_ns):
        half = [middle_ns - 100, middle_ns + 100] * 5
        return half + half[::-1]

    assert is_steady(window(1000) + window(later_ns)) is steady
    assert is_steady(window(later_ns) + window(1000)) is steady


def test_a_slow_drift_is_a_trend_although_the_windows_agree():
    """0.09 % a sample: 1.8 % between the windows' medians, 3.6 % over both."""
    drift = [round(1e9 * (1 - 0.0009 * index)) for index in range(40)]
    fast = [value // 1000 for value in drift]  # 1 ms calls: windows of 20
    assert has_trend(fast)
    assert not is_steady(fast)
    assert has_trend(fast[::-1])


@pytest.mark.parametrize(("count", "trend"), [(5, False), (6, True)])
def test_five_in_order_may_be_chance_and_six_are_a_trend(count, trend):
    """S = n (n - 1) / 2 over its deviation: 10 / 4.08 = 2.45 for five, 15 / 5.32 = 2.82 for six."""
    assert has_trend([1000 + 100 * index for index in range(count)]) is trend


def test_noise_is_seldom_a_trend():
    """White noise of 5 %, 1000 series of 40: two-sided 1 % (bound: mean + 4 sd)."""
    generator = random.Random(7)
    series = [[round(generator.gauss(1e6, 5e4)) for _ in range(40)] for _ in range(1000)]
    assert sum(has_trend(values) for values in series) <= 10 + 4 * 10**0.5


def test_a_session_that_gets_faster_is_warmed_until_it_does_not():
    """2.07 times the steady time at first, 1.03 at call 19, as ONNX Runtime was seen to do."""
    fake = Fake(round(MS * (1 + 1.07 * 0.83**call)) for call in range(100))
    result = warm_up(fake.sample, cap_s=10, clock=fake.clock)
    assert result.steady
    before_ns, last_ns = result.window_medians_ns
    assert last_ns < before_ns < 1.02 * last_ns
    assert last_ns < 1.02 * MS
    assert result.duration_ns == sum(result.durations_ns)


def test_a_warm_up_that_never_settles_ends_at_the_cap():
    """Each call 3 % slower than the one before; the cap of 1 s is passed by the last call only."""
    fake = Fake(round(10 * MS * 1.03**call) for call in range(200))
    result = warm_up(fake.sample, cap_s=1, clock=fake.clock)
    assert not result.steady
    assert result.duration_ns >= 1000 * MS > result.duration_ns - result.durations_ns[-1]


def test_one_call_longer_than_the_cap_is_taken_and_not_steady():
    fake = Fake([20_000 * MS])
    result = warm_up(fake.sample, cap_s=1, clock=fake.clock)
    assert (result.steady, result.durations_ns) == (False, (20_000 * MS,))
    assert result.window_medians_ns == ()


def test_samples_from_earlier_in_the_process_save_one_window():
    """20 samples of the same shape before: 20 more that agree suffice, not 40.

    At twice the time the window before must hold 11 new ones for its median to be new: 20 + 11.
    """
    fake = Fake([MS])
    assert len(warm_up(fake.sample, 10, fake.clock).durations_ns) == 40
    again = warm_up(Fake([MS]).sample, 10, fake.clock, earlier_ns=[MS] * 20)
    assert len(again.durations_ns) == 20
    slower = warm_up(Fake([2 * MS]).sample, 10, fake.clock, earlier_ns=[MS] * 20)
    assert len(slower.durations_ns) == 31


def test_a_shape_that_was_warm_has_half_of_the_time():
    """Each call 3 % slower than the one before, 1 s of 2 s."""
    fake = Fake(round(10 * MS * 1.03**call) for call in range(200))
    result = warm_up(fake.sample, 2, fake.clock, earlier_ns=[5 * MS] * 20)
    assert not result.steady
    assert result.duration_ns >= 1000 * MS > result.duration_ns - result.durations_ns[-1]


def test_a_familiar_call_needs_windows_of_half_the_length():
    fake = Fake([MS])
    assert len(warm_up(fake.sample, 10, fake.clock, familiar=True).durations_ns) == 20


@pytest.mark.parametrize("step_ms", [1, 8, 25, 60])
def test_a_fresh_session_is_warm_within_2_percent_whatever_a_call_takes(step_ms):
    """The decay that ONNX Runtime was seen to have, at any length of a call."""
    fake = Fake(round(step_ms * MS * (1 + 1.07 * 0.83**call)) for call in range(200))
    result = warm_up(fake.sample, 10, fake.clock)
    assert result.steady
    assert result.durations_ns[-1] < 1.02 * step_ms * MS


def test_earlier_samples_do_not_hide_that_a_call_has_slowed_down_since():
    """Two windows of 1.1 ms agree once more than half of the older one is new: 20 and 11 calls."""
    slower = Fake([1_100_000])
    found = warm_up(slower.sample, 10, slower.clock, [MS] * 40)
    assert (found.steady, slower.calls) == (True, 31)
    alike = Fake([MS])
    assert warm_up(alike.sample, 10, alike.clock, [MS] * 40).steady
    assert alike.calls == 10
