"""`bench fleet`: its two commands with real cells, and what they say where they cannot."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_DEVICE, EXIT_USAGE
from harness.fleet.scheduling import engine
from harness.results.document import read_document
from tests.fleet.scheduling.processes import END_S, READY_S, fleet, start

PLAN = "--model bytelm --quant fp32,int8,int4 --threads 1,2 --prompt 8 --gen 4 --rounds 1"
CELLS = 6


def bench(*words: str, folder, cache) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "BENCH_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def two_workers(tmp_path, shared_cache, monkeypatch):
    """`bench fleet worker` twice, as two machines."""
    monkeypatch.setenv("BENCH_CACHE", str(shared_cache))
    with fleet(tmp_path / "fleet") as one:
        for name in ("shelf-1", "shelf-2"):
            words = ("--scheduler", one.address, "--name", name, "--out", str(tmp_path / name))
            log = one.folder / f"{name}.log"
            one.workers[name] = start(log, "-m", "harness", "fleet", "worker", *words)
        for name in one.workers:
            one.wait_for(name, f"worker {name} at")
        yield one


@pytest.mark.slow
def test_twelve_real_cells_of_two_workers(two_workers, tmp_path, shared_cache):
    """One document of both machines, each row with its numbers; told again nothing is measured."""
    words = ("fleet", "run", "--scheduler", two_workers.address, "--workers", "2", "--out", "out")
    done = bench(*words, *PLAN.split(), "--no-calibrate", folder=tmp_path, cache=shared_cache)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").glob("fleet-*.json")
    document = read_document(path)
    labels = [source.plan.cell.label for source in document.sources]
    assert sorted(labels) == ["shelf-1"] * CELLS + ["shelf-2"] * CELLS
    assert all(record.status == "ok" for record in document.records)
    assert all(record.metrics for record in document.records)
    assert " of 12" in done.stderr  # lines that follow at once are left out
    files = sorted((tmp_path / "out").glob("result-*.json"))
    kept = {file.name: file.stat().st_mtime_ns for file in files}
    again = bench(*words, *PLAN.split(), "--no-calibrate", folder=tmp_path, cache=shared_cache)
    assert again.returncode == 0
    assert {file.name: file.stat().st_mtime_ns for file in files} == kept
    assert read_document(path) == document


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the processes of another one")
def test_a_killed_worker_leaves_no_process_behind(two_workers, tmp_path, shared_cache):
    """What it had started ends with it, whatever killed it; the other one measures the cells."""
    worker = psutil.Process(two_workers.workers["shelf-1"].pid)
    words = ("fleet", "run", "--scheduler", two_workers.address, "--workers", "2", "--place", "any")
    log = tmp_path / "run.log"
    plan = (*PLAN.split(), "--no-calibrate", "--out", str(tmp_path / "out"))
    run = start(log, "-m", "harness", *words, *plan)
    try:
        children = awaited(lambda: worker.children(recursive=True))
        worker.kill()
        awaited(lambda: not any(one.is_running() and one.status() != "zombie" for one in children))
        assert run.wait(READY_S * 4) == 0, log.read_text()
        assert "worker shelf-1 is gone" in log.read_text()
    finally:
        run.kill()


def awaited(look):
    """What a look finds, once it finds something."""
    until_s = time.monotonic() + END_S * 2
    while not (found := look()):
        assert time.monotonic() < until_s
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("command", ["worker", "run"])
def test_an_address_of_another_machine_needs_certificates(command, capsys):
    assert main(["fleet", command, "--scheduler", "tcp://10.0.0.5:8786"]) == EXIT_USAGE
    assert "without TLS" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["worker", "run"])
def test_without_the_package_it_says_what_to_install(command, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.chdir(tmp_path)
    words = ["fleet", command, "--scheduler", "tcp://127.0.0.1:9"]
    plan = ["--model", "bytelm", "--quant", "int4"] if command == "run" else []
    assert main([*words, *plan]) == EXIT_DEVICE
    assert engine.INSTALL in capsys.readouterr().err


def test_help_starts_without_the_engine():
    """As every command's: nothing heavy is imported for a page of text."""
    code = (
        "import sys; from harness.cli.main import main; main(['fleet', 'run', '--help']);"
        "sys.exit(any(name in sys.modules for name in ('dask', 'distributed', 'numpy', 'tornado')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0
