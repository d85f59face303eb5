"""Every table is a list of columns over rows; this is the one place that lays tables out.

A `Column` reads a value from a row and draws it; `draw_columns` makes a terminal table, Markdown or
CSV of those columns that tell something, `draw_records` makes JSON, JSON lines or CSV of values.

Text from files and results is made safe here for the format it is drawn in: names come from
folders, configurations and other people's results. They may hold line feeds, bars, terminal codes,
markup or formulas, and none of them may change anything but its own cell.
"""

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from harness.report.same_keys import same_keys

MISSING = "–"
NUMBER = re.compile(r"([<>] )?[-+]?\d[\d.,]*(e[-+]?\d+)?%?( ± .+)?")
PEOPLE = ("table", "md")  # formats that people read; the others are for programs
R = TypeVar("R")
# What a cell has room for where people read it; names are as long as their makers like.
LONGEST_NAME, LONGEST_CELL = 64, 800
KEPT = LONGEST_NAME // 2 - 1  # characters at either end
LONG_NAME = re.compile(rf"(?<!\S)[^\s/]{{{LONGEST_NAME + 1},}}(?!\S)")
ENDLESS_WORD = re.compile(r"\S{300,}")  # of a message; a path may be long
FILES = (".onnx", ".json", ".jsonl", ".toml")
# When a column is printed, by its distinct cells.
ALWAYS = "always"
KNOWN = "known"  # any row has a value
VARIES = "varies"  # it says what was measured, which only matters where it is not the same
DIFFERS = "differs"  # the same, where rows without a value are beside the question
IS_SHOWN: dict[str, Callable[[set[str]], bool]] = {
    ALWAYS: lambda _: True,
    KNOWN: lambda cells: bool(cells - {MISSING}),
    VARIES: lambda cells: len(cells) > 1,
    DIFFERS: lambda cells: len(cells - {MISSING}) > 1,
}
# Control, format (zero width, right-to-left overrides), surrogate, line and paragraph separators.
UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
MARKDOWN_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
MARKDOWN_MARKS = frozenset("\\`*_[]|~")
INNER_UNDERSCORE = re.compile(r"(?<=\w)\\_(?=\w)")
# What a spreadsheet takes for the start of a formula.
FORMULA_STARTS = ("=", "+", "-", "@")


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column of a table.

    Attributes:
        header: its name, with the unit as its last word.
        value: a row's value; None: missing.
        draw: text of a value that is there.
        shown: a key of IS_SHOWN.
    """

    header: str
    value: Callable[[R], Any]
    draw: Callable[..., str] = str
    shown: str = ALWAYS

    def cell(self, row: R) -> str:
        """Draw one cell; a value that is not known, or not finite, is a dash, never 0."""
        value = self.value(row)
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return MISSING
        return self.draw(value)

    def tells(self, rows: Sequence[R]) -> bool:
        """Whether the column says anything about these rows."""
        return IS_SHOWN[self.shown]({self.cell(row) for row in rows})


def draw_columns(columns: Sequence[Column[R]], rows: Sequence[R], style: str) -> str:
    """Draw the columns that tell something; no line feed at the end.

    Args:
        columns: from left to right.
        rows: one line each.
        style: `table`, `md` or `csv`.
    """
    shown = [column for column in columns if column.tells(rows)]
    cells = [[column.cell(row) for column in shown] for row in rows]
    return draw_rows([column.header for column in shown], cells, style)


def draw_records(
    records: Sequence[Mapping[str, object]],
    style: str,
    number: Callable[[float], str] = repr,
) -> str:
    """Draw values for programs; no line feed at the end.

    Args:
        records: one per row, all with the same keys; units stand in the keys.
        style: `json`, `jsonl` or `csv`.
        number: draws a float in CSV; JSON has every digit.
    """
    if style == "json":
        return json_text(records, indent=1, ensure_ascii=False)
    if style == "jsonl":
        return "\n".join(json_text(record, ensure_ascii=False) for record in same_keys(records))
    cells = [[_plain(value, number) for value in record.values()] for record in records]
    return draw_rows(list(records[0]), cells, style)


def six_digits(value: float) -> str:
    """Six digits of a number: 1234.57."""
    return f"{value:.6g}"


def bullets(lines: Iterable[str], style: str) -> str:
    """Draw notes below a table, one a line; text from files begins no line of its own."""
    return "\n".join(f"- {prose(line, style)}" for line in lines)


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
        [_unit_below(one_line(short(name))) for name in header], _each(rows, one_line), "simple"
    )


def draw_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; numbers to the right."""
    return _tabulate([markdown(short(name)) for name in header], _each(rows, markdown), "pipe")


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
    return json_text(table, indent=1)


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
    """Every cell, as long as a person reads, escaped."""
    return [[escape(short(cell)) for cell in row] for row in rows]


