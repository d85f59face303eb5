"""One cell on this machine: found again where it was measured before, else measured by a run.

The result is an ordinary results document. Its name says which cell, machine and method it is of,
so that a cell that comes twice is measured once, and results of many machines lie in one folder.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree

from msgspec import UNSET, structs

from harness.core.errors import (
    EXIT_INTERRUPTED,
    EXIT_STORAGE,
    DeviceError,
    HarnessError,
    ResultFormatError,
    StorageError,
    UsageError,
)
from harness.core.findings import Progress
from harness.fleet.cells import CellFile, check_versions
from harness.machine.watch.facts import machine_facts, usable_cores
from harness.results.document import read_document, write_document
from harness.results.enums import Status
from harness.results.environment import Environment, MachineFacts
from harness.results.journal import SUFFIX
from harness.results.machines import digest
from harness.results.machines import machine_id as machine_id
from harness.results.plan import CellMark, RunPlan
from harness.results.schema import METHOD_VERSION, Document, Record
from harness.runner.loop.run import Outcome, new_run_id, run_plan, utc_now
from harness.runner.loop.standing import Board, nobody
from harness.runner.plan import Plan, make_plan
from harness.store.locks import sole_maker

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
MOST_WAIT_S = 7 * 86400.0  # for another process that measures the same cell
UNFINISHED = "unfinished-"  # a folder of a cell that was begun; gone once there is its result


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """What became of a cell.

    Attributes:
        path: of its result; of one that was interrupted, of what is finished of it.
        document: the result.
        exit_code: how the command should end, requirements aside.
        is_new: whether something was measured.
        lost: what became of the folder of results, and where the result lies instead.
    """

    path: Path
    document: Document
    exit_code: int
    is_new: bool
    lost: StorageError | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell is measured, and how.

    Attributes:
        out: folder of the result.
        cache: of built models, hardware peaks and locks.
        label: what the operator calls this machine; empty: nothing.
        again: measure also what has a result.
        wait_s: longest wait for another measurement; None: until it ends.
    """

    out: Path
    cache: Path
    label: str = ""
    again: bool = False
    wait_s: float | None = None


def result_name(cell: CellFile, facts: MachineFacts, label: str) -> str:
    """The file of a result: `result-<cell>-<hash of cell, machine and method>.json`.

    The method is METHOD_VERSION and the versions of the packages that run the model.
    """
    method = {"method": METHOD_VERSION, "packages": facts.packages}
    whole = digest({"cell": cell.hash, "machine": machine_id(facts, label), **method})
    return f"result-{cell.hash}-{whole}.json"


def check_label(label: str) -> str:
    """Return the word that a machine is called by.

    Raises:
        UsageError: it is none, or too long.
    """
    if label and LABEL.fullmatch(label) is None:
        raise UsageError(
            f"--machine {label[:80]!r} is no word of 1 to 40 letters, digits, dots and dashes",
            fix="--machine shelf-3",
        )
    return label


def run_cell(
    cell: CellFile,
    find: Callable[[CellFile], str],
    place: Place,
    progress: Progress,
    board: Board = nobody,
    command: Sequence[str] = (),
) -> CellOutcome:
    """Measure a cell, or find its result; an interrupted one goes on.

    Args:
        cell: checked.
        find: gives the word by which this machine finds the model; see model_files.find_word.
        place: where and how.
        progress: told what goes on.
        board: told where each row is.
        command: words of the one that would go on with it.

    Raises:
        UsageError: another bench has planned it, its model is not here, or its numbers do not fit
            this machine: before anything is measured.
        HarnessError: folders, models, disk.
    """
    check_versions(cell)
    facts = machine_facts()
    name = result_name(cell, facts, place.label)
    path = place.out / name

    def log(line: str) -> None:
        progress(line, 0, 0)

    with sole_maker(place.cache, name.removesuffix(".json"), MOST_WAIT_S, "measuring it", log):
        known = None if place.again else _known(path, log)
        if known is not None:
            return CellOutcome(path, known, _mark(known).exit_code, is_new=False)
        mark = CellMark(hash=cell.hash, machine=machine_id(facts, place.label), label=place.label)
        try:
            plan = _planned(cell, find, place.cache)
        except DeviceError as error:
            failed = _without_device(cell, error, facts)
            return _kept(failed, path, structs.replace(mark, exit_code=error.exit_code))
        return _measured(plan, path, mark, place, progress, board, command)


