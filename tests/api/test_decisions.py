"""`harness.judge` and `harness.fit`: verdicts and choices as values."""

import pytest

import harness
from harness.runner.fitting import fit as fitting
from tests.measured_documents import document, record
from tests.runner.fitting.replayed import Machine

TIMES = [10.0, 10.1, 9.9, 10.05, 9.95]  # 100 tok/s
MET, NOT_MET, INCONCLUSIVE = harness.Outcome


def said(found):
    return [(one.requirement.text, one.outcome) for _, one in found]


def test_a_run_says_whether_it_keeps_to_its_own_limits():
    run = document(
        record(TIMES),
        plan={"rounds": 5, "seed": 0, "sample_seconds": 0.25, "require": ("decode>=50",)},
    )
    ((kept, verdict),) = harness.judge(run)
    assert kept is run.records[0]
    assert (verdict.outcome, verdict.requirement.metric.name) == (MET, "decode_tok_s")
    assert verdict.low < verdict.value < verdict.high


@pytest.mark.parametrize(
    "require",
    [
        "decode>=200, peak<=1GiB",
        ["decode>=200", "peak<=1GiB"],
        {"decode": ">=200", "peak": "<=1GiB"},
    ],
)
def test_other_limits_can_be_asked_of_any_run(require):
    run = document(record(TIMES))
    assert harness.judge(run) == ()
    assert said(harness.judge(run, require)) == [("decode>=200", NOT_MET), ("peak<=1GiB", MET)]


def test_what_is_no_limit_is_refused():
    with pytest.raises(harness.UsageError, match="called 'speed'"):
        harness.judge(document(record(TIMES)), "speed>=1")


@pytest.fixture
def fit(monkeypatch, tmp_path):
    """Fit on a made-up machine."""

    def run(**flags):
        Machine({"fp32": 10.0, "int8": 5.0, "int4": 4.0}).put_in_place(monkeypatch)
        places = {"results": tmp_path / "results", "cache": tmp_path / "cache"}
        given = {"model": "bytelm", "quant": "fp32,int8,int4", "threads": 1, **flags}
        return harness.fit(**given, **places)

    return run


def test_a_fit_gives_its_choice_and_every_candidate(fit):
    told = []
    found = fit(require="decode>=150", prefer="speed", progress=lambda *step: told.append(step))
    assert found.chosen.cell.level == "int4"
    assert [one.outcome for one in found.fitted.candidates] == [NOT_MET, MET, MET]
    assert found.command[:2] == ("bench", "run")
    assert found.document == harness_document(found)
    assert (3, 3) in {step[1:] for step in told}
    none = fit(require="decode>=900")
    assert (none.chosen, none.command, none.exit_code) == (None, (), 1)


def harness_document(found):
    from harness.results.document import read_document

    return read_document(found.path)


def test_a_fit_needs_limits_that_something_can_judge(fit):
    with pytest.raises(harness.UsageError, match="needs what has to be met"):
        fit()
    with pytest.raises(harness.UsageError, match="no unfinished fit"):
        fit(require="decode>=150", resume=True)


def test_a_lost_folder_is_warned_of(fit, monkeypatch):
    def elsewhere(_document, path):
        return path, harness.StorageError("the disk is full", fix="mv")

    monkeypatch.setattr(fitting, "write_or_elsewhere", elsewhere)
    with pytest.warns(UserWarning, match="the disk is full"):
        assert fit(require="decode>=150").chosen is not None
