"""How many rounds a plan takes: its own, as many as its precision needs, or its budget allows."""

from dataclasses import replace

import pytest

from harness.core.errors import UsageError, WorkerError
from harness.machine.meters.temperature import Sensor
from harness.report.notes import ENDINGS
from harness.report.render import render
from harness.results.calibration import Constants, Drift, Pulse, RatePoint, StoredConstants
from harness.results.plan import Effort
from harness.results.replies import MemoryRead
from harness.runner.loop import rounds, sustain
from harness.runner.loop.builds import Builds
from harness.runner.loop.calibration import peaks_of
from harness.runner.loop.effort import effort_of
from harness.runner.loop.entries import Entries
from harness.runner.loop.rest import Pause
from harness.runner.loop.rounds import measure_rounds, readings_of
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import PRESETS, Settings, load_settings
from harness.stats.intervals import CONFIDENCE
from harness.stats.stopping import FIRST_LOOK
from tests import replies
from tests.inline_worker import none_waiting

COOL = Sensor("coretemp Core 0", 40.0)
READ = MemoryRead(threads=1, bytes=1, pass_ns=(1,))
FIXED_NS = (1000, 1002, 998, 1001, 999)  # half-width under 1 %


@pytest.fixture
def plan(tiny_folder):
    settings = Settings(
        model=(str(tiny_folder),),
        quant=("fp32", "int4"),
        prompt=(8,),
        threads=("1",),
        rounds=3,
        max_rounds=8,
        precision=0.02,
    )
    return make_plan(settings, usable_threads=1)


@pytest.fixture
def measured(monkeypatch):
    """Groups that are measured, in order; int4 scatters by 10 %, fp32 hardly."""
    done = []

    def measure_group(group, artifact, round_index, settings, waiting, left):
        done.append((group.level.name, round_index))
        value_ns = FIXED_NS[round_index % 5] * (
            1 + 0.1 * (group.level.name == "int4") * round_index
        )
        (workload,) = group.workloads
        timed = replies.sample(prefill_ns=[int(value_ns)])
        yield replies.entry(group.key, workload.name, round_index, timed)

    monkeypatch.setattr(rounds, "measure_group", measure_group)
    monkeypatch.setattr(rounds, "refuse_without_room", lambda group, artifact: None)
    monkeypatch.setattr(rounds, "measure_read_bandwidth", lambda *_: READ)
    monkeypatch.setattr(rounds, "started_together", none_waiting)
    return done


def run(plan, pause=None):
    builds = Builds({(g.source.argument, g.stored_name): None for g in plan.groups}, {})
    entries = Entries([])
    for entry in measure_rounds(plan, builds, entries, lambda *_: None, pause):
        entries.add(entry)
    return builds, entries


def test_rounds_are_added_for_the_groups_that_are_not_precise_yet(plan, measured):
    """fp32 is within 2 % at the first look, after 5 rounds, and rests; int4 takes all 8."""
    builds, entries = run(plan)
    counts = {level: sum(name == level for name, _ in measured) for level in ("fp32", "int4")}
    assert counts == {"fp32": 5, "int4": 8}
    found = effort_of(plan, builds, entries)
    assert found == Effort(precision=0.02, rounds=8, wide=1, ended="rounds")


def test_a_precision_that_is_reached_ends_the_run(plan, measured):
    plan = replace(plan, groups=tuple(g for g in plan.groups if g.level.name == "fp32"))
    builds, entries = run(plan)
    assert len(measured) == FIRST_LOOK == 5
    assert effort_of(plan, builds, entries).ended == "precision"


def test_few_rounds_that_are_all_there_may_be_are_measured_without_a_look(plan, measured):
    """Three of three: no width decided, so that the plain interval of 95 % is the right one."""
    plan = replace(plan, settings=replace(plan.settings, max_rounds=3))
    builds, entries = run(plan)
    assert len(measured) == 6
    assert plan.settings.looks.confidence(3) == CONFIDENCE
    assert effort_of(plan, builds, entries).ended == "rounds"


def test_the_budget_ends_a_run_that_is_not_precise(plan, measured):
    """Every look at the clock is 10 s later: of 45 s, three rounds are begun and no fourth."""
    ticks = iter(range(0, 1000, 10))
    plan = replace(plan, settings=replace(plan.settings, budget=45.0))
    builds, entries = run(plan, Pause(clock=lambda: next(ticks)))
    assert max(index for _, index in measured) == 2
    assert effort_of(plan, builds, entries).ended == "budget"


def test_without_a_precision_a_plan_has_its_rounds(plan, measured):
    plan = replace(plan, settings=replace(plan.settings, precision=None))
    builds, entries = run(plan)
    assert len(measured) == 6
    assert effort_of(plan, builds, entries) is None


def test_a_group_that_failed_asks_for_no_more_rounds(plan, measured, monkeypatch):
    def failing(group, artifact, round_index, settings, waiting, left):
        raise WorkerError("broken", fix="none")
        yield

    monkeypatch.setattr(rounds, "measure_group", failing)
    builds, entries = run(plan)
    assert len(entries.lost) == 2 * 2  # of each group, in the rounds 0 and 1
    assert effort_of(plan, builds, entries).wide == 0