def _planned(cell: CellFile, find: Callable[[CellFile], str], cache: Path) -> Plan:
    """The plan of a cell on this machine, which has to be the one that was meant."""
    plan = make_plan(cell.settings_for(find(cell)), usable_cores(), folder=cache)
    found = {(group.level.name, test.name) for group in plan.groups for test in group.workloads}
    meant = {(row.level, row.workload) for row in cell.rows}
    if found != meant:
        told = ", ".join(" ".join(row) for row in sorted(found ^ meant))
        raise UsageError(
            f"cell {cell.file_name} is laid out otherwise here: {told}",
            fix="the same version and model files on every machine",
        )
    return plan


def _measured(
    plan: Plan,
    path: Path,
    mark: CellMark,
    place: Place,
    progress: Progress,
    board: Board,
    command: Sequence[str],
) -> CellOutcome:
    """Run the plan in a folder of its own, which goes once the result is there."""
    folder = path.with_name(f"{UNFINISHED}{path.stem}")
    if place.again:
        rmtree(folder, ignore_errors=True)
    _make(folder)
    outcome = _run(plan, folder, place, progress, board, command)
    if outcome.exit_code in (EXIT_INTERRUPTED, EXIT_STORAGE):
        lost = outcome.lost
        return CellOutcome(outcome.path, outcome.document, outcome.exit_code, True, lost)
    kept = _kept(outcome.document, path, structs.replace(mark, exit_code=outcome.exit_code))
    rmtree(folder, ignore_errors=True)
    return kept


def _run(
    plan: Plan,
    folder: Path,
    place: Place,
    progress: Progress,
    board: Board,
    command: Sequence[str],
) -> Outcome:
    """Go on with what was begun in a folder; what cannot be gone on with begins anew."""
    run = partial(
        run_plan,
        plan,
        results=folder,
        cache=place.cache,
        progress=progress,
        command=command,
        wait_s=place.wait_s,
        board=board,
    )
    if any(folder.glob(f"*{SUFFIX}")):
        with suppress(UsageError):  # it was of other versions or model files
            return run(resume=True)
    return run()


def _kept(document: Document, path: Path, mark: CellMark) -> CellOutcome:
    """Write the result under its name, with what cell and machine it is of."""
    marked = structs.replace(document, plan=structs.replace(document.plan, cell=mark))
    _make(path.parent)
    write_document(marked, path)
    return CellOutcome(path, marked, mark.exit_code, is_new=True)


def _make(folder: Path) -> None:
    """Make a folder of results.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be made: {error.strerror}", fix="give another --out"
        ) from error


def _known(path: Path, log: Callable[[str], None]) -> Document | None:
    """The result that lies there; a damaged one is measured anew."""
    if not path.is_file():
        return None
    try:
        document = read_document(path)
        _mark(document)
    except ResultFormatError as error:
        log(f"measured anew: {error.problem}")
        return None
    return document


def _mark(document: Document) -> CellMark:
    """What a result says of its cell.

    Raises:
        ResultFormatError: nothing.
    """
    mark = document.plan.cell
    if mark is UNSET:
        raise ResultFormatError("it is no result of a cell", fix="take the file out of the folder")
    return mark


def _without_device(cell: CellFile, error: HarnessError, facts: MachineFacts) -> Document:
    """What stands for a cell whose device or runtime is not here: its rows, with the reason."""
    reason = f"{error.problem}; try: {error.fix}"
    return Document(
        run_id=new_run_id(),
        created_utc=utc_now(),
        environment=Environment(**structs.asdict(facts)),
        plan=plan_of(cell),
        records=tuple(
            Record(cell=row, status=Status.UNSUPPORTED, reason=reason) for row in cell.rows
        ),
    )


def plan_of(cell: CellFile) -> RunPlan:
    """What a cell asks for, as documents say it."""
    return Plan(cell.settings, ()).as_asked()
