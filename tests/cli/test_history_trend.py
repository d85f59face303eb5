"""`bench history trend` and `bless`: drawn, gated, accepted, as a page."""

import json
import re
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_GATE, EXIT_OK, EXIT_USAGE
from tests.history.made_runs import records_of, run_of, slowed, write_runs

pytest.importorskip("duckdb")
pytest.importorskip("ruptures")
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
DRAWN = re.findall(r"^```text\n(smollm2.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CELL = "smollm2-135m/int4/cpu/ort/t2/b1/tg32 @ d0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """24 days of which the last 10 are slower, and a day on another machine."""
    folder = tmp_path_factory.mktemp("trend")
    write_runs(folder / "results", slowed())
    other = run_of(30, *records_of(50), machine="Intel Xeon")
    write_runs(folder / "results" / "other", [other])
    index = folder / "results" / "history.duckdb"
    assert main(["history", "add", str(folder / "results"), "--db", str(index), "-q"]) == EXIT_OK
    return folder


@pytest.fixture
def place(made, monkeypatch):
    monkeypatch.chdir(made)
    yield made
    (made / "results" / "blessings.jsonl").unlink(missing_ok=True)


def said(capsys, *words: str, code: int = EXIT_OK) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["history", *words]) == code
    found = capsys.readouterr()
    return found.out, found.err


def test_a_trend_is_drawn_as_the_page_shows_it(place, capsys):
    out, _ = said(capsys, "trend", "int4 tg32", "--machine", "AMD")
    (shown,) = DRAWN
    assert out == shown
    assert max(map(len, out.split("\n\n")[1].splitlines())) <= 98


def test_a_gate_is_red_until_the_step_is_accepted(place, capsys):
    words = ("trend", "int4 tg32", "--machine", "AMD", "--gate")
    said(capsys, *words, code=EXIT_GATE)
    said(capsys, "bless", "int4 tg32", "--machine", "AMD", "--reason", "longer chunks")
    out, _ = said(capsys, *words)
    assert "accepted -19" in out
    assert "longer chunks" in out
    listed = json.loads(said(capsys, "bless", "--list", "--format", "json")[0])
    assert [one["reason"] for one in listed] == ["longer chunks"]
    rows = json.loads(said(capsys, "query", "select reason from blessings", "--format", "json")[0])
    assert rows == [{"reason": "longer chunks"}]
    said(capsys, "bless", "--withdraw", listed[0]["id"])
    said(capsys, *words, code=EXIT_GATE)
    assert "0 steps accepted" in said(capsys, "bless", "--list")[0]


def test_blessings_outlive_an_index_that_is_built_anew(place, capsys):
    said(capsys, "bless", "int4 tg32", "--machine", "AMD", "--reason", "longer chunks")
    said(capsys, "add", "--rebuild", "-q")
    said(capsys, "trend", "int4 tg32", "--machine", "AMD", "--gate")


def test_many_trends_are_a_line_each_those_that_fail_first(place, capsys):
    out, _ = said(capsys, "trend")
    lines = out.splitlines()
    assert "2 of them behind a step for the worse that nobody accepted" in out
    assert "machines are kept apart" in out
    rows = [line for line in lines if line.startswith("smollm2")]
    assert ["WORSE" in row for row in rows] == [True, True, False, False]
    assert re.search("[▁▂▃▄▅▆▇█]{16}", rows[0])


def test_programs_get_every_point_and_the_step(place, capsys):
    out, _ = said(capsys, "trend", "int4 tg32", "--machine", "AMD", "--format", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 24
    steps = [row for row in rows if row["step"] is not None]
    (one,) = steps
    assert one["run_id"] == rows[14]["run_id"]
    assert one["step_is_worse"] is True
    assert one["step_low"] < 0.8 < one["step_high"]
    assert one["changed"] == "onnxruntime 1.31.1 → 1.32.0"
    assert rows[0]["value"] == pytest.approx(100, rel=0.02)


def test_machines_stand_side_by_side(place, capsys):
    out, _ = said(capsys, "trend", "tg32", "--by", "machine", "--wide")
    assert "Intel Xeon, 2 cores, 24 GiB" in out
    rows = json.loads(said(capsys, "trend", "tg32", "--by", "machine", "--format", "json")[0])
    assert {row["name"]: round(row["value"] / 10) for row in rows} == {
        "AMD EPYC, 2 cores, 24 GiB": 8,
        "Intel Xeon, 2 cores, 24 GiB": 5,
    }


def test_one_point_and_a_flat_line_say_so(place, capsys):
    assert (
        "one run: nothing to compare it with yet"
        in said(capsys, "trend", "tg32", "--machine", "Xeon")[0]
    )
    out, _ = said(capsys, "trend", "int4 tg32", "--metric", "peak", "--machine", "AMD")
    assert "no step was found" in out
    assert "200" in out
    assert "MiB" in out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("trend", "int5"), "no cell of the history has 'int5' in its name"),
        (("trend", "--metric", "speed"), "no metric is called 'speed'"),
        (("trend", "--machine", "M4"), "no machine of the history is called 'M4'"),
        (("trend", "--since", "monday"), "'monday' is no day"),
        (("trend", "--since", "2030-01-01"), "nothing that counts was measured"),
        (("trend", "--by", "week"), "--by 'week'"),
        (("trend", "--by", "machine", "--gate"), "no steps for a gate"),
        (("trend", "--html", "page.json"), "does not end in .html"),
        (("bless",), "bless needs a CELL and a --reason"),
        (("bless", "tg32", "--reason", "x"), "means 2 trends"),
        (("bless", "tg32", "--machine", "Xeon", "--reason", "x"), "has no step that nobody"),
        (("bless", "int4 tg32", "--machine", "AMD", "--reason", " "), "needs a reason"),
        (("bless", "--withdraw", "1a2b"), "no blessing is '1a2b'"),
    ],
)
def test_bad_input_is_two_lines(place, capsys, words, problem):
    _, err = said(capsys, *words, code=EXIT_USAGE)
    assert problem in err
    assert err.count("\n") == 2
    assert not (place / "results" / "blessings.jsonl").exists()


def test_trends_become_a_page_whose_names_are_text(tmp_path, capsys, monkeypatch):
    """A hostile name of a model stays text, in tables and in the data of charts."""
    pytest.importorskip("jinja2")
    pytest.importorskip("vl_convert")
    monkeypatch.chdir(tmp_path)
    name = "</script><script>alert(1)</script>"
    write_runs(
        tmp_path / "results", [run_of(day, *records_of(100, model=name)) for day in range(2)]
    )
    said(capsys, "add", "-q")
    said(capsys, "trend", "--html", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert page.count('class="chart"') == 2
    assert "run-20260901-060000-epyc" in page


def test_the_page_names_steps_and_their_reasons(place, capsys, tmp_path):
    pytest.importorskip("jinja2")
    pytest.importorskip("vl_convert")
    page = tmp_path / "page.html"
    said(capsys, "trend", "--html", str(page), "--gate", code=EXIT_GATE)
    text = page.read_text(encoding="utf-8")
    assert "Behind a step for the worse that nobody accepted" in text
    assert "onnxruntime 1.31.1 → 1.32.0" in text
    assert text.count('class="chart"') == 4
