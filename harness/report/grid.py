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
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from harness.report.same_keys import same_keys

MISSING = "–"
NUMBER = re.compile(r"([<>] )?[-+]?\d[\d.,]*(e[-+]?\d+)?%?( ± .+)?")
TABLE, WIDE, MD = "table", "wide", "md"
PEOPLE = (TABLE, WIDE, MD)  # formats that people read; the others are for programs
WIDTH = 78  # of what is drawn as TABLE; WIDE is as wide as it comes
LONGEST_HEADER = 30
# What begins a command of a build service, behind spaces; and a sign that is put before it.
COMMAND, QUOTED = re.compile(r"^(?=\s*(::|##\[|##vso))"), "·"
LONGEST_WORD = 30  # of a cell that stays in one line: a path may take several
LEAST_TEXT = 20  # of a column of text: a wider one may be drawn in several lines
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
        leaves: where a terminal is too narrow, columns with a larger number leave first; of equal
            ones the last, and never the first of a table.
        brief: a row's value where it is too narrow for all; None: the same.
    """

    header: str
    value: Callable[[R], Any]
    draw: Callable[..., str] = str
    shown: str = ALWAYS
    leaves: int = 0
    brief: Callable[[R], Any] | None = None

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
        style: `table`, `wide`, `md` or `csv`.
    """
    shown = [column for column in columns if column.tells(rows)]
    cells = [[column.cell(row) for column in shown] for row in rows]
    header = [column.header for column in shown]
    if style != TABLE:
        return draw_rows(header, cells, style)
    if _natural_width(header, cells) > WIDTH:
        brief = [replace(one, value=one.brief) if one.brief else one for one in shown]
        cells = [[column.cell(row) for column in brief] for row in rows]
    return draw_fitted(header, cells, [column.leaves for column in shown])


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
    return "\n".join(prose(line, style, mark="- ") for line in lines)


def draw_rows(header: Sequence[str], rows: Sequence[Sequence[str]], style: str) -> str:
    """Draw a table of text; no line feed at the end.

    Args:
        header: one name per column.
        rows: as many cells each; a missing value is MISSING (in CSV it becomes empty, in JSON
            null).
        style: a key of STYLES: `table`, `wide`, `md`, `csv` or `json`.
    """
    return STYLES[style](header, rows)


def draw_terminal(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under a rule; numbers to the right, units in a line of their own to save width."""
    return _tabulate(
        [_unit_below(one_line(short(name))) for name in header], _each(rows, one_line), "simple"
    )


def draw_fitted(
    header: Sequence[str], rows: Sequence[Sequence[str]], leaves: Sequence[int] = ()
) -> str:
    """A terminal table of WIDTH: text in several lines, and where that is not enough fewer columns.

    Args:
        header: one name per column.
        rows: as many cells each.
        leaves: which columns go first, see Column; empty: the last ones.
    """
    names = [_unit_below(_brief(short(name))) for name in header]
    cells, kept = _each(rows, one_line), list(range(len(header)))
    ranks = list(leaves) or [0] * len(header)
    order = sorted(kept[1:], key=lambda place: (ranks[place], place))
    gone: list[int] = []
    while (widths := _fitting(names, cells, kept)) is None:
        gone.append(order.pop())
        kept.remove(gone[-1])
    for place in reversed(gone):  # a narrow one may have left before a wide one
        more = sorted([*kept, place])
        if (found := _fitting(names, cells, more)) is not None:
            kept, widths = more, found
    gone = [place for place in gone if place not in kept]
    drawn = _tabulate(
        [names[place] for place in kept],
        [
            [_in_lines(row[place], width) for place, width in zip(kept, widths, strict=True)]
            for row in cells
        ],
        "simple",
    )
    if not gone:
        return drawn
    told = ", ".join(header[place] for place in sorted(gone))
    return f"{drawn}\n\n{prose(f'all columns: --wide (not shown: {told})', TABLE)}"


def _natural_width(header: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """Of a table whose cells are one line each."""
    widths = [
        max(len(short(one)) for one in (*_unit_below(name).split("\n"), *column))
        for name, column in zip(header, zip(*cells, strict=True), strict=False)
    ]
    return sum(widths) + 2 * (len(widths) - 1)


def _brief(name: str) -> str:
    """A header without its middle, which does not widen a column much beyond its cells."""
    half = LONGEST_HEADER // 2 - 1
    return name if len(name) <= LONGEST_HEADER else f"{name[:half]}…{name[-half:]}"


def _fitting(
    names: Sequence[str], cells: Sequence[Sequence[str]], kept: Sequence[int]
) -> list[int] | None:
    """How wide each kept column is so that all fit WIDTH; None: they cannot, being several."""
    heads = [max(map(len, names[place].split("\n"))) for place in kept]
    columns = [[row[place] for row in cells] for place in kept]
    widths = [max([head, *map(len, column)]) for head, column in zip(heads, columns, strict=True)]
    least = [
        width if _side(column) == "right" else max(head, min(width, _narrowest(column)))
        for head, width, column in zip(heads, widths, columns, strict=True)
    ]
    room = WIDTH - 2 * (len(widths) - 1)
    if sum(least) > room:
        return None if len(widths) > 1 else widths
    while sum(widths) > room:
        widest = max(
            (place for place in range(len(widths)) if widths[place] > least[place]),
            key=lambda place: widths[place],
        )
        widths[widest] -= 1
    return widths


def _narrowest(column: Sequence[str]) -> int:
    """Columns that a text needs at least: its longest word, and some more where it has several."""
    words = [word for cell in column for word in cell.split(" ")]
    return max(LEAST_TEXT, min(LONGEST_WORD, max(map(len, words), default=0)))


def _in_lines(cell: str, width: int) -> str:
    """A cell in lines of that width, which end between words where those are no longer."""
    if len(cell) <= width:
        return cell
    return "\n".join(_wrapped(cell, width, "", break_long=True))


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
    TABLE: draw_fitted,
    WIDE: draw_terminal,
    MD: draw_markdown,
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


def prose(text: str, style: str, mark: str = "") -> str:
    """One line of words between tables; in a terminal as many lines as fit.

    Args:
        text: of files too: `md` gets marks escaped, any other format control codes.
        style: of the table.
        mark: stands in front, as it is.
    """
    if style == MD:  # underscores inside of words Markdown draws as they stand
        return mark + INNER_UNDERSCORE.sub("_", markdown(text))
    line = mark + one_line(text)
    if style != TABLE or len(line) <= WIDTH:
        return line
    return "\n".join(_wrapped(line, WIDTH, "  ", break_long=False))


def _wrapped(line: str, width: int, indent: str, *, break_long: bool) -> list[str]:
    """A line in several; none but the first begins with what a build service takes for a command.

    Those trim spaces in front.
    """
    found = textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=break_long,
        break_on_hyphens=False,
    )
    first, *others = found or [line]
    return [first, *(COMMAND.sub(QUOTED, one) for one in others)]


def paragraphs(text: str, style: str) -> str:
    """Words of our own in several lines, each as prose; Markdown in them stays."""
    return text if style != TABLE else "\n".join(prose(line, style) for line in text.split("\n"))


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
