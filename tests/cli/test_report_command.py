"""`bench report --images`: pictures of one run and of several, and what it refuses."""

import shutil
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.report.charts import images
from harness.results.document import write_document
from tests.measured_documents import document, record

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "results" / "reference" / "default.json"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """Pictures that cost nothing: what is drawn is tested beside the charts."""

    def fake(charts, *, dark):
        for chart in charts:
            yield f"{chart.name}{'-dark' * dark}.svg", "<svg/>"

    monkeypatch.setattr(images, "pictures", fake)


def report(*words):
    return main(["report", *map(str, words)])


def test_every_chart_is_written_twice(folder, capsys):
    write_document(document(record([10.0, 11.0])), folder / "one.json")
    assert report("one.json", "--images", "out/pictures") == 0
    names = sorted(path.name for path in (folder / "out" / "pictures").iterdir())
    assert {"rates.svg", "rates.png", "processes-tg.svg"} <= set(names)
    printed = capsys.readouterr().out.splitlines()
    assert sorted(Path(line).name for line in printed) == names
    assert (folder / "out" / "pictures" / "rates.png").read_bytes().startswith(b"\x89PNG")


def test_dark_ones_have_names_of_their_own(folder, drawn):
    assert report(DEFAULT, "--images", "out", "--dark") == 0
    assert (folder / "out" / "rates-dark.svg").is_file()


def test_a_folder_is_all_of_its_runs(folder, drawn, capsys):
    (folder / "runs").mkdir()
    shutil.copy(DEFAULT, folder / "runs")
    shutil.copy(DEFAULT.with_name("three-ways.json"), folder / "runs")
    assert report("runs", "--images", "out") == 0
    assert "machines-memory.svg" in capsys.readouterr().out


def test_the_same_run_is_drawn_once(folder, drawn, capsys):
    shutil.copy(DEFAULT, folder / "copy.json")
    assert report(DEFAULT, "copy.json", "--images", "out") == 0
    assert "is there already: copy" in capsys.readouterr().err
    assert not (folder / "out" / "machines-rates.svg").exists()


@pytest.mark.parametrize(
    ("words", "problem", "fix"),
    [
        ((DEFAULT, DEFAULT), "a table is drawn of one", "--images DIR"),
        ((DEFAULT, "--dark"), "--dark says nothing without --images", "--images DIR --dark"),
        (("empty", "--images", "out"), "holds no results file", "bench run"),
        ((DEFAULT, "--images", "taken/x"), "cannot be written", "another --images"),
    ],
)
def test_what_is_refused_says_what_to_do(folder, drawn, capsys, words, problem, fix):
    (folder / "empty").mkdir()
    (folder / "taken").write_text("a file")
    assert report(*words) != 0
    said = capsys.readouterr().err
    assert problem in said
    assert fix in said
    assert "Traceback" not in said
