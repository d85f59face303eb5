"""Stored files held against their checks: documents by their checksum, journals line by line."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import msgspec

from harness.core.encoding import utf8_from
from harness.core.errors import HarnessError, StorageError
from harness.results.document import JOURNAL_LINE, read_document
from harness.results.journal import check_lines
from harness.results.signature import (
    Signature,
    SignatureState,
    judge_if_possible,
    judge_signature,
)

DOCUMENT, JOURNAL = "document", "journal"
MOST_NAMED = 3  # damaged lines of a journal in one sentence; more are counted


class State(StrEnum):
    """What is known of a stored file."""

    OK = "ok"
    NO_CHECKSUM = "no checksum"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Verified:
    """One stored file, and what is known of it.

    Attributes:
        file: as it was named.
        kind: `document`, or `journal` of a run, an A/B test or a search.
        parts: records of a document, sound entries of a journal.
        state: whether it is as it was written; of a journal without its torn last line.
        detail: what is wrong, or worth knowing; None: nothing.
        signature: of a document; None: it has none, and nobody asked for one.
    """

    file: str
    kind: str
    parts: int
    state: State
    detail: str | None = None
    signature: Signature | None = None


def verify_file(path: Path, allowed: Path | None = None) -> Verified:
    """Read a file and hold it against its checks; what cannot be read counts as damaged.

    Args:
        path: of the file.
        allowed: file of allowed signers, by one of whom a document has to be signed; None: a
            signature is checked where there is one, and an ssh-keygen.

    Raises:
        DeviceError: `allowed` needs an ssh-keygen, which is missing or too old.
    """
    found = _content_of(path)
    if found.kind != DOCUMENT:
        return found
    try:
        signature = judge_if_possible(path) if allowed is None else judge_signature(path, allowed)
    except StorageError:  # which the finding says already
        return found
    asked = allowed is not None or signature.state != SignatureState.UNSIGNED
    return replace(found, signature=signature) if asked else found


def _content_of(path: Path) -> Verified:
    """What a file's own checks say."""
    try:
        return _journal(path) if _is_journal(path) else _document(path)
    except HarnessError as error:
        kind = JOURNAL if _is_journal(path) else DOCUMENT
        problem = error.problem.removeprefix(f"results file {path}: ")
        return Verified(str(path), kind, 0, State.DAMAGED, problem)


def _is_journal(path: Path) -> bool:
    """Whether a file is called, or begins, as those that are written line by line."""
    if path.suffix == ".jsonl":
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(JOURNAL_LINE)) == JOURNAL_LINE
    except OSError:
        return False


class _Head(msgspec.Struct):
    """The only part of a document that is asked for here."""

    checksum: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _document(path: Path) -> Verified:
    """A results document.

    Raises:
        HarnessError: as read_document.
    """
    records = len(read_document(path).records)
    head = msgspec.json.decode(utf8_from(path.read_bytes()), type=_Head)
    if head.checksum is msgspec.UNSET:
        detail = "of an older version, or written by hand"
        return Verified(str(path), DOCUMENT, records, State.NO_CHECKSUM, detail)
    return Verified(str(path), DOCUMENT, records, State.OK)


def _journal(path: Path) -> Verified:
    """A file that was written line by line.

    Raises:
        StorageError: it cannot be read.
    """
    found = check_lines(path)
    if found.damaged:
        count = len(found.damaged) - MOST_NAMED
        more = (f"{count} more lines",) if count > 0 else ()
        told = "; ".join((*found.damaged[:MOST_NAMED], *more))
        return Verified(str(path), JOURNAL, found.sound, State.DAMAGED, told)
    torn = found.torn_bytes
    detail = f"its last line was cut short, {torn} bytes of it are there" if torn else None
    return Verified(str(path), JOURNAL, found.sound, State.OK, detail)
