"""Results of many cells, machines and times -> one document; the same one in whatever order.

A run is taken once, however often it comes. Of one cell, machine and method there is one result:
where two say different things, the newer is taken and both are named. What cannot be read is named
and costs nothing else. A cell of the plan without any result is rows that say so.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from msgspec import structs

from harness.core.errors import EXIT_CELLS, EXIT_OK, HarnessError, UsageError
from harness.fleet.cell_run import UNFINISHED, plan_of
from harness.fleet.cells import NAME, CellFile
from harness.results.document import encode_document, is_document, read_document
from harness.results.enums import Status
from harness.results.environment import Environment
from harness.results.machines import machine_label, machine_of
from harness.results.merged import is_measured, joined, runs_of
from harness.results.plan import CellMark
from harness.results.schema import Document, Record

NOT_RUN = "not run: no result of this cell came in"
NEVER = "1970-01-01T00:00:00+00:00"  # when a cell ran that did not
PACKAGES = ("ondevice-bench", "onnxruntime")  # whose versions are told where two results differ


@dataclass(frozen=True, slots=True)
class Merged:
    """One document, and what was wrong with what it was made of.

    Attributes:
        document: all of it.
        problems: a sentence for each file that was not read, and each result that was left out.
        missing: cells of the plan without a result.
        unfinished: cells that were begun, and have no result there yet.
        notes: a sentence for each package that one machine has had in several versions.
    """

    document: Document
    problems: tuple[str, ...]
    missing: tuple[CellFile, ...] = ()
    unfinished: int = 0
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 3: something is missing, damaged or contradicts itself; the rest is there."""
        return EXIT_CELLS if self.problems or self.missing else EXIT_OK


def merge_paths(paths: Sequence[Path], cells: Sequence[CellFile] = ()) -> Merged:
    """Read and merge results.

    Args:
        paths: files, or folders whose files and folders are searched.
        cells: of the plan; those without a result become rows that say so.

    Raises:
        UsageError: a path is not there, or nothing at all was found.
    """
    found = sorted({file for path in paths for file in _files(path)})
    documents, problems = [], []
    for file in found:
        try:
            documents.append(read_document(file))
        except HarnessError as error:
            problems.append(f"not read: {error.problem}")
    if not documents and not cells:
        told = f"; {problems[0]}" if problems else ""
        names = ", ".join(path.name or str(path) for path in paths)
        raise UsageError(
            f"{names}: no results file can be read{told}", fix="folders that `bench cell` wrote to"
        )
    merged = merge(documents, cells)
    begun = sum(len(list(path.rglob(f"{UNFINISHED}*/"))) for path in paths if path.is_dir())
    return replace(merged, problems=(*problems, *merged.problems), unfinished=begun)


def merge(documents: Iterable[Document], cells: Sequence[CellFile] = ()) -> Merged:
    """Merge documents, of one run or merged before.

    Args:
        documents: one or more, or none where there are cells.
        cells: see merge_paths.
    """
    every = {_digest(run): run for document in documents for run in runs_of(document)}
    groups: dict[tuple[str, ...], list[Document]] = defaultdict(list)
    for _, run in sorted(every.items(), key=_age):
        groups[_identity(run)].append(run)
    newest = max((run.method_version for run in every.values() if is_measured(run)), default=None)
    problems, kept = [], []
    for runs in groups.values():
        taken = runs[-1]
        if newest is not None and taken.method_version != newest and is_measured(taken):
            problems.append(_other_method(taken, newest))
            continue
        if is_measured(taken):
            problems += [_contradiction(old, new) for old, new in pairwise(runs)]
        kept.append(taken)
    measured = [run for run in kept if is_measured(run)]
    there = {_cell_of(run) for run in measured}
    known = {id(run) for run in measured}
    final = {digest: run for digest, run in every.items() if id(run) in known}
    final |= {_digest(run): run for run in _missing(kept, measured, cells)}
    document = joined(_in_order(final), f"merge-{_digest_of_all(final)}")
    absent = tuple(cell for cell in cells if cell.hash not in there)
    notes = _versions(run for run in final.values() if is_measured(run))
    return Merged(document, tuple(sorted(problems)), absent, notes=notes)


def _missing(
    kept: Sequence[Document], measured: Sequence[Document], cells: Sequence[CellFile]
) -> list[Document]:
    """What stands for results that are not there: of a machine that lost a cell, else of a cell."""
    lost = {_place_of(run): run for run in kept if not is_measured(run)}
    on_machines = {cell for cell, machine in lost if machine}
    for cell in cells:
        if cell.hash not in on_machines:
            lost.setdefault((cell.hash, ""), not_run(cell))
    there = {_place_of(run) for run in measured} | {(_cell_of(run), "") for run in measured}
    there |= {(cell, "") for cell in on_machines}
    return [run for place, run in sorted(lost.items()) if place not in there]


