"""`bench site`: a folder of results becomes a folder of pages."""

import json
import os
import sys

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_DEVICE, EXIT_OK, EXIT_USAGE
from harness.report.page import frame
from harness.report.site import frame as site_frame
from harness.results.document import encode_document
from harness.results.merged import joined
from tests.report.site.site_documents import document, record
from tests.results.results_samples import unchecked
from tests.ssh_keys import allowed_line, make_key, needs_keygen

pytest.importorskip("jinja2", reason="the extra report")
pytest.importorskip("vl_convert", reason="the extra report")

ANN = "ann@example.org"


@pytest.fixture(autouse=True)
def no_libraries(monkeypatch):
    """They take seconds to make, and the pages of tests/report/site have them."""
    monkeypatch.setattr(site_frame, "chart_libraries", lambda: "// libraries")


@pytest.fixture
def results(tmp_path):
    """Two runs of a cell, one in a folder of its own; an old one, a cut one, and other JSON."""
    folder = tmp_path / "results"
    (folder / "board").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    contents = [encode_document(document(record(100.0 + day), day=day)) for day in (1, 2, 3)]
    (folder / "run-1.json").write_bytes(contents[0])
    (folder / "board" / "run-2.json").write_bytes(contents[1])
    (folder / ".hidden" / "run-3.json").write_bytes(contents[2])
    (folder / "cut.json").write_bytes(contents[0][:-9])
    (folder / "changed.json").write_bytes(contents[0].replace(b"101.0", b"999.0"))
    (folder / "newer.json").write_bytes(
        unchecked(contents[0]).replace(b'"schema_version":3', b'"schema_version":99')
    )
    (folder / "copy.json").write_bytes(contents[1])
    (folder / "other.json").write_text("{}")
    (folder / "run-9.journal.jsonl").write_text("")
    return folder


def build(results, site, *more):
    return main(["site", str(results), "-o", str(site), *more])


def test_a_merged_document_gives_the_runs_that_no_other_file_has(tmp_path, capsys):
    folder = tmp_path / "results"
    folder.mkdir()
    runs = [document(record(100.0 + day), day=day) for day in (1, 2, 3)]
    (folder / "fleet.json").write_bytes(encode_document(joined(runs, "merge-1")))
    (folder / "result-1.json").write_bytes(encode_document(runs[0]))
    assert build(folder, tmp_path / "site") == EXIT_OK
    shown = capsys.readouterr().out
    assert "1 cell of 3 runs, 1 machine" in shown
    assert "not read" not in shown
    assert len(list((tmp_path / "site").rglob("documents/*.json"))) == 2


def test_a_site_is_built_of_what_can_be_read_and_names_the_rest(results, tmp_path, capsys):
    site = tmp_path / "site"
    assert build(results, site) == EXIT_OK
    shown = capsys.readouterr().out
    assert "1 cell of 2 runs, 1 machine" in shown
    assert "once 1" in shown
    assert "readable 3" in shown
    assert "whole 1" in shown
    text = (site / "refused.html").read_text(encoding="utf-8")
    for name in ("cut.json", "changed.json", "newer.json", "board/run-2.json", "run-9.journal"):
        assert name in text, name
    assert "other.json" not in text
    copied = {path.name: path.read_bytes() for path in (site / "documents").iterdir()}
    assert copied["run-1.json"] == (results / "run-1.json").read_bytes()
    assert len(copied) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_a_link_to_nothing_and_deep_folders_end_nothing(results, tmp_path, capsys):
    """What may never end is not read, and what hides is not looked for."""
    os.mkfifo(results / "run-5.json")
    (results / "run-6.json").symlink_to(tmp_path / "none")
    (results / "loop").symlink_to(results)
    deep = results.joinpath(*("d" * 400))
    deep.mkdir(parents=True)
    (deep / "run-7.json").write_bytes(encode_document(document(day=7)))
    assert build(results, tmp_path / "site") == EXIT_OK
    assert "1 cell of 3 runs" in capsys.readouterr().out
    text = (tmp_path / "site" / "refused.html").read_text(encoding="utf-8")
    assert text.count(">no regular file: it is not read<") == 2


@needs_keygen
def test_a_copy_with_a_bad_signature_does_not_stand_for_the_run(results, tmp_path, capsys):
    """It comes first by its name, and another one holds the same run."""
    content = (results / "run-1.json").read_bytes()
    (results / "a.json").write_bytes(content)
    (results / "a.json.sig").write_text("none")
    assert build(results, tmp_path / "site") == EXIT_OK
    assert "1 cell of 2 runs" in capsys.readouterr().out


