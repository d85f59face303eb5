"""Tables of a page: what a cell sorts by, what a head means, which columns have a choice."""

import math

from harness.report.grid import VARIES, Column
from harness.report.page.table import Cell, definition_of, page_table, plain_table

COLUMNS = (
    Column("level", lambda row: row[0]),
    Column("tg32 tok/s", lambda row: row[1], "{:.1f}".format),
    Column("depth", lambda row: 0, shown=VARIES),
    Column("trust", lambda row: row[2]),
)
ROWS = [("int4", 132.04, "C"), ("fp32", 9.5, "A"), ("int8", None, None)]


def test_numbers_sort_by_their_value_and_what_is_missing_by_nothing():
    table = page_table("t", "Rates", COLUMNS, ROWS)
    assert [head.name for head in table.heads] == ["level", "tg32", "trust"]
    assert [row[1] for row in table.rows] == [
        Cell("132.0", 132.04),
        Cell("9.5", 9.5),
        Cell("–", None),
    ]
    assert [head.is_number for head in table.heads] == [False, True, False]
    assert table.heads[1].unit == "tok/s"


def test_only_columns_that_vary_have_a_list():
    table = page_table("t", "Rates", COLUMNS, ROWS, choices=("level", "trust"))
    assert table.heads[0].choices == ("int4", "fp32", "int8")
    assert table.heads[2].choices == ("C", "A", "–")
    assert page_table("t", "Rates", COLUMNS, ROWS[:1], choices=("level",)).heads[0].choices == ()


def test_what_a_column_adds_to_a_cell_keeps_its_key():
    marked = {"trust": lambda row, cell: Cell(cell.text, row[1], "mark", "#trust", "why")}
    table = page_table("t", "Rates", COLUMNS, ROWS, cells=marked)
    assert table.rows[0][2] == Cell("C", 132.04, "mark", "#trust", "why")


def test_a_definition_says_what_the_metrics_in_it_are():
    """`load_ms.` alone would send a reader to another page."""
    assert "load_ms [ms]: " in definition_of("load ms")
    assert "decode_tok_s [tok/s]: " in definition_of("tg32 tok/s")
    assert definition_of("no such column") == ""


def test_values_of_a_chart_are_drawn_as_they_are():
    table = plain_table(
        "t", "Data", ("row", "tok/s"), [("a", 1234.5678), ("b", math.nan), (None, 2)]
    )
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["a", "1234.57"],
        ["b", "–"],
        ["–", "2"],
    ]
    assert table.heads[1].is_number
    assert table.rows[0][1].key == 1234.5678


def test_a_number_without_bounds_has_a_key_that_html_can_hold():
    table = plain_table("t", "Data", ("n",), [(10**400,), (-1,), (True,)])
    assert [type(row[0].key) for row in table.rows] == [str, float, str]
