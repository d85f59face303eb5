"""The grades of a results file explained: of every record the worst value of what is judged."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.core.errors import UsageError
from harness.report.explained import is_meant, record_name
from harness.report.grid import Column, draw_columns, json_text, prose, short
from harness.report.numbers import half_width, percent
from harness.results.enums import Status
from harness.results.schema import Document, Record
from harness.results.summarize import judged_half_width_share


@dataclass(frozen=True, slots=True)
class Judged:
    """One measured record and what its grade is taken from.

    Attributes:
        name: of the record.
        grade: A, B, C or INVALID.
        processes: fresh ones behind it.
        half_width_share: widest of the judged metrics; None: no interval.
        background_share: CPU used by others beside the worst process; None: not known.
        steal_share: CPU that a hypervisor took from the worst process; None: not known.
        unsteady: processes that were not steady after the warm-up.
        reasons: codes and sentences below A.
    """

    name: str
    grade: str
    processes: int
    half_width_share: float | None
    background_share: float | None
    steal_share: float | None
    unsteady: int
    reasons: tuple[str, ...]


def explain_trust(document: Document, wanted: str | None, style: str) -> str:
    """Draw what every grade of a document is taken from, the worst process first of all.

    Args:
        document: one run.
        wanted: a record's number, from 1, or words of its name; None: every record.
        style: `table`, `md` or `json`.

    Raises:
        UsageError: no measured record is meant.
    """
    rows = [
        judged_of(record)
        for number, record in enumerate(document.records, 1)
        if record.status == Status.OK and record.trust and is_meant(wanted, number, record)
    ]
    if not rows:
        raise UsageError(
            f"no measured record of {document.run_id} is called {wanted!r}"
            if wanted
            else f"{document.run_id} holds no measured record",
            fix="leave --row out, or measure again: bench run",
        )
    if style == "json":
        names = Judged.__dataclass_fields__
        return json_text([{name: getattr(row, name) for name in names} for row in rows], indent=1)
    told = [f"{row.name}: {reason}" for row in rows for reason in row.reasons]
    reasons = [prose(short(line), style) for line in told]
    return "\n\n".join(
        [draw_columns(COLUMNS, rows, style), *(["\n".join(reasons)] if reasons else [])]
    )


def judged_of(record: Record) -> Judged:
    """What one record is judged by, the worst over its processes."""
    watches = [process.watch for process in record.samples if process.watch is not None]
    warm = [process.warm for process in record.samples]
    return Judged(
        name=record_name(record),
        grade=record.trust.grade if record.trust else "",
        processes=len(record.samples),
        half_width_share=judged_half_width_share(record.cell, record.metrics),
        background_share=_worst([watch.background_cpu_share for watch in watches]),
        steal_share=_worst([watch.steal_share for watch in watches]),
        unsteady=sum(found is None or not found.steady for found in warm),
        reasons=tuple(
            f"{reason.code}: {reason.detail}"
            for reason in (record.trust.reasons if record.trust else ())
        ),
    )


def _worst(shares: list[float | None]) -> float | None:
    """The largest that is known."""
    return max((share for share in shares if share is not None), default=None)


def _share(name: str) -> Callable[[Judged], float | None]:
    """Read one share of a row."""
    return lambda row: getattr(row, name)


COLUMNS: tuple[Column[Judged], ...] = (
    Column("record", lambda row: row.name),
    Column("trust", lambda row: row.grade),
    Column("processes", lambda row: row.processes),
    Column("widest\n±", _share("half_width_share"), half_width),
    Column("background CPU\nworst process", _share("background_share"), percent),
    Column("steal\nworst process", _share("steal_share"), percent),
    Column("not steady", lambda row: row.unsteady),
)
