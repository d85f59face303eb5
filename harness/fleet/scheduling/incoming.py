"""What workers send: checked, and kept as `bench cell` names it.

A worker may be wrong or lie: nothing of its answer becomes a path or an object before it was held
against the cell that was asked for and the machine that was announced.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import UNSET

from harness.core.errors import HarnessError, StorageError
from harness.fleet.scheduling.jobs import Job
from harness.fleet.scheduling.task import Reply
from harness.machine.process.ending import without_folders
from harness.results.document import read_document
from harness.results.plan import CellMark

RESULT = re.compile(r"result-([0-9a-f]{16})-[0-9a-f]{16}\.json")
MOST_REPLY_BYTES = 2**28
NEW = "incoming-"  # before the name of a result that is not yet checked


class RefusedError(HarnessError):
    """An answer that cannot be kept; the problem is the reason of the row."""


def read_reply(text: str, job: Job) -> Reply:
    """What a worker answered, held against what it was asked.

    Raises:
        RefusedError: it is no answer, or one of another cell or machine.
    """
    if len(text) > MOST_REPLY_BYTES:
        raise RefusedError("its answer is too long", "")
    try:
        reply = msgspec.json.decode(text, type=Reply)
    except (msgspec.DecodeError, ValueError) as error:
        raise RefusedError(f"its answer cannot be read: {str(error)[:120]}", "") from error
    if reply.cell != job.wanted.cell:
        raise RefusedError(f"worker {reply.worker} answered another cell", "")
    if job.machine and reply.machine != job.machine:
        raise RefusedError(
            f"worker {reply.worker} is machine {reply.machine}, and {job.machine} was asked", ""
        )
    return reply


def keep(reply: Reply, out: Path) -> Path:
    """Check a result and write it into the folder under its own name; one that is there stays.

    Args:
        reply: with a result.
        out: folder, which there is.

    Raises:
        RefusedError: it is no result of this cell and machine.
        StorageError: it cannot be written.
    """
    match = RESULT.fullmatch(reply.file or "")
    if match is None or match[1] != reply.cell or reply.result is None:
        raise RefusedError(f"worker {reply.worker} sent no result: {told(reply)}", "")
    path = out / match[0]
    if path.is_file() and _is_whole(path):
        return path
    new = out / f"{NEW}{match[0]}"
    try:
        new.write_text(reply.result, encoding="utf-8")  # not synced: the worker's own copy is
        _check(new, reply)
        new.replace(path)
    except OSError as error:
        raise StorageError(
            f"results cannot be written to {out}: {error.strerror}",
            fix="free the disk, then the same command again: what is there stays",
        ) from error
    finally:
        with suppress(OSError):
            new.unlink()
    return path


def told(reply: Reply) -> str:
    """Why a cell has no result, by the last words of `bench cell`."""
    said = " ".join(without_folders(line) for line in reply.said)
    return said.removeprefix("bench: ") or f"bench cell ended with {reply.exit_code}"


def known_results(out: Path) -> dict[tuple[str, str], Path]:
    """Results that a folder has already, by cell and machine; what cannot be read is none."""
    found = {}
    for path in sorted(out.glob("result-*.json")):
        mark = _mark(path) if RESULT.fullmatch(path.name) else None
        if mark is not None:
            found[mark.hash, mark.machine] = path
    return found


def exit_codes(paths: Iterable[Path]) -> list[int]:
    """How the measurement of each result ended."""
    return [mark.exit_code for path in paths if (mark := _mark(path)) is not None]


def _check(path: Path, reply: Reply) -> None:
    try:
        mark = read_document(path).plan.cell
    except HarnessError as error:
        raise RefusedError(
            f"the result of worker {reply.worker} cannot be read: {error.problem}", ""
        ) from error
    if mark is UNSET or mark.hash != reply.cell:
        raise RefusedError(f"worker {reply.worker} sent the result of another cell", "")
    if mark.machine != reply.machine:
        raise RefusedError(
            f"worker {reply.worker} announced machine {reply.machine}, and its result is of"
            f" {mark.machine}",
            "",
        )


def _is_whole(path: Path) -> bool:
    return _mark(path) is not None


def _mark(path: Path) -> CellMark | None:
    """What a result says of its cell; None: it is damaged, or none."""
    with suppress(HarnessError):
        mark = read_document(path).plan.cell
        return None if mark is UNSET else mark
    return None
