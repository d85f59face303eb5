"""A table of a page: what columns mean, what cells sort by, which columns have a list. Pure."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.core.errors import UsageError
from harness.report.grid import MISSING, NUMBER, Column, short
from harness.results.glossary import explain, terms

R = TypeVar("R")
# Last words of headers that are units: they stand in a line of their own.
UNITS = frozenset(
    ("MiB", "ms", "tok/s", "seq/s", "images/s", "nats", "J/token", "J/seq", "runs/s", "s/s")
)
METRIC = re.compile(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b")
LEAST_CHOICES, MOST_CHOICES = 2, 40  # of a column that has a list to choose from


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: what is shown.
        key: what it sorts by; None: behind all others.
        mark: class of its style; empty: none.
        link: a place that it leads to, on this page (`#trust`) or beside it; empty: none.
        note: more words, shown with the pointer on it or the focus in it; empty: none.
    """

    text: str
    key: float | str | None = None
    mark: str = ""
    link: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column.

    Attributes:
        name: of it.
        unit: of its numbers, where the name has one.
        definition: what it is, of the glossary; empty: nothing is known of it.
        is_number: it stands to the right.
        choices: texts of its cells that a list offers; empty: there is no list.
    """

    name: str
    unit: str = ""
    definition: str = ""
    is_number: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        name: of its element, unlike any other of the page.
        caption: what it holds.
        heads: of its columns.
        rows: as many cells each.
        row_head: place of the column that names a row.
        is_filtered: it has a field and lists above it.
    """

    name: str
    caption: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    row_head: int = 0
    is_filtered: bool = False


def page_table(
    name: str,
    caption: str,
    columns: Sequence[Column[R]],
    rows: Sequence[R],
    *,
    choices: Collection[str] = (),
    row_head: str = "",
    cells: Mapping[str, Callable[[R, Cell], Cell]] | None = None,
    definitions: Mapping[str, str] | None = None,
) -> Table:
    """Lay the columns of any table of this package out for a page.

    Args:
        name: of the element.
        caption: what the table holds.
        columns: from left to right; those that tell nothing of these rows are left out.
        rows: one line each.
        choices: headers of columns that have a list of their values above the table.
        row_head: header of the column that names a row; empty, or not shown: the first one.
        cells: header -> what becomes of its plain cells: marks, links, notes.
        definitions: header -> what it means, where the glossary has another word or none.
    """
    shown = [column for column in columns if column.tells(rows)]
    drawn = [[_cell(column, row, cells or {}) for column in shown] for row in rows]
    heads = [
        _head(
            column.header,
            [line[place] for line in drawn],
            column.header in choices,
            (definitions or {}).get(column.header),
        )
        for place, column in enumerate(shown)
    ]
    place = next((at for at, one in enumerate(shown) if one.header == row_head), 0)
    lines = tuple(map(tuple, drawn))
    return Table(name, caption, tuple(heads), lines, place, is_filtered=bool(choices))


def plain_table(
    name: str, caption: str, header: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Table:
    """Lay values out, such as the data of a chart: numbers in six digits, None as missing."""
    drawn = [[_plain_cell(value) for value in row] for row in rows]
    heads = [
        _head(name, [line[place] for line in drawn], False, "") for place, name in enumerate(header)
    ]
    return Table(name, caption, tuple(heads), tuple(map(tuple, drawn)))


def definition_of(header: str) -> str:
    """What a header means, and what the metrics mean that its definition names; empty: unknown."""
    try:
        found, *rest = explain(header.replace("\n", " ")).split("\n")
    except UsageError:
        return ""
    _, _, meaning = found.partition(": ")
    left_out = [line for line in rest if line.startswith("Left out:")]
    known = set(terms())
    named = [name for name in dict.fromkeys(METRIC.findall(meaning)) if name in known]
    metrics = [explain(name).replace("\n", " ") for name in named if name != header]
    return " ".join([meaning, *left_out, *metrics])


def _head(header: str, cells: Sequence[Cell], has_list: bool, definition: str | None) -> Head:
    """The head above these cells."""
    name, _, last = header.replace("\n", " ").rpartition(" ")
    texts = tuple(dict.fromkeys(cell.text for cell in cells))
    return Head(
        name=short(name if name and last in UNITS else header.replace("\n", " ")),
        unit=last if name and last in UNITS else "",
        definition=definition_of(header) if definition is None else definition,
        is_number=all(text == MISSING or NUMBER.fullmatch(text) for text in texts),
        choices=texts if has_list and LEAST_CHOICES <= len(texts) <= MOST_CHOICES else (),
    )


def _cell(column: Column[R], row: R, cells: Mapping[str, Callable[[R, Cell], Cell]]) -> Cell:
    """One cell, with what its column adds to it."""
    text = short(column.cell(row))
    plain = Cell(text, None if text == MISSING else _key(column.value(row), text))
    return cells[column.header](row, plain) if column.header in cells else plain


def _plain_cell(value: Any) -> Cell:
    """A value as it is."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return Cell(MISSING)
    text = f"{value:.6g}" if isinstance(value, float) else short(str(value))
    return Cell(text, _key(value, text))


def _key(value: Any, text: str) -> float | str:
    """What a value sorts by: itself where it is a number, else its text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e300 else text
