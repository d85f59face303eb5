"""A plan on one other machine: its cells go there, what comes back is one results document here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

from harness.core.errors import (
    EXIT_CELLS,
    EXIT_DEVICE,
    EXIT_GATE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    DeviceError,
    InterruptedRunError,
    StorageError,
)
from harness.fleet.cells import CellFile, write_cells
from harness.fleet.merge import merge_paths
from harness.fleet.remote.visit import CELLS, OUT, Brought, Errand, clean_up, visit
from harness.fleet.remote.wire import Log
from harness.results.document import write_document
from harness.results.schema import Document
from harness.runner.loop.run import new_run_id

# The gravest first, as exit codes are chosen everywhere; another code of a cell is one that failed.
GRAVEST = (EXIT_INTERRUPTED, EXIT_STORAGE, EXIT_DEVICE, EXIT_CELLS, EXIT_GATE, EXIT_OK)
Begun = Callable[[CellFile, int], None]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What became of a plan on another machine.

    Attributes:
        path: of the document here.
        document: of the cells; those without a result are rows that say so.
        problems: sentences about results that were left out.
        exit_code: of the cells, requirements aside.
        lost: why the connection ended before the cells did; None: it did not.
    """

    path: Path
    document: Document
    problems: tuple[str, ...]
    exit_code: int
    lost: DeviceError | None


def gather(
    cells: Sequence[CellFile],
    errand: Errand,
    results: Path,
    say: Log,
    begun: Begun,
) -> Gathered:
    """Measure cells on another machine and write one document of them here.

    Args:
        cells: of a plan.
        errand: where, and how.
        results: folder of the document.
        say: hears what people may want to read.
        begun: hears each cell that begins, and its number.

    Raises:
        DeviceError: the machine cannot be used; or the connection was lost before anything was
            finished.
        InterruptedRunError: somebody ended it before anything was finished.
        StorageError: the document cannot be written; the results stay on the machine.
    """
    by_name = {cell.file_name: cell for cell in cells}
    with TemporaryDirectory() as folder:
        home = Path(folder)
        write_cells(cells, home / CELLS)
        brought = visit(errand, home, tuple(by_name), say, lambda name, n: begun(by_name[name], n))
        files = _results(home / OUT, cells)
        _refuse_empty(brought, files)
        merged = merge_paths(files, cells) if files else merge_paths((), cells)
        run_id = new_run_id()
        document = structs.replace(merged.document, run_id=run_id)
        path = _written(document, results, run_id)
    if brought.lost is None and not brought.is_interrupted:
        clean_up(brought)
    code = _exit_code([*brought.codes.values(), merged.exit_code], brought)
    return Gathered(path, document, merged.problems, code, brought.lost)


def _results(folder: Path, cells: Sequence[CellFile]) -> list[Path]:
    """The results of these cells that were brought home; nothing else that the machine sent."""
    wanted = {cell.hash for cell in cells}
    found = sorted(folder.glob("result-*-*.json"))
    return [
        path
        for path in found
        if path.name.split("-")[1] in wanted and path.is_file() and not path.is_symlink()
    ]


def _refuse_empty(brought: Brought, files: Sequence[Path]) -> None:
    """Where nothing came home, there is no document to write."""
    if files:
        return
    if brought.lost is not None:
        raise brought.lost
    if brought.is_interrupted:
        raise InterruptedRunError(
            "interrupted before a cell was finished",
            fix="the same command again goes on: what was begun lies on the machine",
        )


def _written(document: Document, results: Path, run_id: str) -> Path:
    path = results / f"{run_id}.json"
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{results} cannot be made: {error.strerror}",
            fix="another --results and the same command again: the results lie on the machine",
        ) from error
    write_document(document, path)
    return path


def _exit_code(codes: Sequence[int], brought: Brought) -> int:
    """The gravest of all; a cell that was killed or refused is one that failed."""
    known = {code if code in GRAVEST else EXIT_CELLS for code in codes}
    if brought.lost is not None:
        known.add(EXIT_DEVICE)
    if brought.is_interrupted:
        known.add(EXIT_INTERRUPTED)
    elif brought.lost is not None:
        known.discard(EXIT_INTERRUPTED)  # of the cell that the lost connection ended
    return next(code for code in GRAVEST if code in known)
