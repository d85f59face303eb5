"""Fits that were ended early, that lost workers, or whose folder is gone."""

import pytest
from msgspec import structs

from harness.core.errors import (
    EXIT_CELLS,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    StorageError,
    UsageError,
)
from harness.report.decided import decided_line
from harness.results import elsewhere
from harness.results.enums import Outcome
from harness.results.progress import progress_sentence
from harness.runner.fitting.outcome import refuse_changed
from harness.runner.loop import partial
from harness.runner.loop.builds import Builds
from harness.runner.loop.resume import run_digest
from tests.runner.fitting.replayed import Machine
from tests.runner.fitting.test_fit import FAST, chosen_level, laid_out, run  # noqa: F401

MET, NOT_MET, INCONCLUSIVE = Outcome
NOISY = {"machine": {"noise": 0.05}, "require": "decode>=205", "max_rounds": 8}
QUIET = {
    "machine": {"peak_mib": {"int8": 150.0}, "kld_nats": {"int8": 0.01, "int4": 0.2}},
    "require": "decode>=150, peak<=200MiB, kld<=0.05",
}


def said(outcome):
    """What a fit says, without what differs from run to run."""
    fit = outcome.document.plan.fit
    counts = [len(one.samples) for one in outcome.document.records]
    return fit.candidates, fit.chosen, fit.ended, counts, outcome.exit_code


@pytest.mark.parametrize("interrupt_at", [0, 1, 3, 4, 7])
@pytest.mark.parametrize("asked", [NOISY, QUIET], ids=["undecided", "chosen"])
def test_a_fit_that_is_gone_on_with_says_what_it_would_have_said(
    run,  # noqa: F811
    asked,
    interrupt_at,
):
    """Looks see what they would have seen: later processes are known, and not looked at."""
    given = {key: value for key, value in asked.items() if key != "machine"}
    whole, _ = run(Machine(FAST, **asked["machine"]), **given)
    ended = Machine(FAST, **asked["machine"], interrupt_at=interrupt_at)
    outcome, _ = run(ended, **given)
    assert outcome.exit_code == EXIT_INTERRUPTED
    assert "go on: bench fit --resume" in progress_sentence(outcome.document)
    journals = list(outcome.path.parent.glob("*.journal.jsonl"))
    assert len(journals) == 1
    rest = Machine(FAST, **asked["machine"])
    resumed, _ = run(rest, resume=True, **given)
    assert said(resumed) == said(whole)
    assert resumed.path == outcome.path
    assert "resumed 1 time" in progress_sentence(resumed.document)
    timed = [step for step in rest.log if isinstance(step[1], int)]
    assert not set(timed) & set(ended.log)  # nothing is measured twice
    assert not list(outcome.path.parent.glob("*.journal.jsonl"))


def test_there_must_be_something_to_go_on_with(run):  # noqa: F811
    with pytest.raises(UsageError, match="no unfinished fit of this plan"):
        run(Machine(FAST), "decode>=150", resume=True)


def test_models_that_changed_meanwhile_are_refused(monkeypatch):
    monkeypatch.setattr(
        "harness.runner.fitting.outcome.contents_of", lambda _: {"bytelm int4": "b"}
    )
    refuse_changed(Builds({}, {}), {"bytelm int4": "b", "bytelm int8": "c"})
    with pytest.raises(UsageError, match="bytelm int4 changed since"):
        refuse_changed(Builds({}, {}), {"bytelm int4": "a"})
    assert partial.contents_of(Builds({}, {})) == {}


def test_lost_workers_leave_a_verdict_open_and_say_so(run):  # noqa: F811
    """Two of the first three rounds are lost: one process tells nothing, later ones do."""
    lost = frozenset({("int8", 0), ("int8", 1)})
    outcome, found = run(
        Machine({"int8": 5.0}, loses=lost), "decode>=150", levels=("int8",), max_rounds=3
    )
    (line,) = found["int8"].lines
    assert (found["int8"].outcome, outcome.exit_code) == (INCONCLUSIVE, EXIT_CELLS)
    assert "crashed: gone" in line.why
    assert "try: again" not in line.why.partition("; without")[2]


def test_a_lost_round_is_made_good_by_later_ones(run):  # noqa: F811
    machine = Machine({"int8": 5.0}, loses=frozenset({("int8", 1)}))
    outcome, found = run(machine, "decode>=150", levels=("int8",))
    assert (outcome.exit_code, found["int8"].outcome) == (EXIT_OK, MET)
    assert found["int8"].rounds == 5  # of which four were measured


