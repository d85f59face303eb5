"""`bench report RESULTS... --html PAGE`: which files are read, which are named, what is refused."""

import json
import shutil
from pathlib import Path

import lxml.html
import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_DEVICE, EXIT_OK, EXIT_STORAGE, EXIT_USAGE
from harness.report.page import draw, frame
from harness.results.document import encode_document
from harness.results.journal import encode_line
from harness.results.merged import joined
from harness.results.schema import SCHEMA_VERSION
from tests.cli.test_ab_command import ab_header, ab_side
from tests.fleet.results import result

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "results" / "reference" / "default.json"
OTHER = ROOT / "results" / "reference" / "kv-smollm2-135m.json"


@pytest.fixture(autouse=True)
def without_charts(monkeypatch):
    """Charts and their libraries have tests of their own, and take seconds."""
    monkeypatch.setattr(draw, "charts_of", lambda documents: ())


@pytest.fixture
def folder(tmp_path):
    """A folder with one good file."""
    place = tmp_path / "results"
    place.mkdir()
    shutil.copy(STORED, place / "run-a.json")
    return place


def report(*words):
    return main(["report", *map(str, words)])


def text_of(page):
    return lxml.html.parse(page).getroot().text_content()


def test_files_and_folders_become_one_page(folder, tmp_path, capsys):
    page = tmp_path / "out.html"
    assert report(folder, OTHER, "--html", page) == EXIT_OK
    assert capsys.readouterr().out.startswith(f"{page}: 2 runs, ")
    assert "2 runs, side by side" in text_of(page)


def test_the_order_is_that_of_time_and_a_file_that_is_meant_twice_is_drawn_once(
    folder, tmp_path, capsys
):
    page = tmp_path / "out.html"
    assert report(OTHER, folder, STORED, "--html", page) == EXIT_OK
    said = capsys.readouterr()
    assert "the run run-20261122-111219-a925 is there already: default" in said.err
    text = text_of(page)
    assert text.index("20261122-111219-a925") < text.index("20261122-141609-c9d3")


def test_runs_of_a_merged_document_are_not_drawn_again(tmp_path, capsys):
    """A fleet keeps each result and all of them as one in the same folder."""
    runs = [result(number, "a" * 16) for number in (0, 1)]
    folder = tmp_path / "fleet-results"
    folder.mkdir()
    for number, run in enumerate(runs):
        (folder / f"result-{number}.json").write_bytes(encode_document(run))
    (folder / "fleet-1.json").write_bytes(encode_document(joined(runs, "merge-1")))
    assert report(folder, "--html", tmp_path / "out.html") == EXIT_OK
    said = capsys.readouterr()
    assert ": 2 runs, " in said.out
    assert "each of its runs is there already: fleet-1" in said.err
    (folder / "result-1.json").unlink()
    assert report(folder, "--html", tmp_path / "out.html") == EXIT_OK
    assert ": 2 runs, " in capsys.readouterr().out


def test_what_cannot_be_read_of_a_folder_is_named_on_the_page(folder, tmp_path, capsys):
    newer = json.loads(STORED.read_text()) | {"schema_version": 99}
    (folder / "run-new.json").write_text(json.dumps(newer))
    (folder / "run-broken.json").write_text("no json")
    (folder / "table.json").write_text('{"some": "table"}')
    (folder / "ab-1.jsonl").write_bytes(encode_line(ab_header(ab_side(), ab_side())))
    page = tmp_path / "out.html"
    assert report(folder, "--html", page) == EXIT_OK
    said = capsys.readouterr().err
    assert f"its format 99 is newer than {SCHEMA_VERSION}" in said
    assert "passed over, no results file" in said
    assert "ab-1.jsonl" in said
    text = text_of(page)
    assert "run-new.json" in text
    assert "run-broken.json" in text
    assert "table.json" not in text
    assert str(tmp_path) not in page.read_text()


def test_a_folder_of_which_nothing_can_be_read_is_refused(folder, tmp_path, capsys):
    (folder / "run-a.json").write_text("no json")
    assert report(folder, "--html", tmp_path / "out.html") == EXIT_STORAGE
    assert "none of 1 results files can be read" in capsys.readouterr().err
    assert not (tmp_path / "out.html").exists()


def test_a_file_that_was_named_must_be_readable(folder, tmp_path, capsys):
    (folder / "run-new.json").write_text(
        json.dumps(json.loads(STORED.read_text()) | {"schema_version": 99})
    )
    words = (folder / "run-a.json", folder / "run-new.json", "--html", tmp_path / "out.html")
    assert report(*words) == EXIT_STORAGE
    assert f"run-new.json: its format 99 is newer than {SCHEMA_VERSION}" in capsys.readouterr().err


def test_a_file_that_was_cut_gives_its_whole_records_and_says_so(folder, tmp_path, capsys):
    content = STORED.read_bytes()
    (folder / "run-a.json").write_bytes(content[: len(content) * 2 // 3])
    page = tmp_path / "out.html"
    assert report(folder / "run-a.json", "--html", page) == EXIT_OK
    assert "it is cut in the middle" in capsys.readouterr().err
    assert "it is cut in the middle" in text_of(page)


def test_a_table_of_a_cut_file_says_what_it_lacks_and_programs_get_none(folder, capsys):
    content = STORED.read_bytes()
    (folder / "run-a.json").write_bytes(content[: len(content) * 2 // 3])
    assert report(folder / "run-a.json") == EXIT_OK
    said = capsys.readouterr()
    assert "fp32" in said.out
    assert "it is cut in the middle: " in said.err
    assert report(folder / "run-a.json", "--format", "csv") == EXIT_STORAGE
    assert "it is no complete JSON document" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), ("--format", "md"), ("--wide",), ("-oe", "csv")])
def test_several_results_without_a_page_or_a_page_with_formats_are_refused(words, tmp_path, capsys):
    page = ("--html", tmp_path / "out.html") if words else ()
    assert report(STORED, OTHER, *page, *words) == EXIT_USAGE
    assert "try: " in capsys.readouterr().err


def test_an_empty_folder_is_refused_in_two_lines(tmp_path, capsys):
    assert report(tmp_path, "--html", tmp_path / "out.html") == EXIT_USAGE
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_page_never_takes_the_place_of_a_results_file(folder, capsys):
    before = (folder / "run-a.json").read_bytes()
    assert report(folder, "--html", folder / "run-a.json") == EXIT_USAGE
    assert (folder / "run-a.json").read_bytes() == before
    assert "does not end in .html or .htm" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_says_so(folder, tmp_path, capsys):
    assert report(folder, "--html", tmp_path / "none" / "out.html") == EXIT_STORAGE
    assert "cannot be written" in capsys.readouterr().err


def test_pairs_have_no_page(tmp_path, capsys):
    pairs = tmp_path / "ab-1.jsonl"
    pairs.write_bytes(encode_line(ab_header(ab_side(), ab_side())))
    assert report(pairs, "--html", tmp_path / "out.html") == EXIT_USAGE
    assert "bench report" in capsys.readouterr().err


def test_without_the_extra_nothing_is_read_and_the_command_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(frame, "find_spec", lambda name: None)
    assert report(tmp_path / "no such", "--html", tmp_path / "out.html") == EXIT_DEVICE
    assert "pip install 'ondevice-bench[report]'" in capsys.readouterr().err
