"""A plan on another machine: one document here of what came back, and nothing left there."""

import pytest

from harness.core.errors import EXIT_CELLS, EXIT_OK, StorageError
from harness.fleet.laying import cells_of
from harness.fleet.remote.gather import gather
from harness.fleet.remote.target import parse_target
from harness.fleet.remote.visit import Errand, work_folder
from harness.results.document import read_document
from harness.results.enums import Status
from harness.runner.settings import load_settings
from tests.fleet.remote.pretend import null_python, pretend


@pytest.fixture
def home(monkeypatch, tmp_path):
    return pretend(monkeypatch, tmp_path)


def laid(*quant):
    return cells_of(load_settings("ci", model=("bytelm",), quant=quant, threads=("1",)))


def gathered(tmp_path, cells, begun=lambda *_: None, results="results"):
    errand = Errand(parse_target("ssh:board"), str(null_python(tmp_path)), ("--machine", "shelf-1"))
    return gather(cells, errand, tmp_path / results, print, begun)


def test_one_document_of_all_cells(home, tmp_path):
    cells, begun = laid("int4", "fp32"), []
    found = gathered(tmp_path, cells, lambda cell, number: begun.append((cell.hash, number)))
    assert found.exit_code == EXIT_OK
    assert begun == [(cell.hash, number) for number, cell in enumerate(cells)]
    stored = read_document(found.path)
    assert stored == found.document
    assert stored.run_id == found.path.stem
    assert {source.plan.cell.label for source in stored.sources} == {"shelf-1"}
    assert {record.cell.level for record in stored.records} == {"fp32", "int4"}


def test_what_is_home_is_gone_there(home, tmp_path):
    cells = laid("int4")
    gathered(tmp_path, cells)
    assert list(home.rglob(work_folder([cell.file_name for cell in cells]))) == []


def test_a_cell_that_is_refused_there_is_a_row_that_says_so(home, tmp_path, capsys):
    found = gathered(tmp_path, laid("int4", "int8"))
    assert found.exit_code == EXIT_CELLS
    statuses = {record.cell.level: record.status for record in found.document.records}
    assert statuses == {"int4": Status.OK, "int8": Status.SKIPPED}
    assert "bench: refused" in capsys.readouterr().out


def test_results_stay_there_where_they_cannot_be_kept_here(home, tmp_path):
    (tmp_path / "results").write_text("a file", encoding="utf-8")
    cells = laid("int4")
    with pytest.raises(StorageError, match="cannot be made"):
        gathered(tmp_path, cells)
    (work,) = home.rglob(work_folder([cell.file_name for cell in cells]))
    assert list((work / "out").glob("result-*.json"))


def test_files_that_are_no_results_of_these_cells_are_left_out(home, tmp_path):
    cells = laid("int4")
    work = home / ".cache/ondevice-bench-fleet" / work_folder([one.file_name for one in cells])
    (work / "out").mkdir(parents=True)
    (work / "out/result-0000000000000000-1111111111111111.json").write_text("{}", encoding="utf-8")
    (work / "out/other.json").write_text("{}", encoding="utf-8")
    assert gathered(tmp_path, cells).problems == ()
