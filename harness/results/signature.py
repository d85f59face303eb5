r"""The signature of a results document: an ssh signature of its checksum, in a file beside it.

Detached, because a document stays as it was written: it can be signed later, again and by another
key, and no reader has to know of signatures. Of its checksum, because that is of what a document
says and not of how its bytes lie: one that was indented or had its line ends changed is signed as
before, one in which any value differs is not. By hand it is checked with:

    jq -r .checksum run.json | ssh-keygen -Y verify -f allowed_signers -I ann@example.org \\
        -n ondevice-bench -s run.json.sig
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.core.encoding import utf8_from
from harness.core.errors import DeviceError, ResultFormatError, StorageError
from harness.core.files import write_whole
from harness.core.ssh_keygen import END, Signer, check_signature, find_signer, sign_texts
from harness.results.bounds import read_stored
from harness.results.checksum import checksum_of
from harness.results.document import read_document

NAMESPACE = "ondevice-bench"  # a signature of a document is none of a mail, a commit or a login
SUFFIX = ".sig"
MOST_BYTES = 65_536  # a signature by a certificate of a large RSA key takes less than 8 KiB
# The line after a signature, no part of it: what was signed, so that a changed document is told
# from a damaged signature. Who writes another one there changes the words of a refusal, no more.
NOTE = "signed "
EARLIEST_YEAR, LATEST_YEAR = 1971, 2999  # what the clocks of all systems can say


class SignatureState(StrEnum):
    """What is known of a document's signature."""

    SIGNED = "signed"
    UNKNOWN_SIGNER = "signed, signer not checked"
    UNSIGNED = "unsigned"
    NOT_CHECKED = "signature not checked"
    NOT_ALLOWED = "signer not allowed"
    CHANGED = "changed after signing"
    BAD = "bad signature"


# A document with one of these is not what somebody signed.
BROKEN = frozenset({SignatureState.CHANGED, SignatureState.BAD})


@dataclass(frozen=True, slots=True)
class Signature:
    """What is known of a document's signature.

    Attributes:
        state: the finding.
        signer: a principal of the allowed signers where it is `signed`; else the kind and
            fingerprint of the key; empty where neither is known.
        detail: why it is not `signed`; empty: the state says it.
    """

    state: SignatureState
    signer: str = ""
    detail: str = ""


def signature_path(path: Path) -> Path:
    """Where the signature of a document lies."""
    return path.with_name(path.name + SUFFIX)


def signed_text(content: bytes) -> bytes:
    """What is signed of a document: its checksum and a line feed.

    Args:
        content: of the document, in any encoding of Unicode.

    Raises:
        ValueError: it is no JSON object, or has a key twice, of which readers take either.
        RecursionError: it is nested too deep.
    """
    content = utf8_from(content)
    json.loads(content, object_pairs_hook=_without_doubles)
    return f"{checksum_of(content)}\n".encode("ascii")


def sign_documents(paths: Sequence[Path], key: Path, asks: bool) -> None:
    """Write a signature beside every document; an older one is replaced.

    Args:
        paths: documents; none is signed unless all are as they were written.
        key: see sign_texts.
        asks: likewise.

    Raises:
        ResultFormatError: one of them is damaged, or no results document.
        StorageError: a file cannot be read or written.
        UsageError: the key cannot be used.
        DeviceError: ssh-keygen is missing or too old.
    """
    texts = [_text_of(path) for path in paths]
    for path, text, armoured in zip(
        paths, texts, sign_texts(texts, key, NAMESPACE, asks), strict=True
    ):
        try:
            write_whole(signature_path(path), armoured + NOTE.encode() + text)
        except OSError as error:
            raise StorageError(
                f"{signature_path(path)} cannot be written: {error.strerror}",
                fix="free the disk, or copy the documents to where you may write",
            ) from error


def judge_signature(path: Path, allowed: Path | None) -> Signature:
    """What is known of a document's signature.

    Args:
        path: of the document, whose bytes are compared as they are now.
        allowed: file of allowed signers; None: any key is taken, and shown.

    Raises:
        DeviceError: ssh-keygen is needed, and missing or too old.
        StorageError: the document cannot be read.
    """
    beside = signature_path(path)
    if not beside.exists():
        return Signature(SignatureState.UNSIGNED)
    try:
        armoured, stated = _parts(beside)
        content = _read(path)
    except ValueError as error:
        return Signature(SignatureState.BAD, detail=f"{beside.name}: {error}")
    try:
        text = signed_text(content)
    except (ValueError, RecursionError) as error:
        return Signature(SignatureState.CHANGED, detail=f"no whole document: {error}")
    return _judged(armoured, stated, text, allowed, _began(content))


def judge_if_possible(path: Path) -> Signature:
    """As judge_signature for any key; without a fitting ssh-keygen nothing is checked.

    Raises:
        StorageError: the document cannot be read.
    """
    try:
        return judge_signature(path, None)
    except DeviceError as error:
        return Signature(SignatureState.NOT_CHECKED, detail=error.problem)


def _judged(
    armoured: bytes, stated: bytes, text: bytes, allowed: Path | None, began: datetime | None
) -> Signature:
    """Hold a signature against what a document says now."""
    who = Signer()
    if allowed is not None:
        who = find_signer(armoured, text, NAMESPACE, allowed, began)
        if who.name:
            return Signature(SignatureState.SIGNED, who.name)
    found = check_signature(armoured, text, NAMESPACE)
    if found.is_good and allowed is None:
        return Signature(SignatureState.UNKNOWN_SIGNER, found.key)
    if found.is_good:
        why = who.said or "no line has this key for this purpose"
        return Signature(SignatureState.NOT_ALLOWED, found.key, f"allowed signers: {why}")
    if stated and stated != text:
        return Signature(SignatureState.CHANGED, detail="its content is not what was signed")
    return Signature(SignatureState.BAD, detail=found.said)


def _text_of(path: Path) -> bytes:
    """What is signed of a file, once it is known to be a sound document.

    Raises:
        HarnessError: it is none.
    """
    if path.suffix == ".jsonl":
        raise ResultFormatError(
            f"{path} is no results document, which alone is signed", fix="a file run-....json"
        )
    read_document(path)
    try:
        return signed_text(_read(path))
    except (ValueError, RecursionError) as error:
        raise ResultFormatError(
            f"results file {path} cannot be signed: {error}", fix="measure again"
        ) from error


def _parts(path: Path) -> tuple[bytes, bytes]:
    """A signature, and what its note says was signed.

    Raises:
        ValueError: it is no file, cannot be read, or is larger than signatures are.
    """
    if not path.is_file():
        raise ValueError("it is no file")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise ValueError("it is larger than any signature")
    armoured, _, rest = content.partition(END)
    _, _, stated = rest.partition(NOTE.encode())
    return armoured + END, stated.strip() + b"\n" if stated.strip() else b""


def _read(path: Path) -> bytes:
    """The bytes of a document.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return read_stored(path)
    except OSError as error:
        raise StorageError(
            f"results file {path} cannot be read: {error.strerror}", fix="check the path"
        ) from error


def _began(content: bytes) -> datetime | None:
    """When a run began, as its document says: for that time its signer had to be allowed."""
    try:
        when = datetime.fromisoformat(json.loads(utf8_from(content))["created_utc"])
    except (ValueError, TypeError, KeyError):
        return None
    if not EARLIEST_YEAR <= when.year <= LATEST_YEAR:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON.

    Raises:
        ValueError: a key stands in it twice.
    """
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands in one object twice")
    return table
