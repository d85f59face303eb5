"""Fits from recorded replies: who is measured, for how long, who is chosen, and what is kept."""

import pytest
from msgspec import structs

from harness.core.errors import EXIT_CELLS, EXIT_GATE, EXIT_INTERRUPTED, EXIT_OK, UsageError
from harness.results.document import read_document
from harness.results.enums import Outcome
from harness.results.schema import Metric
from harness.runner.fitting.asked import check_candidates, fit_settings
from harness.runner.fitting.choice import PREFERENCES
from harness.runner.fitting.fit import fit_plan
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from tests.measured_documents import quality, record
from tests.runner.fitting.replayed import Machine

MET, NOT_MET, INCONCLUSIVE = Outcome
FAST = {"fp32": 10.0, "int8": 5.0, "int4": 4.0}  # 100, 200, 250 tok/s


def laid_out(require, levels=("fp32", "int8", "int4"), model="bytelm", **flags):
    """The plan of a fit, and its requirements."""
    settings, requirements = fit_settings(
        load_settings("fit", model=(model,), quant=levels, require=(require,), **flags)
    )
    plan = make_plan(settings, 1)
    check_candidates(plan, requirements)
    return plan, requirements


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Fit on a machine; returns (outcome, what became of every level)."""

    def fitted(machine, require, prefer="quality", resume=False, watch=lambda _: None, **flags):
        machine.put_in_place(monkeypatch)
        plan, requirements = laid_out(require, **flags)
        outcome = fit_plan(
            plan,
            requirements,
            prefer,
            results=tmp_path / "results",
            cache=tmp_path / "cache",
            progress=lambda *_: None,
            resume=resume,
            command=("bench", "fit", "--resume"),
            watch=watch,
        )
        assert outcome.document == read_document(outcome.path)
        found = outcome.document.plan.fit.candidates
        names = [outcome.document.records[one.record].cell.level for one in found]
        return outcome, dict(zip(names, found, strict=True))

    return fitted


def chosen_level(outcome):
    fit = outcome.document.plan.fit
    place = fit.candidates[fit.chosen].record
    return outcome.document.records[place].cell.level


def test_the_preferred_of_those_that_meet_all_is_chosen_and_confirmed(run):
    machine = Machine(FAST)
    outcome, found = run(machine, "decode>=150, ttft<=200ms")
    assert outcome.exit_code == EXIT_OK
    assert [one.outcome for one in found.values()] == [NOT_MET, MET, MET]
    assert chosen_level(outcome) == "int8"  # more bits a weight
    assert [one.rounds for one in found.values()] == [3, 3, 3]  # nobody needs a second look
    assert found["int8"].confirmation[0].basis == "5 processes"
    assert not found["int4"].confirmation
    assert "--quant int8" in outcome.document.plan.fit.command
    assert [index for level, index in machine.log if level == "int8"] == [*range(8)]
    assert [level for stage, level in machine.log if stage == "memory"] == ["int8"]
    assert not list(outcome.path.parent.glob("*.journal.jsonl"))


@pytest.mark.parametrize(("prefer", "level"), [("speed", "int4"), ("memory", "int8")])
def test_another_preference_chooses_another(run, prefer, level):
    machine = Machine(FAST, peak_mib={"int8": 80.0, "int4": 90.0})
    outcome, _ = run(machine, "decode>=150", prefer)
    assert chosen_level(outcome) == level


def test_who_cannot_meet_it_by_estimate_is_never_built(run):
    machine = Machine(FAST, estimates={"fp32": 40.0, "int8": 120.0})
    outcome, found = run(machine, "decode>=150")
    assert ("build", ("int8", "int4")) in machine.log
    line = found["fp32"].lines[0]
    assert (line.outcome, line.basis) == (NOT_MET, "estimate")
    assert line.high == pytest.approx(80.55, abs=0.01)  # twice the estimate is not enough
    record = outcome.document.records[found["fp32"].record]
    assert (record.status, found["fp32"].rounds) == ("skipped", 0)
    assert "not built: by its estimate" in record.reason
    assert outcome.exit_code == EXIT_OK


def test_rounds_go_to_those_undecided_until_there_are_enough(run):
    machine = Machine(FAST, noise=0.05)
    outcome, found = run(machine, "decode>=205", max_rounds=8)
    assert found["fp32"].rounds == 3
    assert (found["int8"].outcome, found["int8"].rounds) == (INCONCLUSIVE, 8)
    assert found["int8"].lines[0].low < 205 < found["int8"].lines[0].high
    assert outcome.document.plan.fit.looks == (3, 5, 8)
    assert outcome.document.plan.fit.ended == "rounds"
    assert outcome.document.plan.rounds_done == 3


def test_what_costs_most_is_measured_of_those_left_alone(run):
    machine = Machine(
        FAST,
        peak_mib={"int8": 300.0},
        kld_nats={"int4": 0.2},
    )
    outcome, found = run(machine, "decode>=150, peak<=200MiB, kld<=0.05")
    assert found["int8"].lines[1].outcome is NOT_MET  # by its memory: never timed
    assert "int8" not in [level for level, _ in machine.log if level != "build"]
    assert [level for stage, level in machine.log if stage == "quality"] == ["int4"]
    assert found["int4"].lines[2].outcome is NOT_MET
    assert (outcome.exit_code, outcome.document.plan.fit.chosen) == (EXIT_GATE, None)
    assert not outcome.command


def test_a_choice_that_fresh_processes_do_not_confirm_is_none(run):
    machine = Machine({"int8": 5.0}, later=(3, 1.5))  # slower from the fourth process on
    outcome, found = run(machine, "decode>=150", levels=("int8",))
    assert outcome.exit_code == EXIT_GATE
    assert found["int8"].lines[0].outcome is MET
    assert found["int8"].confirmation[0].outcome is NOT_MET
    assert found["int8"].outcome is INCONCLUSIVE


def test_who_fails_is_not_chosen_and_makes_no_answer_of_none(run):
    outcome, found = run(Machine(FAST, fails=frozenset({"int8"})), "decode>=150")
    assert (outcome.exit_code, chosen_level(outcome)) == (EXIT_OK, "int4")
    assert "crashed" in found["int8"].lines[0].why
    outcome, _ = run(Machine(FAST, fails=frozenset({"int8", "int4"})), "decode>=150")
    assert outcome.exit_code == EXIT_CELLS


def test_an_interrupt_keeps_what_was_measured(run):
    outcome, found = run(Machine(FAST, noise=0.05, interrupt_at=4), "decode>=205")
    assert outcome.exit_code == EXIT_INTERRUPTED
    assert outcome.document.plan.fit.ended == "interrupt"
    assert found["fp32"].outcome is NOT_MET
    assert len(outcome.document.records[found["int8"].record].samples) == 4


def test_a_budget_ends_the_rounds(run):
    outcome, found = run(Machine(FAST, noise=0.05), "decode>=205", budget=1e-9)
    assert outcome.document.plan.fit.ended == "budget"
    assert {one.outcome for one in found.values()} == {INCONCLUSIVE}


@pytest.mark.parametrize(
    ("require", "flags", "tests"),
    [
        ("decode>=1, ttft<=1s, peak<=1GiB", {}, "pg128+32 @ d0"),
        ("decode>=1, ttft<=1s", {"prompt": (8,), "gen": (4,)}, "pg8+4 @ d0"),
        ("decode>=1", {"depth": (16,)}, "tg32 @ d16"),
        ("decode>=1, ttft<=1s", {"depth": (16,)}, "tg32 @ d16, pg128+32 @ d0"),
        ("sustained_decode>=1, ttft<=1s", {"sustain": 60.0}, "tg32 @ d0, pg128+32 @ d0"),
        ("decode>=1", {"pg": ((8, 4),)}, "pg8+4 @ d0"),
        ("peak<=1GiB", {"prompt": (64,)}, "pg64+32 @ d0"),
    ],
)
def test_the_tests_follow_from_the_requirements(require, flags, tests):
    plan, _ = laid_out(require, levels=("int4",), **flags)
    assert ", ".join(test.name for test in plan.groups[0].workloads) == tests


@pytest.mark.parametrize(
    ("require", "model", "problem"),
    [
        ("encode>=5", "bytelm", "no test of bytelm measures encode_seq_s (pg128+32)"),
        ("kld<=0.05", "smollm2-135m", "weights of smollm2-135m are random"),
        ("energy<=1J", "bytelm", "nothing counts energy here"),
        ("sustained_decode>=5", "bytelm", "no test runs for minutes"),
        ("decode>=5", "all-minilm-l6-v2", "measures decode_tok_s"),
    ],
)
def test_what_nothing_can_judge_is_refused_before_anything_is_built(
    require, model, problem, monkeypatch
):
    from harness.machine.meters.energy import EnergyReading
    from harness.runner.plan import required

    monkeypatch.setattr(required, "read_energy", lambda: EnergyReading(0, {}))
    with pytest.raises(UsageError) as raised:
        laid_out(require, levels=("int4",), model=model)
    assert problem in raised.value.problem
    assert raised.value.fix


@pytest.mark.parametrize(
    ("prefer", "mine", "other", "reason"),
    [
        ("quality", {"parameters": 9}, {}, "with most parameters"),
        ("quality", {}, {"kld": 0.2}, "with the least loss"),
        ("quality", {}, {"bits": 3.0}, "with most bits a weight"),
        ("quality", {}, {"threads": 4}, "with fewest threads"),
        ("quality", {"peak": None}, {"threads": 4}, "with fewest threads"),
        ("quality", {}, {"peak": None}, "that comes first"),
        ("memory", {"peak": 1e6}, {"threads": 1}, "with the smallest peak"),
        ("speed", {"ms": 5.0}, {"threads": 1}, "with the highest rate"),
    ],
)
def test_the_reason_is_what_is_known_of_both(prefer, mine, other, reason):
    def records(ms=10.0, kld=0.1, bits=4.0, peak=2e6, **cell):
        one = record([ms] * 3, peak_bytes=None, quality=quality(kld), **cell)
        known = {"bits_per_weight": bits, "peak_rss_bytes": peak}
        found = {
            name: Metric(value=value, unit="", processes=1)
            for name, value in known.items()
            if value
        }
        return [structs.replace(one, metrics={**one.metrics, **found})]

    assert PREFERENCES[prefer].reason(records(**mine), [records(**other)]) == reason


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"gen": (0,)}, "--gen 0 is below 1"),
        ({"prompt": (0,)}, "--prompt 0 is below 1"),
        ({"max_rounds": 2}, "--max-rounds 2 is below the 3 rounds"),
        ({"text": "english"}, "--text says nothing without a limit"),
    ],
)
def test_a_flag_that_a_fit_would_not_heed_is_refused_by_its_name(flags, problem):
    with pytest.raises(UsageError, match=problem):
        laid_out("decode>=150", **flags)


def test_a_text_goes_with_a_limit_on_losses():
    plan, _ = laid_out("kld<=0.1", text="korean")
    assert plan.settings.text == "korean"
