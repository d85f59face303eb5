"""A folder of results as a site takes it: every document below it, and what of it cannot be read.

Documents are read one after the other and let go: what is kept of each fits a thousand of them into
memory.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.core.encoding import utf8_from
from harness.core.errors import HarnessError, StorageError, UsageError
from harness.report.site.plan import Loaded, load, unreadable
from harness.report.site.policy import Policy, Refusal
from harness.results.checksum import checksum_of
from harness.results.document import decode_document, is_document
from harness.results.journal import SUFFIX, document_of
from harness.results.merged import is_measured
from harness.results.merged import runs_of as merged_of
from harness.results.schema import Document
from harness.results.signature import (
    Signature,
    SignatureState,
    judge_if_possible,
    judge_signature,
    signature_path,
)

LEFT = "its run was ended before there was a document: bench --resume goes on with it"
LONGEST = 2**29  # bytes; a document of a day of samples has a hundredth


@dataclass(slots=True)
class Read:
    """What was found in a folder.

    Attributes:
        loaded: documents, judged.
        unread: files that are none, or damaged.
        places: file -> where it lies.
    """

    loaded: list[Loaded] = field(default_factory=list)
    unread: list[Refusal] = field(default_factory=list)
    places: dict[str, Path] = field(default_factory=dict)


class _Head(msgspec.Struct):
    """The only part of a document that is read twice."""

    checksum: str = ""


def read_folder(folder: Path, policy: Policy, allowed: Path | None = None) -> Read:
    """Read and judge every results file below a folder.

    Folders whose names begin with a dot, and links to folders, are not entered; other JSON is
    passed over.

    Args:
        folder: of results.
        policy: to judge them by.
        allowed: file of allowed signers; None: a signature is checked for being sound alone.

    Raises:
        UsageError: there is no such folder, or no results file in it.
        StorageError: the folder cannot be read.
        DeviceError: `allowed` needs an ssh-keygen, which is missing or too old.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", fix="the folder of results files")
    read, runs = Read(), dict[str, str]()
    for path in list(_merged_beside(folder, policy, allowed, read, runs)):
        name = path.relative_to(folder).as_posix()
        read.loaded += _read_merged(path, name, policy, allowed, runs)
        read.places[name] = path
    if not read.loaded and not read.unread:
        raise UsageError(
            f"{folder} holds no results file", fix="a folder of files that `bench run` wrote"
        )
    return read


def _merged_beside(
    folder: Path, policy: Policy, allowed: Path | None, read: Read, runs: dict[str, str]
) -> Iterator[Path]:
    """Read every document of one run; yield those that are merged, whose runs may be among them."""
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if path.name.endswith(SUFFIX):
            if not document_of(path).exists():
                read.unread.append(Refusal(name, "whole", LEFT))
            continue
        found = _read(path, name, policy, allowed, runs)
        if isinstance(found, Document):
            yield path
        elif isinstance(found, Refusal):
            read.unread.append(found)
        elif found is not None:
            read.loaded.append(found)
            read.places[name] = path


def _read(
    path: Path, name: str, policy: Policy, allowed: Path | None, runs: dict[str, str]
) -> Loaded | Refusal | Document | None:
    """One file, judged; None: it is other JSON. A merged document is not judged, but given back."""
    try:
        content = _content(path)
    except StorageError as error:
        return unreadable(name, error.problem)
    try:
        document = decode_document(content)
    except HarnessError as error:
        return unreadable(name, error.problem) if is_document(path) else None
    if document.sources:
        return document
    found = load(
        document,
        name,
        policy,
        checksum=_checksum(content),
        signature=_signature(path, allowed),
        twin=runs.get(document.run_id, ""),
    )
    if found.rows:  # a copy that is refused, for its signature say, takes the place of none
        runs[document.run_id] = name
    return found


def _read_merged(
    path: Path, name: str, policy: Policy, allowed: Path | None, runs: dict[str, str]
) -> Iterator[Loaded]:
    """Yield the runs of a merged document that no other file holds, judged."""
    content = _content(path)
    checksum, signature = _checksum(content), _signature(path, allowed)
    for run in filter(is_measured, merged_of(decode_document(content))):
        if run.run_id not in runs:
            found = load(run, name, policy, checksum=checksum, signature=signature)
            if found.rows:
                runs[run.run_id] = name
            yield found


def _content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        StorageError: it is no plain file, cannot be read, or is larger than any document.
    """
    if not path.is_file():
        raise StorageError("no regular file: it is not read", fix="remove it")
    try:
        if path.stat().st_size > LONGEST:
            raise StorageError("larger than any document", fix="remove it")
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"it cannot be read: {error.strerror}", fix="its rights") from error


def _checksum(content: bytes) -> str:
    """What a document states, which was held against it; else what it would state."""
    plain = utf8_from(content)
    return msgspec.json.decode(plain, type=_Head).checksum or checksum_of(plain)


def _signature(path: Path, allowed: Path | None) -> Signature | None:
    """What is known of the signature of a document; None: it has none, and nobody asked."""
    if allowed is not None:
        return judge_signature(path, allowed)
    found = judge_if_possible(path) if signature_path(path).exists() else None
    return None if found is None or found.state == SignatureState.UNSIGNED else found


def _files(folder: Path) -> Iterator[Path]:
    """Yield what may be a results file, in the order of names.

    Raises:
        StorageError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise StorageError(
            f"{error.filename} cannot be read: {error.strerror}",
            fix="check the rights of the folder",
        ) from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith((".json", SUFFIX)) and not name.startswith("."):
                yield Path(place) / name
