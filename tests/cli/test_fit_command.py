"""`bench fit` on the command line, and --require of runs and comparisons: words, files, codes."""

import json

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_GATE, EXIT_OK, EXIT_USAGE
from harness.results.document import write_document
from harness.runner.settings import load_settings
from tests.measured_documents import document, quality, record
from tests.runner.fitting.replayed import Machine

FAST = {"fp32": 10.0, "int8": 5.0, "int4": 4.0}  # 100, 200, 250 tok/s
WORDS = ("fit", "bytelm", "--quant", "fp32,int8,int4", "--threads", "1", "-q")
TIMES = [10.0, 10.1, 9.9, 10.05, 9.95]  # 100 tok/s


@pytest.fixture
def fit(monkeypatch, tmp_path, capsys):
    """Run the command on a made-up machine; returns (code, stdout, the results file)."""

    def run(require, *words, machine=None):
        (machine or Machine(FAST, estimates={"fp32": 40.0})).put_in_place(monkeypatch)
        folder = tmp_path / "results"
        places = ("--results", str(folder), "--cache", str(tmp_path / "cache"))
        code = main([*WORDS, "--require", require, *words, *places])
        (path,) = folder.glob("run-*.json")
        return code, capsys.readouterr().out, path

    return run


def test_a_fit_says_the_choice_the_table_and_the_command(fit, capsys):
    code, out, path = fit("decode>=150, ttft<=200ms", "--wide")
    assert code == EXIT_OK
    first, *_, last = out.strip().splitlines()
    assert first.startswith("bytelm int8 with 1 thread meets decode>=150, ttft<=200ms: of 2")
    assert "of 2 that do, the one that comes first, confirmed" in first  # nothing was built
    assert "confirmed in 5 processes anew (2 MET, 1 NOT_MET by estimate)" in first
    assert last.startswith("bench run --model bytelm --quant int8 --device cpu --threads 1 --pg")
    (row,) = (line for line in out.splitlines() if line.startswith("fp32 "))
    assert "NOT_MET by estimate" in row
    assert "decode: estimated" in row
    (row,) = (line for line in out.splitlines() if line.startswith("int4 "))
    assert "times the decode" in row
    assert main(["report", str(path), "--wide"]) == EXIT_OK  # like any other document
    drawn = capsys.readouterr().out
    assert first in drawn
    assert "not built: by its estimate" in drawn
    assert main(["compare", str(path), "--axis", "quant", "--base", "int8"]) == EXIT_OK
    capsys.readouterr()
    assert main(["results", str(path.parent), "--format", "json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out)[0]["kind"] == "fit"


@pytest.mark.parametrize("style", ["json", "csv", "jsonl", "md"])
def test_programs_get_every_line(fit, style):
    _, out, _ = fit("decode>=150", "--format", style)
    if style == "json":
        found = json.loads(out)
        assert found["candidates"][found["chosen"]]["level"] == "int8"
        assert found["candidates"][0]["requirements"][0]["outcome"] == "NOT_MET"
    elif style == "jsonl":
        assert next(json.loads(line)["outcome"] for line in out.splitlines()) == "NOT_MET"
    else:
        assert "decode>=150" in out.replace("&gt;", ">")


def test_what_is_given_up_is_what_the_table_shows(fit):
    """4 ms of a step beside 5 ms: the rate of the row over that of the choice."""
    _, out, _ = fit("decode>=150", machine=Machine(FAST, noise=0.0))
    (row,) = (line for line in out.splitlines() if line.startswith("int4 "))
    assert "250 tok/s" in row
    assert "1.250 times the decode" in row


@pytest.mark.parametrize(
    ("prefer", "reason"), [("speed", "the highest rate"), ("memory", "the smallest peak")]
)
def test_the_sentence_says_what_decided(fit, prefer, reason):
    machine = Machine(FAST, peak_mib={"int8": 80.0, "int4": 90.0})
    _, out, _ = fit("decode>=150", "--prefer", prefer, "--wide", machine=machine)
    assert f"of 2 that do, the one with {reason}" in out


def test_a_dry_run_says_how_it_will_decide(capsys):
    assert main([*WORDS, "--require", "decode>=150", "--dry-run"]) == EXIT_OK
    out = capsys.readouterr().out
    assert "3 rounds each, held to decode>=150" in out
    assert "looked at after 3, 5, 8, 12, 18, 20" in out
    assert main([*WORDS, "--require", "decode>=150", "--dry-run", "--format", "json"]) == EXIT_OK
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_decisions_are_told_with_v(monkeypatch, tmp_path, capsys):
    Machine(FAST, estimates={"fp32": 40.0}).put_in_place(monkeypatch)
    places = ["--results", str(tmp_path / "results"), "--cache", str(tmp_path / "cache")]
    loud = [word for word in WORDS if word != "-q"]
    for more, count in ((["-v"], 4), ([], 0)):
        assert main([*loud, *more, "--require", "decode>=150", *places]) == EXIT_OK
        told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("decided")]
        assert len(told) == count


def test_questions_are_read_before_anything_is_built(tmp_path, capsys):
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps({"context": "a", "choices": ["b"], "answer": 0}))
    words = ["--require", "accuracy>=50%", "--tasks", str(file), "--cache", str(tmp_path / "cache")]
    assert main([*WORDS, *words]) == EXIT_USAGE
    assert "line 1: one choice" in capsys.readouterr().err
    assert not list((tmp_path / "cache").glob("*"))


