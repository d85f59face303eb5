"""One cell on this machine: measured once, gone on with, and rows that say why where it fails."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from harness.cli.main import main
from harness.core.errors import (
    EXIT_CELLS,
    EXIT_DEVICE,
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    EXIT_USAGE,
    UsageError,
)
from harness.fleet.cell_run import Place, check_label, result_name, run_cell
from harness.fleet.cells import CellFile, write_cells
from harness.fleet.laying import cells_of
from harness.fleet.model_files import find_word
from harness.machine.watch.facts import machine_facts
from harness.results.document import encode_document, read_document
from harness.results.enums import Status
from harness.results.environment import MachineFacts
from harness.results.machines import machine_id
from harness.results.schema import METHOD_VERSION
from harness.runner.settings import Settings
from harness.store import cache as store_cache
from tests.faults.runs import crashed
from tests.fleet.results import result
from tests.inline_worker import InlineWorker

FAST = {
    "rounds": 2,
    "calibrate": False,
    "sample_seconds": 0.01,
    "warm_seconds": 0.05,
    "min_passes": 1,
    "threads": ("1",),
}


def cell_of(model, **others) -> CellFile:
    usual = FAST | {"quant": ("int4",), "prompt": (8,), "gen": (4,)}
    (cell,) = cells_of(Settings(model=(str(model),), **{**usual, **others}))
    return cell


@pytest.fixture
def cell(tiny_folder):
    return cell_of(tiny_folder)


@pytest.fixture
def measured(script, tmp_path, shared_cache, tiny_folder):
    """A function: a cell -> what becomes of it, with scripted workers, in the folder `out`."""

    def run(cell, **others):
        find = partial(find_word, folders=[tiny_folder.parent])
        place = Place(tmp_path / "out", shared_cache, **others)
        return run_cell(cell, find, place, lambda what, done, total: None)

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_result_says_of_which_cell_and_machine_it_is(measured, cell, tmp_path):
    outcome = measured(cell, label="shelf-3")
    assert (outcome.exit_code, outcome.is_new) == (EXIT_OK, True)
    mark = read_document(outcome.path).plan.cell
    assert (mark.hash, mark.label, mark.exit_code) == (cell.hash, "shelf-3", EXIT_OK)
    assert mark.machine == machine_id(machine_facts(), "shelf-3")
    assert names(tmp_path / "out") == [result_name(cell, machine_facts(), "shelf-3")]
    rows = [record.cell.workload for record in outcome.document.records]
    assert rows == [row.workload for row in cell.rows]


def test_what_has_a_result_is_measured_once(measured, cell, script):
    first = measured(cell)
    asked = len(script.asked)
    second = measured(cell)
    assert (second.is_new, second.document) == (False, first.document)
    assert len(script.asked) == asked
    third = measured(cell, again=True)
    assert (third.is_new, third.path) == (True, first.path)
    assert third.document.run_id != first.document.run_id


def test_a_damaged_result_is_measured_anew(measured, cell):
    path = measured(cell).path
    path.write_bytes(path.read_bytes()[:300])
    assert measured(cell).is_new
    assert read_document(path).records


def test_an_interrupted_cell_goes_on(measured, cell, script, tmp_path):
    """And leaves one file in the end: the same rows, measured in two sittings."""
    script.fault = lambda one: KeyboardInterrupt() if len(script.asked) == 12 else None
    broken = measured(cell)
    assert broken.exit_code == EXIT_INTERRUPTED
    assert names(tmp_path / "out") == [f"unfinished-{result_name(cell, machine_facts(), '')[:-5]}"]
    script.fault = lambda one: None
    whole = measured(cell)
    assert whole.exit_code == EXIT_OK
    assert whole.document.run_id == broken.document.run_id
    assert names(tmp_path / "out") == [whole.path.name]


def test_a_cell_that_fails_is_rows_that_say_why(measured, cell, script):
    """The result stands, with its exit code, however often it is asked for."""
    script.fault = lambda one: crashed() if one.do == "sample" and one.test == "tg4" else None
    outcome = measured(cell)
    assert outcome.exit_code == EXIT_CELLS
    reasons = {one.cell.workload: one.reason for one in outcome.document.records}
    assert "SIGKILL" in reasons["tg4 @ d0"]
    assert (measured(cell).exit_code, measured(cell).is_new) == (EXIT_CELLS, False)


def test_a_device_that_is_not_here_is_rows_that_say_so(measured, tiny_folder, script):
    cell = cell_of(tiny_folder, device=("migraphx",))
    outcome = measured(cell)
    assert outcome.exit_code == EXIT_DEVICE
    assert {one.status for one in outcome.document.records} == {Status.UNSUPPORTED}
    assert all("migraphx" in one.reason for one in outcome.document.records)
    assert [one.cell for one in outcome.document.records] == list(cell.rows)
    assert script.asked == []
    assert measured(cell).exit_code == EXIT_DEVICE


def test_numbers_that_do_not_fit_this_machine_are_refused(measured, tiny_folder, script):
    with pytest.raises(UsageError, match="2000"):
        measured(cell_of(tiny_folder, threads=("2000",)))
    with pytest.raises(UsageError, match="rounds"):
        measured(replace(cell_of(tiny_folder), settings=Settings(**FAST | {"rounds": 0})))
    assert script.asked == []


def test_rows_that_this_version_lays_out_otherwise_are_refused(measured, cell):
    rows = tuple(structs.replace(row, workload=f"x{row.workload}") for row in cell.rows)
    with pytest.raises(UsageError, match="otherwise here"):
        measured(replace(cell, rows=rows))


def test_another_version_is_refused_before_anything(measured, cell, tmp_path):
    with pytest.raises(UsageError, match="planned by"):
        measured(replace(cell, bench="9.9"))
    assert not (tmp_path / "out").exists()


def test_a_name_follows_from_cell_machine_and_method(cell):
    facts = MachineFacts(cpu_model="a", packages={"onnxruntime": "1.32.0"})
    other = structs.replace(facts, packages={"onnxruntime": "1.33.0"})
    clock = structs.replace(facts, governor="performance")
    name = partial(result_name, cell, label="")
    assert name(facts) == name(clock)
    assert len({name(facts), name(other), result_name(cell, facts, "b")}) == 3
    assert machine_id(facts, "") == machine_id(other, "")


@pytest.mark.parametrize("word", ["a b", "../x", "-x", "x" * 41, "ä"])
def test_a_machine_is_called_by_a_plain_word(word):
    with pytest.raises(UsageError, match="--machine"):
        check_label(word)


@pytest.mark.parametrize("words", ["cell", "merge"])
def test_a_folder_that_takes_nothing_is_told_by_the_option_that_names_it(words, tmp_path, capsys):
    (tmp_path / "file").touch()
    (file,) = write_cells((cell_of("bytelm"),), tmp_path / "cells")
    (tmp_path / "result.json").write_bytes(encode_document(result(0, "a" * 16)))
    commands = {
        "cell": ["cell", str(file), "--out", str(tmp_path / "file" / "out"), "-q"],
        "merge": ["merge", str(tmp_path / "result.json"), "-o", str(tmp_path / "no" / "x.json")],
    }
    assert main([*commands[words], "--format", "csv"]) == EXIT_STORAGE
    assert {"cell": "--out", "merge": "--output"}[words] in capsys.readouterr().err


def test_two_cells_of_one_model_build_it_once(tiny_folder, script, tmp_path, monkeypatch):
    """Both ask for it at the same time, and one of them waits for the other's."""
    started = []

    class Counting(InlineWorker):
        def ask(self, do, timeout_s, reply=object, **arguments):
            started.append(do)
            return super().ask(do, timeout_s, reply, **arguments)

    monkeypatch.setattr(store_cache, "Worker", Counting)
    place = Place(tmp_path / "out", tmp_path / "cache")
    find = partial(find_word, folders=[tiny_folder.parent])
    cells = [cell_of(tiny_folder, prompt=(length,)) for length in (8, 16)]

    def run(cell):
        return run_cell(cell, find, place, lambda what, done, total: None)

    with ThreadPoolExecutor(2) as pool:
        codes = [outcome.exit_code for outcome in pool.map(run, cells)]
    assert codes == [EXIT_OK, EXIT_OK]
    assert len(names(tmp_path / "out")) == 2
    assert started == ["build"]


