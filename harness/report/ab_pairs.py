"""A file of `bench ab`, pair by pair: the ratios that its intervals are made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp

from harness.analysis.paired import lines_of
from harness.core.errors import UsageError
from harness.report.ab import cells_of, ending_of, pairs_of, side_names
from harness.report.grid import Column, draw_columns, draw_records, prose
from harness.report.numbers import percent, ratio, three_digits
from harness.results.entries import AbEntry, Entry, PairEntry
from harness.results.schema import Cell


@dataclass(frozen=True, slots=True)
class PairRow:
    """What one pair gave of one metric of one test.

    Attributes:
        pair: its number, from 1.
        test: full name; of a start empty.
        metric: name of the registry.
        a: median over the turns of the base.
        b: likewise of what is compared with it.
        ratio: b / a, the median over the turns.
        others: share of the processors that other programs used meanwhile; None: not known.
    """

    pair: int
    test: str
    metric: str
    a: float
    b: float
    ratio: float
    others: float | None


COLUMNS: tuple[Column[PairRow], ...] = (
    Column("pair", lambda row: row.pair),
    Column("test", lambda row: row.test or "start"),
    Column("metric", lambda row: row.metric),
    Column("A", lambda row: row.a, three_digits),
    Column("B", lambda row: row.b, three_digits),
    Column("B / A", lambda row: row.ratio, ratio),
    Column("others CPU", lambda row: row.others, percent),
)


def explain_pairs(entries: Sequence[Entry], words: str | None, style: str) -> str:
    """Draw what every pair gave.

    Args:
        entries: of the file.
        words: of the rows that are wanted: parts of the names of test and metric; None: all.
        style: `table`, `md` or `json`.

    Raises:
        UsageError: no row has these words.
    """
    header = next(one for one in entries if isinstance(one, AbEntry))
    pairs = pairs_of(entries)
    asked = (words or "").split()
    rows = [
        row
        for row in _rows(pairs, cells_of(header))
        if all(word in f"{row.test} {row.metric}" for word in asked)
    ]
    if asked and not rows:
        raise UsageError(
            f"--row {words!r}: no pair has such a test or metric",
            fix="words of the columns test and metric, or leave --row out",
        )
    if style == "json":
        return draw_records([_values(row) for row in rows], style)
    a, b = side_names(header)
    told = (
        f"A: {a}",
        f"B: {b}",
        f"{len(pairs)} pairs; ended: {ending_of(entries)}; bench report and bench compare give the"
        " intervals over them",
    )
    notes = "\n".join(f"- {prose(line, style)}" for line in told)
    return f"{draw_columns(COLUMNS, rows, style)}\n\n{notes}" if rows else notes


def _rows(pairs: Sequence[PairEntry], cells: Mapping[str, tuple[Cell, Cell]]) -> Iterator[PairRow]:
    """Yield every value, pair by pair."""
    lines = lines_of(pairs, cells)
    for index, pair in enumerate(pairs):
        for line in lines:
            test = "" if line.is_start else line.cell.workload
            value = line.values[index]
            watch = pair.watches.get(test)
            others = None if watch is None else watch.background_cpu_share
            yield PairRow(
                pair.pair, test, line.metric, value.base, value.new, exp(value.log_ratio), others
            )


def _values(row: PairRow) -> dict[str, object]:
    """One row for programs."""
    return {
        "pair": row.pair,
        "test": row.test or None,
        "metric": row.metric,
        "a": row.a,
        "b": row.b,
        "ratio": row.ratio,
        "background_cpu_share": row.others,
    }
