"""Which process takes whose memory: told by a worker whose tests hold what they are said to."""

from dataclasses import replace
from typing import ClassVar

import pytest

from harness.core.errors import WorkerError
from harness.engine.workload import Workload
from harness.results.entries import MemoryEntry
from harness.results.enums import Kind
from harness.results.losses import FailureEntry
from harness.results.replies import Held, MemoryTaken, NextMemory
from harness.runner.loop import memory_passes as passes
from harness.runner.loop import session
from harness.runner.loop.builds import build_all
from harness.runner.loop.entries import Entries
from harness.runner.loop.memory_passes import in_order_of_peaks, memory_passes, share_process
from harness.runner.plan import make_plan
from harness.runner.plan.runtimes import GENAI
from harness.runner.settings import Settings

LOAD = 100  # peak of the load alone


def quiet(what, done, total):
    """Progress that nobody watches."""


class FakeWorker:
    """Keeps a high-water mark; what a test holds is given by its name."""

    holds: ClassVar[dict[str, int]] = {}
    fatal: tuple[str, ...] = ()
    asked: ClassVar[list[list[str]]] = []

    @classmethod
    def start(cls, module, **_named):
        cls.asked.append([])
        return cls()

    def __enter__(self):
        """Begin with the peak of the load."""
        self.peak = LOAD
        return self

    def __exit__(self, *_error):
        """Leave: nothing is open."""

    def ask(self, do, timeout_s, reply, workload, **_arguments):
        self.asked[-1].append(workload.test)
        if workload.test in self.fatal:
            raise WorkerError("the worker was killed", fix="run it alone")
        before, self.peak = self.peak, max(self.peak, self.holds[workload.test])
        held = Held(rss_bytes=1, anonymous_bytes=None, file_bytes=None)
        taken = MemoryTaken(baseline=held, loaded=held, steady=held, peak_bytes=self.peak)
        if do == "memory":
            return taken
        return NextMemory(taken=taken if self.peak > before or self.peak == LOAD else None)


@pytest.fixture
def group_of(tiny_folder, shared_cache, monkeypatch):
    """A function: a plan of one group, what its tests hold -> the entries of the passes."""

    def take(holds, fatal=(), before=(), estimates=None):
        monkeypatch.setattr(FakeWorker, "holds", holds)
        monkeypatch.setattr(FakeWorker, "fatal", fatal)
        monkeypatch.setattr(FakeWorker, "asked", [])
        monkeypatch.setattr(session, "Worker", FakeWorker)
        peaks = {f"{test} @ d0": value for test, value in (estimates or holds).items()}
        monkeypatch.setattr(passes, "_estimated_peaks", lambda group, builds, entries: peaks)
        settings = Settings(
            model=(str(tiny_folder),), quant=("int4",), prompt=(8, 16), gen=(4,), pg=((8, 4),)
        )
        plan = make_plan(settings, usable_threads=1)
        entries = Entries(before)
        for entry in memory_passes(plan, build_all(plan, shared_cache), entries, quiet):
            entries.add(entry)
        return entries

    return take


HOLDS = {"tg4": 110, "pp8": 120, "pg8+4": 130, "pp16": 140}


def peaks(entries):
    return {name.split(" ")[0]: taken.peak_bytes for (_, name), taken in entries.memory.items()}


def test_tests_that_raise_the_peak_share_one_process(group_of):
    assert peaks(group_of(HOLDS)) == HOLDS
    assert FakeWorker.asked == [["tg4", "pp8", "pg8+4", "pp16"]]


def test_one_that_holds_less_than_one_before_gets_a_process_of_its_own(group_of):
    """The estimate put pp8 first, which holds more than the two behind it."""
    holds = {**HOLDS, "pp8": 135}
    assert peaks(group_of(holds, estimates={**HOLDS, "pp8": 100})) == holds
    assert FakeWorker.asked == [["pp8", "tg4", "pg8+4", "pp16"], ["tg4"], ["pg8+4"]]


def test_where_the_load_takes_most_every_reading_is_its_own(group_of):
    holds = dict.fromkeys(HOLDS, 90)
    assert set(peaks(group_of(holds)).values()) == {LOAD}
    assert len(FakeWorker.asked) == 1


def test_one_that_fails_behind_another_is_tried_alone(group_of):
    """It fails there too: its own row, and none of the others, is lost."""
    entries = group_of(HOLDS, fatal=("pg8+4",))
    assert FakeWorker.asked[0] == ["tg4", "pp8", "pg8+4"]
    assert sorted(FakeWorker.asked[1:]) == [["pg8+4"], ["pp16"]]
    assert peaks(entries) == {name: HOLDS[name] for name in ("tg4", "pp8", "pp16")}
    assert [name for _, name in entries.no_memory] == ["pg8+4 @ d0"]


def test_a_first_one_that_fails_is_not_tried_again(group_of):
    entries = group_of(HOLDS, fatal=("tg4",))
    assert [test for asked in FakeWorker.asked for test in asked].count("tg4") == 1
    assert len(entries.no_memory) == 1
    assert peaks(entries) == {name: HOLDS[name] for name in ("pp8", "pg8+4", "pp16")}


def test_what_a_journal_holds_is_not_taken_again(group_of):
    whole = group_of(HOLDS)
    (key, name), reply = next(iter(whole.memory.items()))
    kept = MemoryEntry(group=key, workload=name, reply=reply)
    failed = FailureEntry(
        group=key, workload="pp16 @ d0", status="crashed", reason="it crashed", exit_code=3
    )
    entries = group_of(HOLDS, before=(kept, failed))
    assert FakeWorker.asked == [["pp8", "pg8+4"]]
    assert len(entries.memory) == 3


def test_the_least_estimate_comes_first_and_without_one_the_shortest():
    long, short = Workload(Kind.PREFILL, 64, 0), Workload(Kind.PREFILL, 16, 0)
    assert list(in_order_of_peaks([long, short], {})) == [short, long]
    assert list(in_order_of_peaks([long, short], {long.name: 1, short.name: 2})) == [long, short]


def test_another_runtime_takes_each_test_in_a_process_of_its_own(group_of, tiny_folder):
    settings = Settings(model=(str(tiny_folder),), quant=("int4",), prompt=(8,), gen=(4,))
    (group,) = make_plan(settings, usable_threads=1).groups
    assert share_process(group)
    assert not share_process(replace(group, runtime=GENAI))
