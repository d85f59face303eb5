"""`bench history backfill` from the command line: what it refuses, and what it would do."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.history import backfill as measuring
from harness.history.backfill import BenchRunner
from tests.history.test_backfill import FakeInstaller, FakeRunner

PLAN = ["--model", "bytelm", "--quant", "int4", "--threads", "1", "--gen", "4", "--device", "cpu"]


def backfill(*words: str, folder: Path) -> int:
    places = ["--results", str(folder / "results"), "--cache", str(folder / "cache")]
    return main(["history", "backfill", *words, *places])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no versions are given"),
        (["--onnxruntime", ""], "0 versions"),
        (["--onnxruntime", "1.31.1,newest"], "'newest' is no version"),
        (["--onnxruntime", "1.31.1,1.32.0", "--package", "numpy==1,2"], "both --onnxruntime"),
        (["--onnxruntime", "1.31.1,1.32.0", "--commits", "a..b"], "--commits are of the package"),
        (["--package", "../x==1,2"], "no name of a package"),
        (["--onnxruntime", "1.31.1,1.32.0", "--modle", "bytelm"], "No such option"),
        (["--onnxruntime", "1.31.1,1.32.0", "--model", "bytelmm"], "bytelmm"),
        (["--onnxruntime", "1.31.1,1.32.0", *PLAN, "--precision", "5%"], "--precision decides"),
        (["--onnxruntime", "1.31.1,1.32.0", *PLAN, "--tolerance", "x"], "--tolerance"),
        (["--onnxruntime", "1.31.1,1.32.0", *PLAN, "--resume"], "--resume is of no use"),
        (["--onnxruntime", "1.31.1,1.32.0", *PLAN, "--with", "=="], "is no requirement"),
    ],
)
def test_bad_input_gets_two_lines_and_nothing_is_made(words, said, tmp_path, capsys):
    assert backfill(*words, folder=tmp_path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert said in lines[0]
    assert lines[1].startswith("  try: ")
    assert not (tmp_path / "cache" / "environments").exists()


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(tmp_path, capsys):
    words = ["--onnxruntime", "1.31.1,1.32.0", "--rounds", "3", "--dry-run", *PLAN]
    assert backfill(*words, folder=tmp_path) == 0
    told = capsys.readouterr().out
    assert "onnxruntime 1.31.1: environment to be made, 3 of 3 rounds of 1 sessions" in told
    assert list(tmp_path.iterdir()) == []


def test_the_answer_stands_below_the_table_and_a_failure_in_the_exit_code(
    tmp_path, capsys, monkeypatch
):
    """The whole command with fakes for what installs and what measures: exit code 4, a device's."""
    installer = FakeInstaller(absent=("1.31.1",))
    monkeypatch.setattr("harness.history.installers.usual_installer", lambda: installer)
    runner = FakeRunner({"1.32.0": 1.2})
    monkeypatch.setattr(measuring, "BenchRunner", lambda code, cache: runner)
    words = ["--onnxruntime", "1.31.0,1.31.1,1.32.0", *PLAN]
    assert backfill(*words, folder=tmp_path) == 4
    told = capsys.readouterr()
    assert "onnxruntime 1.32.0 brought decode_tok_s" in told.out
    assert "1.31.1" in told.out
    assert "round 5 of 5" in told.err
    assert "SLOWER" in told.out
    runs = list((tmp_path / "results").glob("backfill-onnxruntime-*/*/round-*/run-*.json"))
    assert len(runs) == 10


def test_without_the_library_nothing_is_installed_or_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    assert backfill("--onnxruntime", "1.31.0,1.32.0", *PLAN, folder=tmp_path) == 4
    assert "pip install 'ondevice-bench[history]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_one_says_that_the_same_command_goes_on(tmp_path, capsys, monkeypatch):
    """The second round is interrupted; the command again measures what was not done."""
    monkeypatch.setattr("harness.history.installers.usual_installer", FakeInstaller)
    runner = FakeRunner()

    class Interrupted(FakeRunner):
        def measure(self, python, words, results):
            if len(runner.calls) == 3:
                raise KeyboardInterrupt
            runner.measure(python, words, results)

    monkeypatch.setattr(measuring, "BenchRunner", lambda code, cache: Interrupted())
    words = ["--onnxruntime", "1.31.0,1.32.0", "--rounds", "3", *PLAN]
    assert backfill(*words, folder=tmp_path) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "  try: the same command goes on"
    monkeypatch.setattr(measuring, "BenchRunner", lambda code, cache: runner)
    assert backfill(*words, folder=tmp_path) == 0
    assert sorted(runner.calls) == sorted(
        f"{v} {r}" for v in ("1.31.0", "1.32.0") for r in (1, 2, 3)
    )


def test_a_round_is_one_process_of_the_copied_code_with_that_interpreter(tmp_path, monkeypatch):
    """The words of the plan, one round, the folder of that round, no path of this interpreter."""
    seen = {}

    def run(command, **options):
        seen.update(command=command, env=options["env"])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("HF_TOKEN", "secret")
    runner = BenchRunner(tmp_path / "code", tmp_path / "cache")
    runner.measure(Path("/env/bin/python"), ("--model", "bytelm"), tmp_path / "round-1")
    command = seen["command"]
    assert command[:5] == ["/env/bin/python", "-P", "-m", "harness", "run"]
    assert command[command.index("--rounds") + 1] == "1"
    assert command[command.index("--results") + 1] == str(tmp_path / "round-1")
    assert seen["env"]["PYTHONPATH"] == str(tmp_path / "code")
    assert "HF_TOKEN" not in seen["env"]


@pytest.mark.slow
def test_two_real_versions_are_installed_measured_and_compared(tmp_path, capsys):
    """Of onnxruntime, from the index, on bytelm with tiny settings."""
    from harness.results.document import read_document

    words = [*PLAN, "--preset", "quick", "--no-calibrate"]
    versions = ["--onnxruntime", "1.31.1,1.32.0", "--rounds", "2"]
    code = backfill(*versions, *words, folder=tmp_path)
    told = capsys.readouterr()
    if "does not answer" in told.out:
        pytest.skip("no package index")
    assert code == 0, told.err
    seen = set()
    for path in (tmp_path / "results").rglob("run-*.json"):
        seen.add((read_document(path).environment.packages or {})["onnxruntime"])
    assert seen == {"1.31.1", "1.32.0"}
    assert "decode_tok_s" in told.out
    assert backfill(*versions, *words, folder=tmp_path) == 0
    assert "round 1 of 2" not in capsys.readouterr().err