def test_building_again_changes_nothing(results, tmp_path, capsys):
    site = tmp_path / "site"
    build(results, site)
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert build(results, site) == EXIT_OK
    assert "0 files written" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()} == before


def test_what_is_gone_from_the_results_is_gone_from_the_site(results, tmp_path, capsys):
    site = tmp_path / "site"
    build(results, site)
    for name in ("run-1.json", "cut.json", "changed.json", "newer.json", "run-9.journal.jsonl"):
        (results / name).unlink()
    (results / "copy.json").unlink()
    (results / "board" / "run-2.json").write_bytes(
        encode_document(document(record(50.0, level="int8"), day=2))
    )
    (site / "CNAME").write_text("bench.example.org")
    assert build(results, site) == EXIT_OK
    capsys.readouterr()
    cells = [path.name for path in (site / "cells").iterdir()]
    assert len(cells) == 1
    assert "int8" in cells[0]
    assert not (site / "documents" / "run-1.json").exists()
    assert (site / "CNAME").exists()
    marker = json.loads((site / ".bench-site.json").read_text())
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert files == {*marker["files"], ".bench-site.json", "CNAME"}


def two_lines(capsys):
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 2
    return shown.err


def test_an_output_that_is_not_ours_is_refused(results, tmp_path, capsys):
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")
    assert build(results, site) == EXIT_USAGE
    assert "did not make it" in two_lines(capsys)
    assert [path.name for path in site.iterdir()] == ["index.html"]


@pytest.mark.parametrize("place", ["results", "results/site", "results/board", "."])
def test_an_output_among_the_results_is_refused(results, tmp_path, capsys, place):
    before = sorted(tmp_path.rglob("*"))
    assert build(results, tmp_path / place) == EXIT_USAGE
    assert "the results that the site is made of" in two_lines(capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "table.json").write_text("[]")
    for folder, words in ((empty, "holds no results file"), (tmp_path / "none", "is no folder")):
        assert build(folder, tmp_path / "site") == EXIT_USAGE
        assert words in two_lines(capsys)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    "more", [["--allow", "efort"], ["--grade", "D"], ["--signed-only"], ["--allowed-signers", "no"]]
)
def test_bad_options_are_two_lines_before_anything_is_read(results, tmp_path, capsys, more):
    assert build(results, tmp_path / "site", *more) == EXIT_USAGE
    two_lines(capsys)
    assert not (tmp_path / "site").exists()


def test_a_missing_extra_is_one_message_with_the_command(results, tmp_path, capsys, monkeypatch):
    frame.environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    try:
        assert build(results, tmp_path / "site") == EXIT_DEVICE
    finally:
        frame.environment.cache_clear()
    assert "pip install 'ondevice-bench[report]'" in two_lines(capsys)


def test_without_documents_there_are_no_copies(results, tmp_path, capsys):
    assert build(results, tmp_path / "site", "--no-documents") == EXIT_OK
    capsys.readouterr()
    assert not (tmp_path / "site" / "documents").exists()
    assert "not copied" in (tmp_path / "site" / "documents.html").read_text(encoding="utf-8")


@needs_keygen
def test_signers_are_named_and_what_was_changed_is_refused(results, tmp_path, capsys):
    key, allowed = make_key(tmp_path, "ann"), tmp_path / "allowed_signers"
    allowed.write_text(allowed_line(ANN, key), encoding="utf-8")
    for name in ("cut.json", "changed.json", "newer.json", "copy.json"):
        (results / name).unlink()
    assert main(["sign", str(results / "run-1.json"), "--key", str(key)]) == EXIT_OK
    more = ["--allowed-signers", str(allowed), "--signed-only"]
    assert build(results, tmp_path / "site", *more) == EXIT_OK
    assert "signed 1" in capsys.readouterr().out
    assert ANN in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    copies = sorted(path.name for path in (tmp_path / "site" / "documents").iterdir())
    assert copies == ["run-1.json", "run-1.json.sig"]
    (results / "run-1.json").write_bytes(encode_document(document(record(500.0), day=1)))
    assert build(results, tmp_path / "site", "--allowed-signers", str(allowed)) == EXIT_OK
    assert "signature 1" in capsys.readouterr().out
    assert "changed after signing" in (tmp_path / "site" / "refused.html").read_text("utf-8")
