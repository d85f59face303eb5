"""Progress on a stream and by a clock of our own: nothing sleeps, nothing is drawn by itself."""

import io

import pytest

from harness.cli.progress import LEAST_SECONDS, SAME_SECONDS, open_progress
from harness.core.progress import BYTES, tell_detail, tell_part, wants_details
from harness.runner.loop.standing import CellStanding, Standing


class Stream(io.StringIO):
    """A stream that is a terminal, or none."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture(autouse=True)
def terminal_of_its_own(monkeypatch):
    """Whatever the tests are run on."""
    monkeypatch.setenv("TERM", "xterm")


def test_a_finished_row_stays_above_the_view():
    out = Stream(terminal=True)
    with open_progress(stream=out) as progress:
        progress("round 1: a", 0, 2)
        progress("measured: a tg32: 132 tok/s ± 19%, peak 205 MiB", 1, 2)
    assert "measured: a tg32: 132 tok/s ± 19%, peak 205 MiB\n" in out.getvalue()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now_s = 100.0
        self.reads = 0

    def __call__(self):
        self.reads += 1
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def lines(clock, *calls):
    """What a log has after calls of (seconds later, what, done, total)."""
    stream = Stream(terminal=False)
    with open_progress(stream=stream, clock=clock) as progress:
        for later_s, *told in calls:
            clock.now_s += later_s
            progress(*told)
    return stream.getvalue().splitlines()


def test_a_log_has_a_line_per_round_with_the_time_left(clock):
    """4 of 36 steps took 8 s: the other 32 take 64 s."""
    assert lines(clock, (0, "round 1: a", 0, 36), (8, "round 2: b", 4, 36)) == [
        "round 1: a",
        "round 2: b (4 of 36, about 64 s left)",
    ]


def test_sessions_of_one_round_share_a_line_unless_they_take_long(clock):
    calls = [(SAME_SECONDS / 4, f"round 1: {name}", 0, 0) for name in "abcdefghi"]
    assert lines(clock, *calls) == ["round 1: a", "round 1: e", "round 1: i"]


def test_steps_in_quick_succession_share_a_line(clock):
    """A long plan of short sessions fills no log: one line every few seconds."""
    calls = [(LEAST_SECONDS / 4, f"round {n}", 0, 0) for n in range(9)]
    assert lines(clock, *calls) == ["round 0", "round 4", "round 8"]


def test_a_finished_row_always_has_its_line(clock):
    told = [(0, "memory: a tg32", 5, 6), (0.1, "measured: a tg32", 6, 6), (0, "measured: b", 6, 6)]
    assert lines(clock, *told) == [
        "memory: a tg32 (5 of 6)",
        "measured: a tg32 (6 of 6)",
        "measured: b (6 of 6)",
    ]


def test_a_row_that_is_finished_does_not_bring_the_next_one_a_line(clock):
    told = [(9, "memory: a", 1, 6), (9, "measured: a", 2, 6), (9, "memory: b", 2, 6)]
    assert lines(clock, *told)[-1].startswith("measured: a (2 of 6")


def test_what_was_told_is_not_repeated(clock):
    assert lines(clock, (0, "building", 0, 0), (60, "building", 0, 0)) == ["building"]


def test_steps_of_an_earlier_sitting_are_not_counted_as_fast_ones(clock):
    """Resumed at 30 of 36: 2 steps in 10 s leave 4, 20 s."""
    assert lines(clock, (0, "a", 30, 36), (10, "b", 32, 36))[1] == "b (32 of 36, about 20 s left)"


def test_builds_and_rounds_are_counted_apart(clock):
    """Bytes first, then steps: the pace of the one says nothing of the other."""
    told = [(0, "building a", 0, 600), (3, "building b", 500, 600), (9, "round 1", 0, 36)]
    assert lines(clock, *told)[-1] == "round 1"


def test_a_name_acts_on_no_terminal_and_is_one_line(clock):
    assert lines(clock, (0, "building \x1b[31ma\nb", 0, 0)) == ["building \\x1b[31ma\\nb"]


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_draws_nothing_and_reads_no_clock(terminal, clock):
    stream = Stream(terminal)
    with open_progress(quiet=True, stream=stream, clock=clock) as progress:
        progress("building", 0, 6)
    assert stream.getvalue() == ""
    assert clock.reads == 0


def standing(left_s=150.0, **fields):
    first = CellStanding("m/int4", "tg32 @ d0", "int4 tg32 @ d0", 3, 132.0, "tok/s", (0.31, 0.19))
    second = CellStanding("m/fp32", "tg32 @ d0", "fp32 tg32 @ d0")
    return Standing((first, second), rounds=5, left_s=left_s, **fields)


def test_a_line_of_a_log_says_how_wide_the_intervals_are_and_what_the_plan_takes(clock):
    """The time is that of the guesses, not of the steps: 2 of 4 in no time."""
    stream = Stream(terminal=False)
    with open_progress(stream=stream, clock=clock) as view:
        view.board(standing())
        view("round 3: m/int4", 2, 4)
    assert stream.getvalue() == (
        "round 3: m/int4 (2 of 4, about 2 min left); widest interval ± 19%, int4 tg32 @ d0\n"
    )


def test_a_step_that_goes_on_for_long_says_how_far_it_is(clock):
    """43 of 80 MiB, told from anywhere below, also out of a worker."""
    stream = Stream(terminal=False)
    with open_progress(stream=stream, clock=clock) as view:
        view("building m", 0, 0)
        tell_part(1 * 2**20, 80 * 2**20, BYTES)
        clock.now_s += SAME_SECONDS
        tell_part(43 * 2**20, 80 * 2**20, BYTES)
    tell_part(80 * 2**20, 80 * 2**20, BYTES)  # nobody hears it
    assert stream.getvalue().splitlines() == ["building m", "building m (43.0 of 80.0 MiB)"]


@pytest.mark.parametrize("terminal", [True, False])
def test_details_are_told_where_they_are_asked_for(terminal, clock):
    for verbose in (True, False):
        stream = Stream(terminal)
        with open_progress(stream=stream, clock=clock, verbose=verbose):
            assert wants_details() is verbose
            tell_detail("loaded in \x1b[31m 300 ms")
        assert ("loaded in \\x1b[31m 300 ms\n" in stream.getvalue()) is verbose
    assert not wants_details()


def test_between_two_calls_nothing_is_written(clock):
    """What is measured there meets no thread of ours, on a terminal neither."""
    import threading

    for terminal in (True, False):
        stream = Stream(terminal)
        with open_progress(stream=stream, clock=clock) as view:
            view.board(standing())
            view("round 1", 0, 4)
            told, reads = stream.getvalue(), clock.reads
            assert threading.active_count() == len(threading.enumerate())
            assert not [one for one in threading.enumerate() if "rich" in type(one).__module__]
            assert (stream.getvalue(), clock.reads) == (told, reads)


def test_a_dumb_terminal_has_lines(clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Stream(terminal=True)
    with open_progress(stream=stream, clock=clock) as view:
        view("round 1", 0, 4)
    assert stream.getvalue() == "round 1\n"