def _unit_below(name: str) -> str:
    """`tg32 tok/s` with its last word in a second line."""
    return "\n".join(part for part in name.rpartition(" ") if part.strip())


def _side(column: Sequence[str]) -> str:
    """Numbers stand to the right, text to the left; a missing value is either."""
    plain = all(cell == MISSING or NUMBER.fullmatch(cell) for cell in column)
    return "right" if plain else "left"


def _plain(value: object, number: Callable[[float], str]) -> str:
    """Return a value as CSV holds it: lists and pairs with spaces between, None as missing."""
    if value is None:
        return MISSING
    if isinstance(value, Mapping):
        return " ".join(f"{name}={item}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, float):
        return number(value) if math.isfinite(value) else MISSING
    return str(value)


def bounded(text: str) -> str:
    """One line whose words are no longer than paths are: a number of 400 digits is told by ends."""
    return ENDLESS_WORD.sub(lambda word: f"{word[0][:KEPT]}…{word[0][-KEPT:]}", one_line(text))


def short(text: str) -> str:
    """One line whose long words are cut in their middle, and which is cut at its end if very long.

    Paths and files stay whole: commands among the words are typed.
    """
    line = LONG_NAME.sub(_cut, one_line(text))
    return line if len(line) <= LONGEST_CELL else f"{line[: LONGEST_CELL - 1]}…"


def _cut(word: re.Match[str]) -> str:
    """A long word without its middle; a file whole."""
    return word[0] if word[0].endswith(FILES) else f"{word[0][:KEPT]}…{word[0][-KEPT:]}"


def json_text(value: object, **layout: Any) -> str:
    """JSON of a value; a number that is not finite, which JSON does not have, is null.

    Characters that are not drawn are escapes of JSON, also where others are written as they are.
    """
    try:
        text = json.dumps(value, allow_nan=False, **layout)
    except ValueError:
        text = json.dumps(_finite(value), allow_nan=False, **layout)
    return "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))


def _escaped(line: str) -> str:
    """A line of JSON with what is not drawn, which only stands in its strings, as JSON's escape."""
    return "".join(
        json.dumps(sign)[1:-1] if unicodedata.category(sign) in UNSAFE_CATEGORIES else sign
        for sign in line
    )


def _finite(value: object) -> object:
    """The value with None for every number that is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def one_line(text: str) -> str:
    """The text with every character that is not drawn written as its visible escape."""
    if text.isprintable():  # almost all of it
        return text
    return "".join(_visible(character) for character in text)


def visible(text: str) -> str:
    """Drawn text of many lines, tabs and line feeds kept: nothing else in it acts on a terminal."""
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in text.split("\n"))


def markdown(text: str) -> str:
    """One line that Markdown draws as it stands, also inside a table; HTML is text."""
    return "".join(
        MARKDOWN_ENTITIES.get(character)
        or (f"\\{character}" if character in MARKDOWN_MARKS else character)
        for character in one_line(text)
    )


def prose(text: str, style: str) -> str:
    """One line of words between tables: `md` gets marks escaped, any other format control codes."""
    if style != "md":
        return one_line(text)
    return INNER_UNDERSCORE.sub("_", markdown(text))  # which Markdown draws as it stands


def spreadsheet(text: str) -> str:
    """One line that no spreadsheet runs as a formula; numbers stay numbers."""
    line = one_line(text)
    return f"'{line}" if line.startswith(FORMULA_STARTS) and not is_number(line) else line


def is_number(text: str) -> bool:
    """Whether the whole text is one number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _visible(character: str) -> str:
    """The character, or its escape where it would not be drawn."""
    if unicodedata.category(character) not in UNSAFE_CATEGORIES:
        return character
    return character.encode("unicode_escape").decode("ascii")
