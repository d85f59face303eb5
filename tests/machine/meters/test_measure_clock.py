"""The clock is read twice per call, and nothing stands between."""

from harness.machine.meters.samples import time_call, time_calls


def test_time_calls_reads_the_clock_twice_per_call():
    """The durations are differences of our own ticks, so no test ever sleeps."""
    ticks = iter([100, 130, 200, 250])
    assert time_calls(lambda: None, repeats=2, clock=lambda: next(ticks)) == [30, 50]


def test_time_call_holds_exactly_the_call():
    """A call that moves the clock by 7 took 7."""
    now = [0]

    def call():
        now[0] += 7

    assert time_call(call, clock=lambda: now[0]) == 7