def not_run(cell: CellFile) -> Document:
    """What stands for a cell that no machine has measured: the same bytes each time."""
    return Document(
        method_version=cell.method_version,
        run_id=f"cell-{cell.hash}",
        created_utc=NEVER,
        environment=Environment(),
        plan=structs.replace(plan_of(cell), cell=CellMark(hash=cell.hash, exit_code=EXIT_CELLS)),
        records=tuple(Record(cell=row, status=Status.SKIPPED, reason=NOT_RUN) for row in cell.rows),
    )


def _files(path: Path) -> Iterator[Path]:
    """Yield the results files that a path means; cells, and what was begun, are none."""
    if not path.exists():
        raise UsageError(f"{path} is not there", fix="a results file, or a folder of them")
    if path.is_file():
        yield path
        return
    for file in path.rglob("*.json"):
        inside = file.relative_to(path).parts[:-1]
        begun = any(part.startswith((UNFINISHED, ".")) for part in inside)
        if file.is_file() and not begun and not NAME.fullmatch(file.name) and is_document(file):
            yield file


def _identity(run: Document) -> tuple[str, ...]:
    """What one result may be of: a cell on a machine, else a run."""
    cell = run.plan.cell
    if not cell:
        return (run.run_id,)
    return (cell.hash, cell.machine, *([str(run.method_version)] * is_measured(run)))


def _cell_of(run: Document) -> str:
    """The hash of the cell that a run is of; else the name of the run."""
    return run.plan.cell.hash if run.plan.cell else run.run_id


def _place_of(run: Document) -> tuple[str, str]:
    """The cell and the machine that a run is of; of one that is of no cell its name."""
    return _cell_of(run), run.plan.cell.machine if run.plan.cell else ""


def _age(item: tuple[str, Document]) -> tuple[str, str, str]:
    """What orders results of one identity: by time, and where that is the same by content."""
    digest, run = item
    return run.created_utc, run.run_id, digest


def _in_order(runs: Mapping[str, Document]) -> list[Document]:
    """Machine after machine, on each by time; what was not run last."""

    def place(item: tuple[str, Document]) -> tuple[object, ...]:
        _, run = item
        cell = run.plan.cell
        machine = (cell.label, cell.machine) if cell else ("", run.environment.cpu_model or "")
        return (not is_measured(run), *machine, *_age(item))

    return [run for _, run in sorted(runs.items(), key=place)]


def _contradiction(old: Document, new: Document) -> str:
    """Two results of one cell, machine and method, or of one run, that say different things."""
    versions = [
        f"{name} {before} and {after}"
        for name in PACKAGES
        for before, after in [(_version(old, name), _version(new, name))]
        if before != after
    ]
    told = f" ({', '.join(versions)})" if versions else ""
    if not new.plan.cell:
        return f"run {new.run_id} comes with two contents{told}: one of them is left out"
    return f"{_called(new)}: {old.run_id} and {new.run_id} differ{told}; {new.run_id} is taken"


def _other_method(run: Document, newest: int) -> str:
    """A result that was measured by an older method, which is never mixed with a newer one."""
    return (
        f"{_called(run)}: measured by method {run.method_version}, others by {newest}; left out:"
        " measure it again"
    )


def _called(run: Document) -> str:
    """A result in words: its cell and machine, or its run."""
    cell = run.plan.cell
    if not cell:
        return f"run {run.run_id}"
    return f"cell {cell.hash} on {cell.label or cell.machine}"


def _versions(runs: Iterable[Document]) -> tuple[str, ...]:
    """Which machines have had several versions of a package: what moves numbers beside a plan."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for run in runs:
        for package in PACKAGES:
            machine = machine_label(run) or machine_of(run)
            found[machine, package].add(_version(run, package))
    return tuple(
        f"{machine} was measured with {package} {' and '.join(sorted(versions))}"
        for (machine, package), versions in sorted(found.items())
        if len(versions) > 1
    )


def _version(run: Document, package: str) -> str:
    return (run.environment.packages or {}).get(package, "none")


def _digest(run: Document) -> str:
    """What tells a run from others that call themselves so."""
    return hashlib.sha256(encode_document(run)).hexdigest()


def _digest_of_all(digests: Iterable[str]) -> str:
    """A name for these runs, in whatever order."""
    return hashlib.sha256(" ".join(sorted(digests)).encode()).hexdigest()[:16]
