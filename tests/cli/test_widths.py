"""Every command's table in 80 columns, over the committed documents; `--wide` has all columns."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.report.bars import columns
from harness.report.grid import WIDTH, Column, draw_columns, draw_fitted, prose

RESULTS = Path(__file__).parents[2] / "results"
RUNS = [*sorted((RESULTS / "reference").glob("*.json")), RESULTS / "validation" / "modern.json"]
RUNS = [path.relative_to(RESULTS.parent) for path in RUNS]
SWEEP = Path("results/reference/sweep-bytelm.json")
# Commands that measure nothing, with what they are asked about.
ASKED = [
    ["compare", "results/reference/default.json", "--axis", "quant"],
    ["compare", str(SWEEP), "--axis", "quant"],
    ["results", "results/reference"],
    ["levels"],
    ["models"],
    ["models", "smollm2-135m", "qwen2.5-0.5b", "gpt-4"],
    ["estimate", "llama-3.2-1b", "--quant", "int4,int8", "--on", "raspberry-pi-5"],
    ["estimate", "smollm2-135m,llama-3.2-1b", "--on", "all"],
    ["estimate", "smollm2-135m", "--on", "raspberry-pi-5", "--explain-row"],
    ["estimate", "llama-3-8b", "--on", "snapdragon-x-elite", "--explain"],
    ["explain", "decode_tok_s"],
    ["explain", "int4"],
    ["scaling", str(RUNS[-1])],
    ["validate-estimates", str(RUNS[0])],
    ["verify", *map(str, RUNS)],
    *(["report", str(path)] for path in RUNS),
    *(["explain", str(path), "--row", "1"] for path in RUNS if path.stem != "levels"),
    *(["explain", "trust", str(path)] for path in RUNS),
]


def printed(words):
    """What a command prints on stdout, and how it ends."""
    out = io.StringIO()
    with redirect_stdout(out):
        code = main(words)
    return out.getvalue(), code


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    """Paths are as short as they are typed."""
    monkeypatch.chdir(RESULTS.parent)


@pytest.mark.parametrize("words", ASKED, ids=lambda words: " ".join(words)[:50])
def test_what_is_printed_fits_eighty_columns(words):
    text, code = printed(words)
    assert code in (0, 1), text
    assert [line for line in text.splitlines() if columns(line) > 80] == []


def test_all_columns_stand_there_when_they_are_asked_for():
    words = ["compare", str(SWEEP), "--axis", "quant"]
    narrow, _ = printed(words)
    wide, _ = printed([*words, "--wide"])
    assert "all columns: --wide (not shown: " in narrow
    assert "MDE" not in narrow.split("all columns")[0]
    assert "MDE" in wide
    assert "not shown" not in wide.partition("tolerance")[0]


def test_text_is_drawn_in_several_lines_before_a_column_leaves():
    drawn = draw_fitted(["name", "what it is"], [["a", "word " * 40], ["b", "short"]])
    assert max(map(len, drawn.splitlines())) <= WIDTH
    assert drawn.count("word") == 40
    assert "--wide" not in drawn


def test_columns_leave_by_their_numbers_then_the_last_and_never_the_first():
    rows = [{"key": "x" * 20}]
    names = ("first", "second", "third", "fourth", "fifth")
    table = [Column(name, lambda row: row["key"], leaves=2 * (name == "third")) for name in names]
    drawn = draw_columns(table, rows, "table")
    assert drawn.split("\n")[0].split() == ["first", "second", "fourth"]
    assert drawn.endswith("all columns: --wide (not shown: third, fifth)")
    assert draw_columns(table, rows, "wide").split("\n")[0].split() == list(names)


def test_notes_are_as_wide_as_their_tables():
    note = "a note " * 30
    assert max(map(len, prose(note, "table", "- ").splitlines())) <= WIDTH
    assert len(prose(note, "wide").splitlines()) == len(prose(note, "md").splitlines()) == 1
