"""The main table of a page: the columns and values of `--wide`, of one run or of several. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.report.columns import SummaryColumn, columns_of
from harness.report.grid import KNOWN, VARIES, Column
from harness.report.page.runs import Run, run_name
from harness.report.page.table import Cell, Table, page_table
from harness.report.rows import Row
from harness.results.enums import Grade, Status

NAME, CAPTION = "rows", "Results"
# Colours of grades and of what failed; the word always stands beside the colour.
MARKS = {
    Grade.A: "mark mark-good",
    Grade.B: "mark mark-fair",
    Grade.C: "mark mark-poor",
    Grade.INVALID: "mark mark-bad",
}
FAILED = "mark mark-bad"
FRONT = "Pareto front"
BEFORE_LEVEL = ("model", "parameters", "active", "read")
CHOICES = (
    *("run", "machine", "model", "level", "kv cache", "weights", "device", "placement", "runtime"),
    *("prepack", "threads", "batch", "capacity", "depth", FRONT, "measured", "trust"),
)
DEFINITIONS = {
    "run": "Which run a row is of: its date and time, UTC, and four digits.",
    "machine": "The processor of the run's machine; (2) is another machine with the same one.",
    "measured": "Whether every test of the row gave numbers; the reasons stand further down.",
}


@dataclass(frozen=True, slots=True)
class PageRow:
    """A row, and the run that it is of."""

    run: Run
    row: Row


def results_table(runs: Sequence[Run]) -> Table:
    """Every row of every run, with the columns that `--wide` draws of them all."""
    rows = [PageRow(run, row) for run in runs for row in run.rows]
    return page_table(
        NAME,
        CAPTION,
        _columns(runs),
        rows,
        choices=CHOICES,
        row_head="level",
        cells={"trust": _trust, "measured": _measured},
        definitions=DEFINITIONS,
    )


def _columns(runs: Sequence[Run]) -> list[Column[PageRow]]:
    """Which run, then the columns of all rows; the last one but trust says what failed."""
    of_all = columns_of([row for run in runs for row in run.rows])
    if not any(column.header == "level" for column in of_all):
        before = sum(column.header in BEFORE_LEVEL for column in of_all)
        of_all.insert(before, Column("level", lambda row: row.cell.level_label or row.cell.level))
    *columns, trust = (_of_page(column, _fronts(runs)) for column in of_all)
    has_twins = len({run.machine for run in runs}) < len(runs)  # else the machine names the run
    run: Column[PageRow] = Column("run", lambda one: run_name(one.run.document), shown=VARIES)
    return [
        Column("machine", lambda one: one.run.machine, shown=VARIES),
        *([run] if has_twins else []),
        *columns,
        Column("measured", lambda one: _failures(one.row) or None, shown=KNOWN),
        trust,
    ]


def _fronts(runs: Sequence[Run]) -> dict[int, SummaryColumn]:
    """Each run's own column of Pareto fronts, by the identity of its rows.

    Levels are weighed beside those of their run: another machine's are no rivals.
    """
    found: dict[int, SummaryColumn] = {}
    for run in runs:
        column = next((one for one in columns_of(run.rows) if one.header == FRONT), None)
        if column is not None:
            found |= {id(row): column for row in run.rows}
    return found


def _of_page(column: SummaryColumn, fronts: dict[int, SummaryColumn]) -> Column[PageRow]:
    """The same column over rows of a page."""
    value: Callable[[PageRow], object] = lambda one: column.value(one.row)  # noqa: E731
    if column.header == FRONT:

        def value(one: PageRow) -> object:
            own = fronts.get(id(one.row))
            return None if own is None else own.value(one.row)

    return Column(column.header, value, column.draw, column.shown)


def _failures(row: Row) -> str:
    """`all 3 failed`, `1 of 3 failed`; empty where nothing did."""
    failed = sum(record.status != Status.OK for record in row.records)
    if not failed:
        return ""
    count = len(row.records)
    return f"{failed} of {count} failed" if failed < count else f"all {count} failed"


def _measured(_: PageRow, cell: Cell) -> Cell:
    """A row that lacks tests leads to the reasons."""
    if cell.key is None:
        return Cell("yes", "0")
    return Cell(cell.text, cell.key, FAILED, "#missing")


def _trust(one: PageRow, cell: Cell) -> Cell:
    """A grade with its colour, and its reasons at the pointer."""
    mark = MARKS.get(Grade(cell.text), "") if cell.key is not None else ""
    reasons = dict.fromkeys(
        f"{reason.code}: {reason.detail}"
        for record in one.row.records
        if record.trust
        for reason in record.trust.reasons
    )
    key = list(Grade).index(Grade(cell.text)) if mark else None
    return Cell(cell.text, key, mark, "#trust" if mark else "", "\n".join(reasons))
