"""`bench results`: the runs of a folder, the latest first; what is damaged is named."""

import json
import os
import shutil
from pathlib import Path

import pytest
from msgspec import structs

from harness.cli import results_files
from harness.cli.main import main
from harness.cli.results_files import results_path
from harness.core.errors import EXIT_OK, EXIT_STORAGE, EXIT_USAGE
from harness.results.document import write_document
from tests.report.report_documents import document, failed, group

JOURNALS = Path(__file__).parents[1] / "fixtures" / "journals"


@pytest.fixture
def results(tmp_path):
    """Two runs, a damaged file, other JSON."""
    first = document(*group(level="fp32"), *group(level="int4"), failed("pp128", "it died; try: x"))
    second = structs.replace(
        document(*group(model="m")), run_id="run-b", created_utc="2026-11-23T08:00:00+00:00"
    )
    write_document(first, tmp_path / "run-a.json")
    write_document(second, tmp_path / "run-b.json")
    (tmp_path / "run-c.json").write_text('{"schema": "bench.results", "recor')
    (tmp_path / "table.json").write_text('{"other": 1}')
    (tmp_path / "run-folder.json").mkdir()
    return tmp_path


def test_a_pipe_is_named_and_never_read(results, capsys, monkeypatch):
    """Reading one waits for a writer that never comes."""
    monkeypatch.chdir(results.parent)
    for name in ("run-pipe.json", "run-p.journal.jsonl", "pairs-p.jsonl"):
        os.mkfifo(results / name)
    assert main(["results", str(results), "--format", "json"]) == EXIT_OK
    problems = {row["file"]: row["problem"] for row in json.loads(capsys.readouterr().out)}
    for name in ("run-pipe.json", "run-p.journal.jsonl", "pairs-p.jsonl"):
        assert problems[name] == "no regular file: it is not read"
    assert problems["run-a.json"] is None
    monkeypatch.setattr(results_files, "FOLDER", results)
    assert results_path("latest").name == "run-c.json"


def test_a_folder_that_may_not_be_read_is_an_error_of_storage(results, capsys, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert main(["results", str(results)]) == EXIT_STORAGE
    assert "cannot be read: Permission denied" in capsys.readouterr().err


def test_the_latest_run_comes_first(results, capsys):
    assert main(["results", str(results), "--format", "json"]) == EXIT_OK
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == ["run-b.json", "run-a.json", "run-c.json"]
    assert rows[1] == {
        "file": "run-a.json",
        "kind": "run",
        "created_utc": "2026-11-22T10:15:00+00:00",
        "models": "smollm2-135m",
        "levels": "fp32,int4",
        "tests": "pp128,tg32,pg128+32",
        "rows": 7,
        "failed": 1,
        "ended": "complete",
        "problem": None,
    }
    assert "no complete JSON document" in rows[2]["problem"]


def test_people_see_what_is_damaged_below_the_table(results, capsys):
    assert main(["results", str(results)]) == EXIT_OK
    out = capsys.readouterr().out
    assert "2 runs in" in out
    assert "run-c.json: it is no complete JSON document" in out
    assert "table.json" not in out
    assert out.index("run-b.json") < out.index("run-a.json")


def test_a_folder_without_runs_is_no_error(tmp_path, capsys, monkeypatch):
    assert main(["results", str(tmp_path)]) == EXIT_OK
    assert "0 runs in" in capsys.readouterr().out
    assert main(["results", str(tmp_path), "--format", "json"]) == EXIT_OK
    assert json.loads(capsys.readouterr().out) == []
    monkeypatch.chdir(tmp_path)  # where nothing was measured yet
    assert main(["results"]) == EXIT_OK
    assert main(["results", str(tmp_path / "none")]) == EXIT_USAGE
    assert "is no folder" in capsys.readouterr().err


def test_runs_that_were_killed_are_there_by_their_journals(tmp_path, capsys):
    found = sorted(JOURNALS.glob("*.journal.jsonl"))
    if not found:
        pytest.skip("no journal is stored")
    shutil.copy(found[0], tmp_path / "run-20261101-101010-aaaa.journal.jsonl")
    assert main(["results", str(tmp_path), "--format", "json"]) == EXIT_OK
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ended"] in ("interrupted", "damaged")
