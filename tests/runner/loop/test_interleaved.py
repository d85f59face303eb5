"""Sessions of a round, interleaved: every test of every group, and a failure costs its own."""

import pytest

from harness.analysis.compare import Question, compare_axis
from harness.core.errors import EXIT_CELLS, EXIT_OK, UsageError, WorkerError
from harness.engine.workload import Workload
from harness.estimator.calibration import calibrate
from harness.results.enums import Kind
from harness.runner.loop import interleaved, session
from harness.runner.loop.interleaved import check_room_together, merge
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import Settings, load_settings
from tests.replies import sample
from tests.runner.loop.recorded_worker import recording

pytestmark = pytest.mark.usefixtures("small_peaks")

REPLY = {
    "finite": True,
    "digest": "aa",
    "cpu_ns": 5,
    "major_faults": 1,
    "involuntary_switches": None,
}
DECODE = Workload(Kind.DECODE, 0, 3)


@pytest.fixture
def plan(tiny_folder):
    settings = Settings(
        model=(str(tiny_folder),),
        quant=("fp32", "int4"),
        prompt=(8,),
        gen=(4,),
        threads=("1",),
        rounds=2,
        warm_seconds=0.05,
        sample_seconds=0.01,
        min_passes=3,
        calibrate=False,
        interleave="turns",
    )
    return make_plan(settings, usable_threads=1)


def run(plan, folder, cache):
    return run_plan(plan, results=folder, cache=cache, progress=lambda *_: None)


def test_every_test_of_every_group_has_its_passes(plan, tmp_path, shared_cache):
    """Two rounds are two processes a record; three turns are three passes, a step less each."""
    with recording(calibrate, interleaved, session):
        outcome = run(plan, tmp_path, shared_cache)
    assert outcome.exit_code == EXIT_OK
    assert {len(record.samples) for record in outcome.document.records} == {2}
    for record in outcome.document.records:
        for timed in (process.sample for process in record.samples):
            passes = timed.prefill_ns or timed.itl_ns
            assert len(passes) >= 3
            if timed.itl_ns:
                assert {len(steps) for steps in passes} == {3}
    compared = compare_axis(outcome.document, "quant", None, Question())
    assert {row.basis for row in compared.rows} >= {"rounds"}


@pytest.mark.usefixtures("recorded")
def test_a_group_that_fails_leaves_the_others(plan, tmp_path, shared_cache, monkeypatch):
    """int4 dies at its second pass of some test: its rows fail, those of fp32 are whole."""
    real, seen = interleaved.sample_test, []

    def dying(worker, test, *rest):
        seen.append(worker)
        if seen.count(worker) == 2 and worker in levels["int4"]:
            raise WorkerError("gone", fix="none", status="crashed")
        return real(worker, test, *rest)

    levels = {"int4": [], "fp32": []}
    open_group = interleaved.open_group

    def noting(worker, group, *rest):
        levels[group.level.name].append(worker)
        return open_group(worker, group, *rest)

    monkeypatch.setattr(interleaved, "sample_test", dying)
    monkeypatch.setattr(interleaved, "open_group", noting)
    outcome = run(plan, tmp_path, shared_cache)
    assert outcome.exit_code == EXIT_CELLS
    statuses = {(one.cell.level, one.status) for one in outcome.document.records}
    assert statuses == {("fp32", "ok"), ("int4", "crashed")}


def test_replies_of_turns_are_one_sample():
    """Lists go on, counts add up, and the first step after another's turn is left out."""
    replies = [
        sample(itl_ns=[[9, 2, 3]], **REPLY),
        sample(itl_ns=[[8, 4, 5]], **REPLY | {"digest": "bb"}),
    ]
    assert merge(replies, DECODE) == sample(
        itl_ns=[[2, 3], [4, 5]],
        digest="bb",
        cpu_ns=10,
        major_faults=2,
        involuntary_switches=None,
    )


def test_sessions_that_do_not_fit_together_are_refused(plan, tmp_path, shared_cache, monkeypatch):
    monkeypatch.setattr(interleaved, "free_memory_bytes", lambda: 1)
    with pytest.raises(UsageError, match="keeps 2 sessions open"):
        run(plan, tmp_path, shared_cache)


def test_nothing_is_refused_where_nothing_tells_how_much_is_free(monkeypatch):
    monkeypatch.setattr(interleaved, "free_memory_bytes", lambda: None)
    check_room_together([])


def test_an_unknown_way_is_refused(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('interleave = "sideways"')
    with pytest.raises(UsageError, match="none of its words\n  try: known: rounds, turns"):
        load_settings(str(path))