@pytest.fixture(scope="module")
def real(tmp_path_factory, shared_cache):
    """`bench cell` of bytelm as a process of its own: how it ended, and its folder."""
    folder = tmp_path_factory.mktemp("cell")
    cell = cell_of("bytelm", rounds=1, require=("peak<=1MiB",))
    (path,) = write_cells([cell], folder)
    root = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, "BENCH_CACHE": str(shared_cache), "PYTHONPATH": root}
    words = ["cell", path.name, "--out", "out", "--machine", "shelf-3", "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env=env,
    )
    return done, folder, path


def test_a_real_cell_leaves_one_document_and_ends_as_a_run(real):
    """A limit that is not kept is the exit code, as everywhere."""
    done, folder, _ = real
    assert done.returncode == EXIT_GATE, done.stderr
    (path,) = (folder / "out").iterdir()
    assert json.loads(done.stdout) == json.loads(path.read_bytes())
    document = read_document(path)
    assert {one.status for one in document.records} == {Status.OK}
    assert document.method_version == METHOD_VERSION


def test_it_is_not_measured_twice_and_ends_the_same(real, monkeypatch, capsys, shared_cache):
    _, folder, path = real
    monkeypatch.chdir(folder)
    words = ["cell", str(path), "--out", "out", "--machine", "shelf-3", "--format", "csv"]
    assert main([*words, "--cache", str(shared_cache)]) == EXIT_GATE
    assert "nothing is measured" in capsys.readouterr().err
    assert len(list((folder / "out").iterdir())) == 1


