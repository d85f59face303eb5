"""A header and rows of text, drawn as a terminal table, Markdown, CSV or JSON."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence

from harness.report.escape import markdown, one_line, spreadsheet

MISSING = "–"
NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?%?")


def draw_rows(header: Sequence[str], rows: Sequence[Sequence[str]], style: str) -> str:
    """Draw a table of text; no line feed at the end.

    Args:
        header: one name per column.
        rows: as many cells each; a missing value is MISSING (in CSV it becomes empty, in JSON
            null).
        style: a key of STYLES: `table`, `md`, `csv` or `json`.
    """
    return STYLES[style](header, rows)


def draw_terminal(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under a rule; numbers to the right, units in a line of their own to save width."""
    return _tabulate(
        [_unit_below(one_line(name)) for name in header], _each(rows, one_line), "simple"
    )


def draw_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; numbers to the right."""
    return _tabulate([markdown(name) for name in header], _each(rows, markdown), "pipe")


def draw_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """RFC 4180 with plain line feeds: one line per row, quotes where they are needed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([spreadsheet(name) for name in header])
    writer.writerows(
        [["" if cell == MISSING else spreadsheet(cell) for cell in row] for row in rows]
    )
    return text.getvalue().removesuffix("\n")


def draw_json(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A list with one object per row; every value is text, as the table shows it."""
    table = [
        {name: None if cell == MISSING else cell for name, cell in zip(header, row, strict=True)}
        for row in rows
    ]
    return json.dumps(table, indent=1)


STYLES: dict[str, Callable[[Sequence[str], Sequence[Sequence[str]]], str]] = {
    "table": draw_terminal,
    "md": draw_markdown,
    "csv": draw_csv,
    "json": draw_json,
}


def _tabulate(header: Sequence[str], rows: Sequence[Sequence[str]], layout: str) -> str:
    """Lay out text that is escaped already."""
    import tabulate

    tabulate.MIN_PADDING = 0  # two spaces more per column are what a terminal does not have
    drawn: str = tabulate.tabulate(
        rows,
        headers=header,
        tablefmt=layout,
        disable_numparse=True,
        colalign=[_side(column) for column in zip(*rows, strict=True)] or None,
    )
    return drawn


def _each(rows: Sequence[Sequence[str]], escape: Callable[[str], str]) -> list[list[str]]:
    """Every cell, escaped."""
    return [[escape(cell) for cell in row] for row in rows]


def _unit_below(name: str) -> str:
    """`tg32 tok/s` with its last word in a second line."""
    return "\n".join(part for part in name.rpartition(" ") if part.strip())


def _side(column: Sequence[str]) -> str:
    """Numbers stand to the right, text to the left; a missing value is either."""
    plain = all(cell == MISSING or NUMBER.fullmatch(cell) for cell in column)
    return "right" if plain else "left"
