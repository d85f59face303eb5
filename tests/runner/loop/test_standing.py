"""Where cells stand while a run goes on, from entries of a journal and a clock of ours."""

import pytest

from harness.results.entries import MemoryEntry, OutlinedCell, OutlineEntry
from harness.results.enums import Status
from harness.results.losses import FailureEntry
from harness.results.replies import Held, MemoryTaken
from harness.results.schema import Cell, Record
from harness.runner.loop.details import detail_of, first_details
from harness.runner.loop.entries import Entries
from harness.runner.loop.expected import memory_seconds, session_seconds
from harness.runner.loop.standing import Standings, nobody, standings_of
from harness.runner.plan import make_plan
from harness.runner.settings import Settings
from tests import replies
from tests.measured_documents import ENVIRONMENT, cell

MS = 1_000_000


@pytest.fixture(scope="module")
def plan():
    """Two groups of two tests each, three rounds."""
    settings = Settings(
        model=("smollm2-135m",), quant=("fp32", "int4"), prompt=(8,), gen=(4,), rounds=3
    )
    return make_plan(settings, usable_threads=1)


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def outlined(plan):
    """What a run says before its first round."""
    return OutlineEntry(
        cells=tuple(
            OutlinedCell(
                group=group.key,
                workload=test.name,
                build=("m", group.stored_name),
                record=Record(cell=of_test(test), status=Status.OK),
            )
            for group in plan.groups
            for test in group.workloads
        ),
        method_version=1,
    )


def of_test(test) -> Cell:
    return cell(test.test, workload=test.name)


def step(group, place, step_ms):
    """A process whose steps took so long."""
    timed = replies.sample(itl_ns=[[round(step_ms * MS)] * 4])
    return replies.entry(group.key, group.workloads[1].name, place, timed)


def memory(group, test):
    held = Held(rss_bytes=1, anonymous_bytes=None, file_bytes=None)
    taken = MemoryTaken(baseline=held, loaded=held, steady=held, peak_bytes=1)
    return MemoryEntry(group=group.key, workload=test.name, reply=taken)


def watched(plan, clock, entries=()):
    told = []
    standings = Standings(plan, Entries(entries), told.append, clock)
    return standings, told


def test_a_rate_and_its_interval_grow_with_the_rounds(plan, clock):
    """10, 10.1 and 9.9 ms a step: 100 tok/s, and an interval that shrinks after the second."""
    standings, told = watched(plan, clock)
    standings.saw(outlined(plan))
    for place, step_ms in enumerate((10.0, 10.1, 9.9)):
        standings.saw(step(plan.groups[0], place, step_ms))
    assert [one.cells[1].rounds for one in told] == [0, 1, 2, 3]
    assert [len(one.cells[1].halves) for one in told] == [0, 0, 1, 2]
    last = told[-1].cells[1]
    assert last.value == pytest.approx(100.0)
    assert last.unit == "tok/s"
    assert last.halves[1] < last.halves[0]
    assert told[-1].cells[0].value is None


def test_names_are_what_tells_cells_apart(plan, clock):
    standings, _ = watched(plan, clock)
    assert [one.name for one in standings.standing().cells] == [
        *("fp32 pp8", "fp32 tg4", "int4 pp8", "int4 tg4")
    ]


def test_time_left_is_what_is_missing_at_the_pace_so_far(plan, clock):
    """All that is missing, by the guesses; a machine that is slower than they are takes longer."""
    standings, told = watched(plan, clock)
    assert standings.standing().left_s is None
    standings.saw(outlined(plan))
    whole = sum(
        3 * session_seconds(plan, group) + 2 * memory_seconds(group) for group in plan.groups
    )
    assert told[-1].left_s == pytest.approx(whole)
    session_s = session_seconds(plan, plan.groups[0])
    clock.now_s += 1000 * session_s
    for place in range(2):
        standings.saw(step(plan.groups[0], place, 10.0))
    pace = (1000 * session_s + 5) / (session_s + 5)
    assert told[-1].left_s == pytest.approx((whole - session_s) * pace)


def test_what_failed_and_what_is_whole_is_not_missing(plan, clock):
    standings, told = watched(plan, clock)
    standings.saw(outlined(plan))
    first, second = plan.groups
    failure = FailureEntry(
        group=first.key, workload=None, status=Status.CRASHED, reason="died", exit_code=3
    )
    standings.saw(failure)
    assert [one.failure for one in told[-1].cells] == ["crashed", "crashed", "", ""]
    for test in second.workloads:
        for place in range(3):
            sample = replies.sample(itl_ns=[[10 * MS] * 4], prefill_ns=[80 * MS])
            standings.saw(replies.entry(second.key, test.name, place, sample))
        standings.saw(memory(second, test))
    assert all(one.is_whole for one in told[-1].cells)
    assert told[-1].left_s == 0.0


def test_a_resumed_run_begins_with_what_the_journal_holds(plan, clock):
    known = [outlined(plan), step(plan.groups[0], 0, 10.0), step(plan.groups[0], 1, 10.2)]
    standings, _ = watched(plan, clock, known)
    found = standings.standing().cells[1]
    assert (found.rounds, len(found.halves)) == (2, 1)


def test_where_nobody_looks_nothing_is_counted(plan):
    assert standings_of(plan, Entries([]), nobody) is None


def test_details_say_the_versions_the_plan_and_what_a_process_took(plan):
    from msgspec import convert

    from harness.results.environment import MachineFacts

    machine = convert({**ENVIRONMENT, "packages": {"onnxruntime": "1.31.1"}}, MachineFacts)
    told = list(first_details(plan, machine))
    assert "onnxruntime 1.31.1" in told[0]
    assert told[2].startswith("plan: 2 sessions, 4 cells, 3 rounds")
    assert "loaded in 10 ms, 1 passes timed" in detail_of(step(plan.groups[0], 0, 10.0))
    failure = FailureEntry(
        group="g", workload=None, status=Status.SKIPPED, reason="no room; try: int4", exit_code=3
    )
    assert detail_of(failure) == "skipped: g : no room; try: int4"
