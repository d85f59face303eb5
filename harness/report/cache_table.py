"""What lies in the cache, and what a removal takes, as tables. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from harness.core.units import MIB, size_words
from harness.report.grid import PEOPLE, VARIES, Column, draw_columns, draw_records, prose
from harness.report.numbers import counted, one_decimal, three_digits

Entry = Mapping[str, Any]  # name, what, size_bytes, used_utc, days, state

COLUMNS: tuple[Column[Entry], ...] = (
    Column("name", lambda entry: entry["name"]),
    Column("kind", lambda entry: entry["what"]),
    Column("MiB", lambda entry: entry["size_bytes"] / MIB, three_digits),
    Column("used UTC", lambda entry: entry["used_utc"]),
    Column("idle days", lambda entry: entry["days"], one_decimal),
    Column("state", lambda entry: entry["state"] or None, shown=VARIES),
)


def draw_cache(entries: Sequence[Entry], style: str, notes: Sequence[str]) -> str:
    """Draw folders of the cache; no line feed at the end.

    Args:
        entries: one a row.
        style: of `options.FORMATS`.
        notes: below the table, for people.
    """
    if style not in PEOPLE:
        return draw_records(entries, style) if entries or style != "csv" else ""
    mark = "- " if style == "md" else ""
    lines = [f"{prose(note, style, mark)}" for note in notes]
    return "\n".join(([draw_columns(COLUMNS, entries, style), ""] if entries else []) + lines)


def moment(seconds: float) -> str:
    """A moment for people; of one that no calendar has, which a file system may hold, nothing."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):
        return ""


def held_note(count: int, size_bytes: int, place: str) -> str:
    """`12 folders, 3.2 GiB in /path`."""
    return f"{counted(count, 'folders')}, {size_words(size_bytes)} in {place}"