def test_none_that_meets_it_ends_with_1(fit):
    code, out, _ = fit("decode>=900")
    assert code == EXIT_GATE
    assert out.startswith("none of 3 candidates is shown to meet decode>=900")
    assert "bench run" not in out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["fit", "bytelm"], "needs what has to be met"),
        (["fit", "bytelm", "--require", "decode>=20, decode<=10"], "contradict each other"),
        (["fit", "bytelm", "--require", "speed>=20"], "called 'speed'"),
        (["fit", "nobody", "--require", "decode>=20"], "nobody"),
        (["run", "--model", "bytelm", "--require", "encode>=5"], "measures encode_seq_s"),
        (["run", "--model", "bytelm", "--require", "top1>=95"], "is a share"),
        (["run", "--require", "kld<=0.1"], "are random"),
    ],
)
def test_bad_input_ends_with_2_and_one_clear_message(words, problem, capsys):
    assert main(words) == EXIT_USAGE
    told = capsys.readouterr().err
    assert problem in told
    assert "\n  try: " in told
    assert "Traceback" not in told


def test_a_plan_has_a_table_of_requirements(tmp_path, capsys):
    plan = tmp_path / "budget.toml"
    plan.write_text('model = ["bytelm"]\n[require]\ndecode = ">=20"\npeak = "<=2GiB"\n')
    assert load_settings(str(plan)).require == ("decode>=20", "peak<=2GiB")
    plan.write_text('[require]\ndecode = ">=20ms"\n')
    assert main(["run", "--config", str(plan), "--dry-run"]) == EXIT_USAGE
    told = capsys.readouterr().err
    assert "budget.toml" in told
    assert "'ms' is no unit of decode_tok_s" in told


@pytest.fixture
def stored(tmp_path):
    """Write a run of one record; returns its path."""

    def write(name, *records, **plan):
        path = tmp_path / f"{name}.json"
        kept = {"rounds": 5, "seed": 0, "sample_seconds": 0.25, **plan}
        write_document(document(*records, run_id=name, plan=kept), path)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("require", "more", "code", "told"),
    [
        ("decode>=50, peak<=1GiB", (), EXIT_OK, "require decode>=50 MET: 1 of 1 lines"),
        ("decode>=200", (), EXIT_GATE, "require decode>=200 NOT_MET: smollm2-135m/int4"),
        ("decode>=99.9", (), EXIT_OK, "INCONCLUSIVE"),
        ("decode>=99.9", ("--inconclusive", "fail"), EXIT_GATE, "the limit lies inside"),
        ("kld<=0.02", (), EXIT_OK, "MET"),
        ("ttft<=1s", (), EXIT_USAGE, "can never fail: no cell of NEW has ttft_ms"),
    ],
)
def test_compare_holds_the_new_side_against_limits(stored, require, more, code, told, capsys):
    base = stored("base", record([40.0, 40.1, 39.9, 40.05, 39.95]))
    new = stored("new", record(TIMES, quality=quality(0.01)))
    assert main(["compare", base, new, "--require", require, *more]) == code
    assert told in capsys.readouterr().err


def test_limits_stand_in_every_format_of_a_comparison(stored, capsys):
    sides = [stored("base", record(TIMES)), stored("new", record(TIMES))]
    for style, words in (
        ("json", '"required"'),
        ("junit", "decode&gt;=200"),
        ("github", "::error title=bench%3A decode>=200 NOT_MET"),
    ):
        code = main(["compare", *sides, "--require", "decode>=200", "--format", style])
        assert code == EXIT_GATE
        assert words in capsys.readouterr().out


def test_a_stored_run_says_what_its_limits_say(stored, capsys):
    path = stored("kept", record(TIMES), require=("decode>=200",))
    assert main(["report", path]) == EXIT_OK
    assert "require decode>=200 NOT_MET" in capsys.readouterr().out
    assert main(["report", path, "--format", "junit"]) == EXIT_OK
    assert "<failure" in capsys.readouterr().out
