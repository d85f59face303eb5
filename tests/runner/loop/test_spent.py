"""Seconds by phase, over all sittings of a run: each says its own, the last word counts."""

import pytest

from harness.results.entries import ResumedEntry, RunEntry, SpentEntry
from harness.results.environment import MachineFacts
from harness.results.plan import RunPlan
from harness.runner.loop.entries import Entries
from harness.runner.loop.spent import TOLD_EVERY_S, Spent

RUN = RunEntry(run_id="r", created_utc="1", plan=RunPlan(), environment=MachineFacts())


class Clock:
    """Stands still until it is set."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def seconds(spent):
    return {one.phase: one.seconds for one in spent.so_far()}


def test_a_phase_is_told_while_it_goes_on_and_at_its_end(clock):
    spent = Spent("1", 2.5, clock)
    found = spent.phase("rounds", iter([RUN, RUN]))
    next(found)
    clock.now_s += 4
    assert seconds(spent) == {"build": 2.5, "rounds": 4.0}
    next(found)
    clock.now_s += 1
    assert next(found, None) is None
    clock.now_s += 50
    assert seconds(spent) == {"build": 2.5, "rounds": 5.0}


def test_a_phase_that_is_left_early_has_ended(clock):
    spent = Spent("1", 0.0, clock)
    found = spent.phase("memory", iter([RUN, RUN]))
    next(found)
    clock.now_s += 3
    found.close()
    clock.now_s += 3
    assert seconds(spent)["memory"] == 3.0


def test_the_journal_is_told_now_and_then(clock):
    """So that a kill loses no more than that."""
    spent = Spent("1", 0.0, clock)
    assert spent.due() == []
    clock.now_s += TOLD_EVERY_S
    assert [one.phase for one in spent.due()] == ["build"]
    assert spent.due() == []


def test_sittings_add_up():
    """3 + 4 + 2 of rounds: of each sitting its last word counts, whichever it was."""

    def said(sitting, phase, took):
        return SpentEntry(sitting=sitting, phase=phase, seconds=took)

    entries = Entries([RUN, said("1", "build", 1.0), said("1", "rounds", 2.0)])
    for entry in (said("1", "rounds", 3.0), ResumedEntry(created_utc="2")):
        entries.add(entry)
    entries.add(said("2", "rounds", 4.0))
    entries.add(ResumedEntry(created_utc="3"))
    for entry in (said("3", "rounds", 2.0), said("3", "memory", 0.5)):
        entries.add(entry)
    assert entries.spent_s == {"build": 1.0, "rounds": 9.0, "memory": 0.5}