def test_a_lost_memory_pass_leaves_its_limit_open(run):  # noqa: F811
    machine = Machine(FAST, no_memory=frozenset({"int8"}))
    outcome, found = run(machine, "decode>=150, peak<=200MiB", levels=("int8", "int4"))
    line = next(line for line in found["int8"].lines if line.requirement.startswith("peak"))
    assert line.outcome is INCONCLUSIVE
    assert line.why == "not measured: its memory was not taken: crashed: gone"
    assert (outcome.exit_code, chosen_level(outcome)) == (EXIT_OK, "int4")
    outcome, _ = run(machine, "decode>=150, peak<=200MiB", levels=("int8",))
    assert outcome.exit_code == EXIT_CELLS
    assert "1 of 1 cells failed" in progress_sentence(outcome.document)
    resumed, found = run(Machine(FAST), "decode>=150, peak<=200MiB", levels=("int8",), resume=True)
    assert (resumed.exit_code, found["int8"].outcome) == (EXIT_OK, MET)


def test_old_processes_confirm_nothing(run):  # noqa: F811
    """Every fresh process of the choice is lost: what was measured before is not asked again."""
    lost = frozenset(("int8", index) for index in range(3, 30))
    outcome, found = run(Machine({"int8": 5.0}, loses=lost), "decode>=150", levels=("int8",))
    assert found["int8"].lines[0].outcome is MET
    (line,) = found["int8"].confirmation
    assert line.outcome is INCONCLUSIVE
    assert line.why.startswith("no fresh process of it was measured; without rounds 4, 5")
    assert outcome.exit_code == EXIT_CELLS


def test_a_folder_that_is_gone_costs_no_result(run, monkeypatch, tmp_path):  # noqa: F811
    def refused(document, path):
        if path.parent == tmp_path / "results":
            raise StorageError("the disk is full", fix="free it")
        kept.append(document)

    kept = []
    monkeypatch.setattr(elsewhere, "write_document", refused)
    monkeypatch.setattr(
        "tests.runner.fitting.test_fit.read_document", lambda _: structs.replace(kept[-1])
    )
    outcome, _ = run(Machine(FAST), "decode>=150")
    assert outcome.exit_code == EXIT_STORAGE
    assert "the results lie in" in outcome.lost.problem
    assert kept[-1].plan.fit.chosen is not None


def test_every_decision_is_told_once(run):  # noqa: F811
    told = []
    watched = {"watch": lambda one: told.append(decided_line(one))}
    run(Machine(FAST, estimates={"fp32": 40.0}), "decode>=150", **watched)
    assert len(told) == len(set(told)) == 4
    first, *rest = told
    assert first.startswith("decided: bytelm/fp32")
    assert "not built, by its estimate it does not meet decode>=150: estimated" in first
    assert rest[-1].endswith("MET, confirmed in 5 processes")
    told.clear()
    run(Machine(FAST, fails=frozenset({"int4"})), "decode>=150", **watched)
    assert any(
        "/fp32" in line and "NOT_MET after 3 processes: decode>=150: " in line for line in told
    )
    assert any("/int4" in line and "failed: crashed: gone" in line for line in told)


def test_a_run_and_a_fit_of_one_plan_are_no_sittings_of_each_other():
    plan, _ = laid_out("decode>=150")
    nothing = Builds({}, {})
    digests = {run_digest(plan, nothing, {}, purpose) for purpose in ("", "fit")}
    assert len(digests) == 2


def test_a_damaged_line_costs_a_fit_what_it_held(run):  # noqa: F811
    """Every third line: what comes out is what a fit says that nothing happened to."""
    given = {key: value for key, value in NOISY.items() if key != "machine"}
    whole, _ = run(Machine(FAST, **NOISY["machine"]), **given)
    outcome, _ = run(Machine(FAST, **NOISY["machine"], interrupt_at=4), **given)
    (journal,) = outcome.path.parent.glob("*.journal.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    tests = [place for place, line in enumerate(lines) if b'"kind":"test"' in line]
    assert len(tests) >= 3
    for place in range(1, len(lines), 3):
        damaged = [
            line.replace(b"kind", b"kinb", 1) if at == place else line
            for at, line in enumerate(lines)
        ]
        journal.write_bytes(b"".join(damaged))
        resumed, _ = run(Machine(FAST, **NOISY["machine"]), resume=True, **given)
        assert said(resumed) == said(whole), place
        assert not journal.exists()
