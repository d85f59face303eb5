"""What `bench history` says of its index, of what it added, and of what a statement gave. Pure."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from harness.history.adding import Added
from harness.history.blessings import Blessing
from harness.history.listing import Listed
from harness.report.grid import (
    MISSING,
    PEOPLE,
    Column,
    draw_columns,
    draw_records,
    draw_rows,
    prose,
)
from harness.report.numbers import counted

LISTED, MOST_LISTED = ", ", 4  # between names in a cell, and how many of them
MOST_NAMED = 20  # files below a summary; more are counted


def draw_added(added: Added, lost: Sequence[tuple[str, str]], index: str, style: str) -> str:
    """Say what became of files; no line feed at the end.

    Args:
        added: what became of them.
        lost: files that an older index had, and that are gone.
        index: its file.
        style: of `options.FORMATS`.
    """
    named = [*((*one, "refused") for one in added.damaged), *((*one, "lost") for one in lost)]
    named += [(*one, "cut") for one in added.cut]
    named += [(*one, "passed over") for one in added.others]
    if style not in PEOPLE:
        values = {name: getattr(added, name) for name in ("runs", "records", "known", "superseded")}
        files = [{"file": file, "became": became, "why": why} for file, why, became in named]
        return _programs([{**values, "index": index, "files": files}], style)
    told = [
        f"{counted(added.runs, 'runs')} with {counted(added.records, 'records')} added to {index}",
        f"{counted(added.known, 'files')} there already" * bool(added.known),
        f"{counted(added.superseded, 'files')} of runs that another file says more of"
        * bool(added.superseded),
    ]
    lines = ["; ".join(part for part in told if part)]
    lines += [f"{became}: {file}: {why}" for file, why, became in named[:MOST_NAMED]]
    rest = len(named) - MOST_NAMED
    lines += [f"and {counted(rest, 'files')} more"] if rest > 0 else []
    return _lines(lines, style)


def draw_listed(listed: Listed, what: str, index: str, style: str) -> str:
    """Draw what an index holds; no line feed at the end."""
    if style not in PEOPLE:
        return _programs(
            [dict(zip(listed.columns, row, strict=True)) for row in listed.rows], style
        )
    totals = listed.totals
    things = ", ".join(counted(totals[name], name) for name in ("runs", "records", "cells"))
    span = f", {totals['first_day']} to {totals['last_day']}" * bool(totals["first_day"])
    notes = [f"{index}: {things} on {counted(totals['machines'], 'machines')}{span}"]
    notes += [f"also: bench history ls {_others(what)}; bench history trend CELL"]
    table = _table(listed.columns, [list(map(_few, row)) for row in listed.rows], style)
    return "\n".join([table, "", _lines(notes, style)] if listed.rows else [_lines(notes, style)])


def _few(value: Any) -> Any:
    """A list of names as people read it: the first ones, and how many more there are."""
    names = value.split(LISTED) if isinstance(value, str) else []
    more = len(names) - MOST_LISTED
    return f"{LISTED.join(names[:MOST_LISTED])} and {more} more" if more > 0 else value


def _others(what: str) -> str:
    return "|".join(name for name in ("models", "machines", "cells", "runs") if name != what)


def draw_blessings(blessings: Sequence[Blessing], verb: str, file: str, style: str) -> str:
    """Draw accepted steps; no line feed at the end."""
    if style not in PEOPLE:
        return _programs([msgspec.structs.asdict(one) for one in blessings], style)
    note = _lines([f"{counted(len(blessings), 'steps')} {verb}: {file}"], style)
    drawn = draw_columns(BLESSINGS, blessings, style)
    return "\n".join([drawn, "", note] if blessings else [note])


BLESSINGS: tuple[Column[Blessing], ...] = (
    Column("id", lambda one: one.id),
    Column("cell", lambda one: one.cell, leaves=2),
    Column("metric", lambda one: one.metric, leaves=1),
    Column("run", lambda one: one.run_id, leaves=3),
    Column("was", lambda one: "worse" if one.is_worse else "better"),
    Column("accepted", lambda one: one.date),
    Column("reason", lambda one: one.reason),
)


def draw_answer(columns: Sequence[str], rows: Iterable[Sequence[Any]], style: str) -> str:
    """Draw what a statement gave; no line feed at the end."""
    plain = [[plain_value(value) for value in row] for row in rows]
    if style in PEOPLE:
        return _table(columns, plain, style)
    if not plain and style == "csv":
        return draw_rows(columns, [], style)
    return _programs([dict(zip(columns, row, strict=True)) for row in plain], style)


def draw_described(rows: Iterable[tuple[str, str, str]], style: str) -> str:
    """Draw the tables and columns that a statement may ask; no line feed at the end."""
    found = list(rows)
    if style in PEOPLE:
        return _table(("table", "column", "meaning"), found, style)
    names = ("table", "column", "meaning")
    return _programs([dict(zip(names, row, strict=True)) for row in found], style)


def plain_value(value: Any) -> Any:
    """A value of DuckDB as JSON has it: ISO 8601, decimals as numbers, bytes as Base64."""
    if isinstance(value, Mapping):
        return {str(plain_value(key)): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value) if isinstance(value, timedelta | UUID) else value


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], style: str) -> str:
    """Values as text under their names."""
    cells = [[_cell(value) for value in row] for row in rows]
    return draw_rows(list(columns), cells, style)


def _cell(value: Any) -> str:
    if value is None:
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _programs(records: Sequence[Mapping[str, object]], style: str) -> str:
    """Values for programs; nothing of no row in CSV, whose header follows from rows."""
    return draw_records(records, style) if records or style != "csv" else ""


def _lines(lines: Iterable[str], style: str) -> str:
    mark = "- " if style == "md" else ""
    return "\n".join(f"{prose(line, style, mark)}" for line in lines)