def test_a_cell_that_may_not_be_is_two_lines_and_exit_2(tmp_path, capsys):
    path = tmp_path / "cell-x.json"
    path.write_text('{"format": "bench.cell", "version": 1, "run": "rm -r /"}')
    assert main(["cell", str(path), "--out", str(tmp_path / "out")]) == EXIT_USAGE
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0].strip() for line in told] == ["bench", "try"]
    assert not (tmp_path / "out").exists()


def test_plan_writes_and_lists_cells_and_merge_says_what_is_missing(tmp_path, capsys, real):
    """In files, for programs, and as the matrix of a build service."""
    cells = str(tmp_path / "cells")
    words = ["plan", "--model", "bytelm", "--quant", "fp32,int4", "--cells", cells, "--format"]
    assert main([*words, "json"]) == EXIT_OK
    listed = json.loads(capsys.readouterr().out)
    assert sorted(one["file"] for one in listed) == names(tmp_path / "cells")
    assert main([*words, "github"]) == EXIT_OK
    name, _, matrix = capsys.readouterr().out.strip().partition("=")
    assert name == "cells"
    assert [one["cell"] for one in json.loads(matrix)] == [one["file"] for one in listed]
    assert main(["plan", "--model", "bytelm", "--quant", "int4", "--cells", cells]) == EXIT_OK
    told = [line for line in capsys.readouterr().err.splitlines() if "of another plan" in line]
    assert len(told) == 1
    out = str(tmp_path / "merged.json")
    merge = ["merge", str(real[1] / "out"), "--plan", cells, "--output", out, "--format", "csv"]
    assert main(merge) == EXIT_CELLS
    assert "2 cells without a result" in capsys.readouterr().err
    assert len(read_document(Path(out)).sources) == 3
