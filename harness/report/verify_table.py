"""Stored files beside what their checks say, as a table. Pure."""

from collections import Counter
from collections.abc import Sequence

from harness.report.grid import KNOWN, PEOPLE, VARIES, Column, draw_columns, draw_records, prose
from harness.report.numbers import counted
from harness.results.signature import SignatureState
from harness.results.verify import State, Verified

COLUMNS: tuple[Column[Verified], ...] = (
    Column("file", lambda one: one.file),
    Column("kind", lambda one: one.kind, shown=VARIES, leaves=1),
    Column("parts", lambda one: one.parts, leaves=1),
    Column("state", lambda one: one.state),
    Column("signature", lambda one: one.signature and one.signature.state, shown=KNOWN),
    Column("signer", lambda one: (one.signature and one.signature.signer) or None, shown=KNOWN),
    Column("detail", lambda one: _details(one), shown=KNOWN),
)


def draw_verified(found: Sequence[Verified], style: str) -> str:
    """Draw the files in the order given; no line feed at the end.

    Args:
        found: one a row, at least one.
        style: of `options.FORMATS`.
    """
    if style not in PEOPLE:
        return draw_records([_values(one) for one in found], style)
    states = Counter(one.state for one in found)
    told = [f"{states[state]} {state}" for state in State if states[state]]
    signatures = Counter(one.signature.state for one in found if one.signature)
    told += [f"{signatures[state]} {state}" for state in SignatureState if signatures[state]]
    mark = "- " if style == "md" else ""
    note = f"{counted(len(found), 'files')}: {', '.join(told)}"
    return f"{draw_columns(COLUMNS, found, style)}\n\n{prose(note, style, mark)}"


def _values(one: Verified) -> dict[str, object]:
    """One file for programs."""
    return {
        "file": one.file,
        "kind": one.kind,
        "parts": one.parts,
        "state": str(one.state),
        "detail": _details(one),
        "signature": str(one.signature.state) if one.signature else None,
        "signer": (one.signature.signer or None) if one.signature else None,
    }


def _details(one: Verified) -> str | None:
    """What is wrong with a file, and with its signature."""
    told = (one.detail, one.signature and one.signature.detail)
    return "; ".join(words for words in told if words) or None
