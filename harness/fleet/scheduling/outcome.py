"""What a fleet's results come to: one document, words for what is missing, the exit code."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from msgspec import UNSET, structs

from harness.core.errors import (
    EXIT_CELLS,
    EXIT_DEVICE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    HarnessError,
)
from harness.fleet.cells import CellFile
from harness.fleet.merge import Merged, merge, not_run
from harness.fleet.scheduling.gathering import End, Gathered
from harness.fleet.scheduling.jobs import Loss
from harness.results.document import read_document
from harness.results.plan import CellMark
from harness.results.schema import Document

ENDED = {
    End.SCHEDULER_LOST: EXIT_DEVICE,
    End.INTERRUPTED: EXIT_INTERRUPTED,
    End.STORAGE: EXIT_STORAGE,
}
# How what the workers have is collected, once nobody gathers it any more.
COLLECT = (
    "workers finish the cell they measure and keep results in their --out: the same command again"
    " takes them from there, or copy those folders here and `bench merge {out} FOLDER...`"
)


def merged(gathered: Gathered, cells: Sequence[CellFile], now_utc: str) -> Merged:
    """One document of all results, and of rows that say why they have none.

    Args:
        gathered: from a fleet.
        cells: of the plan.
        now_utc: when what is missing was missed.
    """
    documents, problems = [], []
    for path in gathered.results:
        try:
            documents.append(read_document(path))
        except HarnessError as error:
            problems.append(f"not read: {error.problem}")
    by_hash = {cell.hash: cell for cell in cells}
    lost = [lost_cell(loss, by_hash[loss.cell], now_utc) for loss in gathered.losses]
    found = merge([*documents, *lost], cells)
    return replace(found, problems=(*problems, *found.problems))


def lost_cell(loss: Loss, cell: CellFile, now_utc: str) -> Document:
    """The rows of a cell that a machine has not measured, with the reason."""
    empty = not_run(cell)
    mark = CellMark(hash=cell.hash, machine=loss.machine, label=loss.name, exit_code=EXIT_CELLS)
    return structs.replace(
        empty,
        run_id=f"{empty.run_id}-{loss.machine}" if loss.machine else empty.run_id,
        created_utc=now_utc,
        plan=structs.replace(empty.plan, cell=mark),
        records=tuple(structs.replace(one, reason=loss.reason) for one in empty.records),
    )


def merged_name(cells: Sequence[CellFile]) -> str:
    """The file of all results of a plan: the same plan has the same name."""
    text = " ".join(sorted(cell.hash for cell in cells))
    return f"fleet-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def words_of(gathered: Gathered, out: Path) -> tuple[str, ...]:
    """Sentences for whoever reads only the last lines."""
    told = []
    if gathered.losses:
        told.append(f"{len(gathered.losses)} of the cells have no result: their rows say why")
    if gathered.problem is not None:
        told += [gathered.problem.problem, f"try: {gathered.problem.fix}"]
    if gathered.end in (End.SCHEDULER_LOST, End.INTERRUPTED):
        told.append(f"{gathered.end}: {COLLECT.format(out=out)}")
    return tuple(told)


def exit_code(gathered: Gathered, found: Merged, is_elsewhere: bool) -> int:
    """How the command ends; the highest of what applies."""
    cells = [mark.exit_code for mark in _marks(found.document)]
    codes = [
        ENDED.get(gathered.end, EXIT_OK),
        EXIT_STORAGE if is_elsewhere else EXIT_OK,
        EXIT_CELLS if found.problems or gathered.losses or any(cells) else EXIT_OK,
    ]
    if len(cells) == 1:
        codes.append(cells[0])
    return max(codes)


def _marks(document: Document) -> list[CellMark]:
    plans = [source.plan for source in document.sources] or [document.plan]
    return [plan.cell for plan in plans if plan.cell is not UNSET]
