"""Fault: clocks that jump, or tick so rarely that a step fits between two ticks.

What must remain true: no duration is read from the clock that people set; a step that took no time
is refused, and one whose clock ticks 16 ms is marked.
"""

import ast
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kill_points import records_of
from harness.core.errors import EXIT_OK, MeasurementError
from harness.engine.passes import run_pass
from harness.engine.workload import Workload
from harness.machine.watch.evidence import clock_share
from harness.machine.watch.trust import grade
from harness.results.enums import Kind
from tests import replies
from tests.engine.fake_decoder import FakeDecoder
from tests.machine.watch.test_watch_trust import GOOD, replace

PACKAGE = Path(__file__).resolve().parents[2] / "harness"
WALL = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow")}
# Where the wall clock is read: dates and times of day for people, and ages of files, whose dates
# are its own.
READERS = {
    "cli/cache.py",
    "cli/history_bless.py",
    "cli/progress.py",
    "core/files.py",
    "estimator/calibration/store.py",
    "report/junit.py",
    "runner/loop/run.py",
    "store/inventory.py",
}
TICK_NS = 16_000_000
HOUR_S = 3600.0


def wall_clock_reads(path):
    """Calls of a clock that people set."""
    text = path.read_text(encoding="utf-8")
    if not any(f"{module}.{name}" in text for module, name in WALL):  # most files, at once
        return []
    return [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in WALL
    ]


def test_no_duration_is_of_the_clock_that_people_set():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if wall_clock_reads(path)
    }
    assert found == READERS


def test_an_hour_back_and_forth_changes_nothing(planned, measured, monkeypatch):
    """At every look the clock is an hour off, to the other side than before."""
    plan = planned(rounds=2)
    expected = records_of(measured(plan).document)
    real, looks = time.time, []

    def jumping():
        looks.append(None)
        return real() + (HOUR_S if len(looks) % 2 else -HOUR_S)

    monkeypatch.setattr(time, "time", jumping)
    outcome = measured(plan)
    assert looks  # somebody asked, such as the sweep of old files
    assert outcome.exit_code == EXIT_OK
    assert records_of(outcome.document) == expected
    assert all(0 <= spent < HOUR_S / 2 for spent in outcome.document.plan.spent_s.values())


def ticking(decoder, scale):
    """A clock that goes on by whole ticks; a step takes `scale` times what the decoder says."""
    return lambda: decoder.clock() * scale // TICK_NS * TICK_NS


def decoded(scale):
    decoder = FakeDecoder()
    decoder.fill(0, seed=0)
    decoder.feed(one_token())
    return run_pass(decoder, Workload(Kind.DECODE, 0, 8), one_token(), ticking(decoder, scale))


def one_token():
    """One token of one sequence."""
    return np.zeros((1, 1), np.int64)


def test_a_step_between_two_ticks_is_refused():
    """About 1 ms a step, by a clock of 16 ms."""
    with pytest.raises(MeasurementError, match="took 0 ns") as caught:
        decoded(10_000)
    assert "too coarse" in caught.value.fix


@pytest.mark.parametrize(("ticks", "expected"), [(4, "C"), (100, "B"), (250, "A")])
def test_a_step_of_few_ticks_is_marked(ticks, expected):
    sample = replies.sample(itl_ns=[[ticks * TICK_NS]])
    graded = grade(replace(GOOD, clock_share=clock_share([sample], TICK_NS)))
    assert graded.grade == expected
    assert [code for code, _ in graded.reasons] == ["COARSE_CLOCK"] * (expected != "A")