def test_the_machine_rests_before_each_process(plan, measured):
    rests = []
    plan = replace(plan, settings=replace(plan.settings, precision=None, cooldown=7.0))
    run(plan, Pause(sleep=rests.append))
    assert rests == [7.0] * 6


def test_every_ending_has_its_words():
    assert set(ENDINGS) == {"precision", "rounds", "budget", "interrupt"}


def test_flags_lie_over_a_preset_and_a_preset_over_the_plan():
    """The default plan has 5 rounds; rigorous 10; the flag's 4 win over both."""
    assert load_settings(None, "rigorous").rounds == PRESETS["rigorous"]["rounds"] == 10
    assert load_settings(None, "rigorous", rounds=4).rounds == 4
    assert load_settings(None, "default") == load_settings(None)


def test_a_preset_must_be_known():
    with pytest.raises(UsageError, match="no preset is called 'slow'"):
        load_settings(None, "slow")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cooldown": -1.0}, "--cooldown"),
        ({"max_rounds": 0}, "--max-rounds"),
        ({"precision": 0.05, "rounds": 1, "max_rounds": 1}, "--precision needs 2 rounds"),
    ],
)
def test_numbers_that_say_nothing_are_refused(tiny_folder, changes, words):
    settings = Settings(model=(str(tiny_folder),), quant=("fp32",), prompt=(8,), threads=("1",))
    with pytest.raises(UsageError, match=words):
        make_plan(replace(settings, **changes), usable_threads=1)


def test_a_test_without_a_rest_stands_in_its_record(
    tiny_folder, tmp_path, shared_cache, monkeypatch
):
    """Windows of a hundredth of a second for a twentieth: each has a rate, and a peak is found."""
    monkeypatch.setattr(sustain, "LEAST_WINDOW_S", 0.01)
    monkeypatch.setattr(sustain, "Pause", lambda: Pause(hottest=lambda _: None))
    monkeypatch.setattr(rounds, "Pause", lambda: Pause(hottest=lambda _: COOL))
    settings = Settings(
        model=(str(tiny_folder),),
        quant=("fp32",),
        gen=(4,),
        threads=("1",),
        rounds=1,
        warm_seconds=0.05,
        sample_seconds=0.01,
        calibrate=False,
        sustain=0.05,
        start_below=45.0,
    )
    plan = make_plan(settings, usable_threads=1)
    outcome = run_plan(plan, results=tmp_path, cache=shared_cache, progress=lambda *_: None)
    (record,) = outcome.document.records
    found = record.sustain
    assert found.metric == "decode_tok_s"
    assert found.windows
    assert found.peak >= min(window.rate for window in found.windows) > 0
    assert record.metrics["sustained_decode_tok_s"].value == found.sustained
    drawn = render(outcome.document, "table")
    assert "without a rest" in drawn
    assert "below 45 °C (coretemp Core 0): 1 process waited 0 s in all" in drawn


def test_a_round_of_many_groups_looks_at_the_machine_more_often(plan):
    """One look with a thread count, one for every three groups, three at most; 1 s in all."""
    group = plan.groups[0]
    for many, looks in ((1, 1), (5, 1), (6, 2), (30, 3)):
        found = readings_of([group] * many)
        assert [(one.threads, one.number) for one in found] == [(1, at) for at in range(looks)]
    some = [replace(group, threads=threads) for threads in (1, 2) for _ in range(9)]
    assert [one.threads for one in readings_of(some)] == [1, 1, 1, 2, 2, 2]
    assert sum(one.seconds for one in readings_of(some)) == pytest.approx(1.0)
    assert readings_of([]) == []


def test_a_round_takes_the_pulse_where_there_are_graphs_for_it(
    plan, measured, monkeypatch, tmp_path
):
    """Every reading multiplies and calls then, and the run's drift is over all of them."""
    whole = MemoryRead(
        threads=1,
        bytes=8,
        pass_ns=(2,),
        matrix_flop=8.0,
        matrix_ns=(1,),
        calls=8,
        call_ns=(4,),
    )
    monkeypatch.setattr(rounds, "measure_pulse", lambda *_: whole)
    entries = Entries([])
    builds = Builds({(g.source.argument, g.stored_name): None for g in plan.groups}, {})
    short = replace(plan, settings=replace(plan.settings, precision=None))
    for entry in measure_rounds(short, builds, entries, lambda *_: None, graphs=tmp_path):
        entries.add(entry)
    assert entries.readings_of(1) == [whole] * plan.settings.rounds
    then = Pulse(8e9, 8e9, 8e9, 12)
    constants = Constants("", (RatePoint(1e9),), threads=1, pulse=then)
    entries.calibrations["cpu", 1] = StoredConstants("f", "1", "cpu", 5, False, constants)
    drift = peaks_of(entries, plan.groups[0].device, 1).measured.drift
    assert drift == Drift(memory=0.5, matrix=1.0, calls=0.25, readings=3)
