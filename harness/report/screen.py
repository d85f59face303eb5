"""The first screen: a run in 78 columns of a terminal, which ends in what it answers. Pure.

The columns are those of the whole table; where they do not fit, some go, in the order of FIRST_OUT,
then tests but the one that a row is judged by, the last one first. `--wide` shows all.
"""

import textwrap
from collections.abc import Iterable, Sequence

from harness.report.answers import answers
from harness.report.columns import SummaryColumn, columns_of
from harness.report.fitted import draw_fit
from harness.report.grid import KNOWN, VARIES, Column, draw_terminal, one_line, short
from harness.report.headline import headline
from harness.report.machines_table import draw_machines, machines_of_table
from harness.report.notes import notes
from harness.report.numbers import three_digits
from harness.report.rows import Row, half_width_of, make_rows, rate_of, test_of
from harness.report.sensitivity import draw_sensitivities
from harness.results.metrics import rate_of_kind
from harness.results.progress import command_line
from harness.results.schema import Document, kind_of

WIDTH = 78
LONGEST_NAME = 24
# What goes first: what other columns say nearly as well, then sizes that are counted, then the
# rest that a choice of a level does not need.
FIRST_OUT = (
    *("meas/params", "est. MiB", "bits/w", "compile ms", "saved MiB", "active", "read"),
    *("anon. MiB", "mapped MiB", "device MiB", "weights MiB", "load ms", "parameters", "placement"),
    *("est. tok/s", "est. seq/s", "est. images/s", "weights", "tau", "nearest", "J/token", "J/seq"),
)
LAST_OUT = ("Pareto front", "top-1", "meas/est")
HALF_WIDTH = "±"


def draw_screen(document: Document, called: str) -> str:
    """Headline, table, notes and answers for a terminal; ends with a line feed.

    Args:
        document: one run.
        called: how a user names its file: `latest`, or its path.
    """
    document, machines = machines_of_table(document)
    rows = make_rows(document.records, machines)
    columns, left_out = fitting(rows)
    cells = [[column.cell(row) for column in columns] for row in rows]
    told = [note for note in notes(document, rows) if note.partition(":")[0] not in left_out]
    parts = [
        _wrapped_parts(one_line(headline(document, rows))),
        draw_terminal([column.header for column in columns], cells),
        *draw_machines(document, "table"),
        *draw_sensitivities(document, "table"),
        draw_fit(document, "table"),
        "\n".join(map(_wrapped, told)),
        "\n".join((*map(_wrapped, answers(document, rows)), *_further(rows, left_out, called))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def fitting(rows: Sequence[Row]) -> tuple[list[SummaryColumn], list[str]]:
    """The columns that fit, and the headers of those that do not."""
    columns = _narrow(rows)
    out = [column.header for column in _in_order_of_leaving(columns, rows)]
    gone: list[str] = []
    while out and _width(columns, rows) > WIDTH:
        gone.append(out.pop(0))
        columns = [column for column in columns if column.header != gone[-1]]
    return columns, gone


def _narrow(rows: Sequence[Row]) -> list[SummaryColumn]:
    """All columns, with short names of levels, and the interval behind the rate that it is of."""
    merged = _rate_column(rows)
    found = []
    for column in columns_of(rows):
        if merged is not None and column.header == HALF_WIDTH:
            continue
        if merged is not None and column.header == merged.header:
            column = merged
        elif column.header == "level":
            column = Column("level", lambda row: row.cell.level, _cut, VARIES)
        elif column.header == "machine":
            column = Column("machine", lambda row: row.machine, _cut, VARIES)
        elif column.header == "model":
            column = Column("model", lambda row: row.cell.model, _cut, VARIES)
        found.append(column)
    return found


def _rate_column(rows: Sequence[Row]) -> SummaryColumn | None:
    """The judged rate with the half-width of its interval: `132 ± 25`; None: several tests."""
    judged = [row.judged for row in rows if row.judged is not None]
    headers = {f"{test_of(one.cell)} {rate_of_kind(kind_of(one.cell)).column}" for one in judged}
    return Column(headers.pop(), _rate, shown=KNOWN) if len(headers) == 1 else None


def _rate(row: Row) -> str | None:
    """A rate and the half-width of its interval, in its unit."""
    rate = None if row.judged is None else rate_of(row.judged)
    if row.judged is None or rate is None:
        return None
    half = half_width_of(row.judged)
    if half is None:
        return three_digits(rate)
    width = "> 100%" if half > 1 else three_digits(rate * half)
    return f"{three_digits(rate)} ± {width}"


def _in_order_of_leaving(
    columns: Sequence[SummaryColumn], rows: Sequence[Row]
) -> list[SummaryColumn]:
    """Those that may go, the first to go first."""
    by_header = {column.header: column for column in columns}
    judged = _rate_column(rows)
    kept = {"" if judged is None else judged.header, HALF_WIDTH}
    tests = [
        column
        for column in columns
        if column.header.split(" ")[0] in {test_of(one.cell) for row in rows for one in row.records}
        and column.header not in kept
    ]
    first = [by_header[name] for name in FIRST_OUT if name in by_header]
    last = [by_header[name] for name in LAST_OUT if name in by_header]
    return [*first, *reversed(tests), *last]


def _width(columns: Sequence[SummaryColumn], rows: Sequence[Row]) -> int:
    """Of the drawn table."""
    cells = [[column.cell(row) for column in columns] for row in rows]
    drawn = draw_terminal([column.header for column in columns], cells)
    return max(map(len, drawn.splitlines()), default=0)


def _further(rows: Sequence[Row], left_out: Sequence[str], called: str) -> Iterable[str]:
    """What else there is to type."""
    if left_out:
        yield _wrapped(f"all columns: --wide (not shown: {', '.join(left_out)})")
    levels = len({row.cell.level for row in rows})
    words = [called, "--axis", "quant"] if levels > 1 else ["prev", "latest"]
    if len({row.machine for row in rows}) > 1:
        words = [called, "--axis", "machine"]
    typed = {"why": ["bench", "explain", called], "compare": ["bench", "compare", *words]}
    lines = [f"{what}: {one_line(command_line(line))}" for what, line in typed.items()]
    together = " · ".join(lines)
    if rows:
        yield from [together] if len(together) <= WIDTH else lines


def _cut(name: str) -> str:
    """A long name without its middle."""
    line = short(name)
    half = LONGEST_NAME // 2 - 1
    return line if len(line) <= LONGEST_NAME else f"{line[:half]}…{line[-half:]}"


def _wrapped(note: str) -> str:
    """A note in lines that fit; what is typed is not torn apart."""
    return textwrap.fill(
        one_line(note),
        WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped_parts(line: str) -> str:
    """A headline in lines that end between its parts."""
    lines = [""]
    for part in line.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if lines[-1] and len(longer) > WIDTH:
            lines.append(part)
        else:
            lines[-1] = longer
    return "\n".join(lines)
