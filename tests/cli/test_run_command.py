"""`bench run` as a process of its own: clean stdout, one file, exit codes, nothing left behind."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.estimator.calibration import bandwidth
from harness.runner.loop import rounds

QUICK = (
    "model = [{model!r}]\nquant = ['fp32', 'int4']\nprompt = [8]\ngen = [4]\npg = [[8, 4]]\n"
    "threads = ['1']\nrounds = {rounds}\nmin_passes = 2\n"
    "warm_seconds = 0.05\nsample_seconds = 0.01\ncalibrate = false\n"
)


@pytest.fixture
def bench(tmp_path, shared_cache):
    """Run `bench` in an empty folder; returns the finished process."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(shared_cache),
            check=False,
        )

    return run


@pytest.fixture
def quick_plan(tmp_path, tiny_folder):
    path = tmp_path / "quick.toml"
    path.write_text(QUICK.format(model=str(tiny_folder), rounds=1))
    return path


def environment(cache: Path) -> dict[str, str]:
    """This process's environment with our cache; the package is found where this one was."""
    root = Path(__file__).resolve().parents[2]
    return {**os.environ, "BENCH_CACHE": str(cache), "PYTHONPATH": str(root)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_folder, shared_cache):
    """One run of the quick plan as JSON: the process, and the file that it left."""
    folder = tmp_path_factory.mktemp("run")
    plan = folder / "quick.toml"
    plan.write_text(QUICK.format(model=str(tiny_folder), rounds=1))
    command = [sys.executable, "-m", "harness", "--config", str(plan), "--format", "json"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment(shared_cache)
    )
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "results").iterdir()
    return done, path


def test_json_is_one_document_and_the_same_as_the_file(finished):
    """Nothing else reaches stdout; stderr, which is no terminal, has a line per finished row."""
    done, path = finished
    assert json.loads(done.stdout) == json.loads(path.read_text())
    *told, last = done.stderr.splitlines()
    assert last == f"results: {Path('results') / path.name}"
    rows = [line.split()[-4] for line in told if line.startswith("measured: ")]
    assert len(rows) == 6
    assert all(" tok/s" in line and " peak " in line for line in told if "measured: " in line)


def test_a_second_format_stands_beside_the_table(finished, capsys):
    """As narrow as a terminal, or with every column; for a program on stderr."""
    _done, path = finished
    assert main(["report", str(path), "-oe", "csv"]) == 0
    narrow, beside = capsys.readouterr()
    assert max(map(len, narrow.splitlines())) <= 78 or str(path) in narrow
    assert {row["level"] for row in csv.DictReader(io.StringIO(beside))} == {"fp32", "int4"}
    assert f"compare: bench compare {path} --axis quant" in narrow
    assert main(["report", str(path), "--wide"]) == 0
    assert "bits/w" in capsys.readouterr().out


def test_every_format_draws_every_level(finished, capsys):
    _done, path = finished
    shown = {}
    for style in ("table", "md", "csv", "json", "jsonl"):
        assert main(["report", str(path), "--format", style]) == 0
        shown[style] = capsys.readouterr().out
        assert "int4" in shown[style]
    assert len([json.loads(line) for line in shown["jsonl"].splitlines()]) == 6
    rows = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert {row["level"] for row in rows} == {"fp32", "int4"}
    assert "| int4" in shown["md"]


def test_a_name_with_pipes_and_newlines_breaks_no_format(
    make_tiny, tmp_path, monkeypatch, capsys, shared_cache
):
    """A folder may be called anything; tables, CSV and JSON stay whole."""
    monkeypatch.setattr(bandwidth, "VECTOR_BYTES", 2**20)
    monkeypatch.setattr(rounds, "BANDWIDTH_SECONDS", 0.01)
    folder = make_tiny(tmp_path / "models" / "=a|b\n<c>`d")
    plan = tmp_path / "odd.toml"
    quoted = json.dumps(str(folder))
    plan.write_text(QUICK.format(model="x", rounds=1).replace("'x'", quoted))
    words = ["--config", str(plan), "--quant", "int4", "--cache", str(shared_cache)]
    assert main([*words, "--results", str(tmp_path / "results")]) == 0
    (path,) = (tmp_path / "results").iterdir()
    shown = {}
    for style in ("md", "csv"):
        capsys.readouterr()
        assert main(["report", str(path), "--format", style]) == 0
        shown[style] = capsys.readouterr().out
    lines = shown["md"].splitlines()
    bars = {line.replace("\\|", "").count("|") for line in lines if line[:1] == "|"}
    assert len(bars) == 1
    rows = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert not any(row["model"].startswith("=") for row in rows)


@pytest.mark.parametrize("where", ["file", "proc"])
def test_a_results_folder_that_cannot_be_written_is_exit_five(bench, quick_plan, tmp_path, where):
    """Found out before anything is built or measured."""
    target = {"file": str(quick_plan), "proc": "/proc/no-results"}[where]
    done = bench("--config", str(quick_plan), "--results", target)
    assert done.returncode == 5
    assert "\n  try: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cache_that_cannot_be_written_is_exit_five(bench, quick_plan):
    done = bench("--config", str(quick_plan), "--cache", "/proc/no-cache")
    assert done.returncode == 5
    assert "Traceback" not in done.stderr


def test_a_truncated_checkpoint_is_exit_two_and_leaves_nothing(bench, make_tiny, tmp_path):
    folder = make_tiny(tmp_path / "short")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    flags = ("--quant", "fp32", "--prompt", "8", "--cache", str(tmp_path / "cache"))
    done = bench("--model", str(folder), *flags)
    assert done.returncode == 2
    assert "model.safetensors" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "cache").rglob("*.data")) == []


def test_another_architecture_is_exit_two_and_named(bench, make_tiny, tmp_path):
    folder = make_tiny(tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["MambaForCausalLM"]
    (folder / "config.json").write_text(json.dumps(config))
    done = bench("--model", str(folder))
    assert done.returncode == 2
    assert "MambaForCausalLM" in done.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_what_is_finished(tiny_folder, shared_cache, tmp_path, sent):
    """Stopped once the journal holds a finished test: exit 130, a document with that test."""
    plan = tmp_path / "long.toml"
    plan.write_text(QUICK.format(model=str(tiny_folder), rounds=500))
    child = subprocess.Popen(
        [sys.executable, "-m", "harness", "--config", str(plan)],
        cwd=tmp_path,
        env=environment(shared_cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_tests(tmp_path / "results", child)
        child.send_signal(sent)
        out, err = child.communicate(timeout=120)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 130, err
    assert "Traceback" not in err
    (path,) = (tmp_path / "results").glob("run-*.json")
    records = json.loads(path.read_text())["records"]
    assert any(record["samples"] for record in records)
    assert "INTERRUPTED" in out
    assert "go on: bench run --config .../long.toml --resume" in out
    assert f"interrupted; go on: bench run --config {plan} --resume" in err
    assert "smoll" not in out


def wait_for_tests(results: Path, child: subprocess.Popen[str]) -> None:
    """Block until a test is journalled, or fail when the child ends first."""
    for _ in range(1200):
        for journal in results.glob("*.journal.jsonl") if results.exists() else ():
            if '"kind":"test"' in journal.read_text().replace(" ", ""):
                return
        assert child.poll() is None, child.communicate()
        time.sleep(0.1)
    pytest.fail("no test was finished in two minutes")
