"""Names from files stay inside their own cell, in every format."""

import csv
import io
import json

import pytest

from harness.report.grid import draw_rows, markdown, one_line, spreadsheet
from harness.report.render import FORMATS, render
from tests.report.report_documents import document, group

NASTY = {
    "bar": "a|b",
    "lines": "a\nb\r\nc\u2028d",
    "terminal": "\x1b[31mred\x1b[0m\x07\x9b2J",
    "html": "<script>alert(1)</script>&amp;",
    "code": "`rm -rf`",
    "link": "[x](http://y)_*~z*_",
    "reverse": "abc\u202edef",
    "bytes": "caf\udce9",
    "formula": "=HYPERLINK(1)",
    "tab": "\t=1+1",
    "quote": 'a"b,c;d',
    "zero": "a\x00b",
}


def table_of(name: str, style: str) -> str:
    """A document whose model and level are called `name`, drawn."""
    records = group(model=name, level=name, level_label=name) + group()
    return render(document(*records), style)


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_no_format_lets_a_character_through_that_is_not_drawn(name, style):
    drawn = table_of(name, style)
    drawn.encode("utf-8")
    assert [char for char in drawn if char != "\n" and not char.isprintable()] == []


@pytest.mark.parametrize("style", ["table", "md"])
@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_a_name_never_adds_a_line(name, style):
    plain = table_of("tiny", style)
    assert len(table_of(name, style).splitlines()) == len(plain.splitlines())


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_a_name_never_adds_a_markdown_cell(name):
    """Bars that are not escaped are counted per line: all lines of a table have the same."""
    lines = [line for line in table_of(name, "md").splitlines() if line.startswith("|")]
    bars = {line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines}
    assert len(lines) == 4
    assert len(bars) == 1


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_a_name_never_adds_a_csv_field(name):
    rows = list(csv.reader(io.StringIO(table_of(name, "csv"))))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert not any(cell.startswith(("=", "+", "@", "\t")) for row in rows for cell in row)


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_json_keeps_the_name(name):
    """Strings need no escaping beyond JSON's own; only bytes that are no text become escapes."""
    expected = name.encode("utf-8", "backslashreplace").decode()
    stored = json.loads(table_of(name, "json"))
    assert stored["records"][0]["cell"]["model"] == expected
    lines = [json.loads(line) for line in table_of(name, "jsonl").split("\n") if line]
    assert len(lines) == 6
    assert lines[0]["cell"]["model"] == expected


def test_markdown_shows_html_and_marks_as_text():
    assert markdown("<b>|`x`") == "&lt;b&gt;\\|\\`x\\`"
    assert markdown("a_b*c[d]") == "a\\_b\\*c\\[d\\]"


def test_control_characters_are_written_as_escapes():
    assert one_line("a\nb\x1b[0m\u202e\udce9") == r"a\nb\x1b[0m\u202e\udce9"
    assert one_line("smollm2-135m · 한국어 ±") == "smollm2-135m · 한국어 ±"


def test_spreadsheets_get_no_formula_and_keep_numbers():
    kept = ["-1.5", "+3", "-1e-3", "12", "a=b"]
    assert [spreadsheet(text) for text in kept] == kept
    assert spreadsheet("=1+1") == "'=1+1"
    assert spreadsheet("-x") == "'-x"
    assert spreadsheet("@SUM(1)") == "'@SUM(1)"


def test_grid_draws_the_same_cells_in_every_style():
    header, rows = ["model", "int4 MiB"], [["a|b", "12.5"], ["=c", "–"]]
    assert draw_rows(header, rows, "table").splitlines() == [
        "model  int4",
        "        MiB",
        "-----  ----",
        "a|b    12.5",
        "=c        –",
    ]
    assert draw_rows(header, rows, "md").splitlines() == [
        "| model | int4 MiB |",
        "|:------|---------:|",
        "| a\\|b  |     12.5 |",
        "| =c    |        – |",
    ]
    assert draw_rows(header, rows, "csv") == "model,int4 MiB\na|b,12.5\n'=c,"
    assert json.loads(draw_rows(header, rows, "json")) == [
        {"model": "a|b", "int4 MiB": "12.5"},
        {"model": "=c", "int4 MiB": None},
    ]


@pytest.mark.parametrize("style", ["table", "md", "csv", "json"])
def test_a_grid_without_rows_still_draws(style):
    assert isinstance(draw_rows(["a", "b"], [], style), str)
