"""The checksum of a results document: over what it says, not over how its bytes lie.

A bit that flips on a disk changes a number more often than it breaks a file. The digest is that of
the canonical form: JSON with sorted keys, no spaces, ASCII, and whole numbers without a fraction,
the checksum itself left out. Another program may indent a document, sort its keys or write it in
UTF-16, and it still is what was written; any other value is not. It tells damage, and no author:
who changes a document can write a checksum too.
"""

import hashlib
import json
import re
from typing import Any

import msgspec

from harness.core.errors import ResultFormatError

KEY = "checksum"
METHOD = "sha256:"  # before the digits, so that another method may follow
MOST_EXACT = 2**53  # whole numbers below it are the same in every reader of JSON


def checksum_of(content: str | bytes) -> str:
    """The checksum that a document has, `sha256:` and 64 digits.

    Args:
        content: the document as JSON, in UTF-8 where it is bytes; a checksum in it is no part.

    Raises:
        ValueError: it is no JSON object.
        RecursionError: it is nested too deep.
    """
    table: Any = json.loads(content, parse_float=_number)
    if not isinstance(table, dict):
        raise ValueError("no object")
    table.pop(KEY, None)
    canonical = json.dumps(table, sort_keys=True, separators=(",", ":")).encode("ascii")
    return METHOD + hashlib.sha256(canonical).hexdigest()


def check_content(content: bytes, stated: object) -> None:
    """Hold a document against the checksum that it states.

    Args:
        content: the document, in UTF-8.
        stated: its checksum.

    Raises:
        ResultFormatError: it says something else than when it was written.
    """
    if _quick_checksum(content) == stated:
        return
    try:
        found = checksum_of(content)
    except (ValueError, RecursionError) as error:
        raise _damaged(f"its checksum cannot be made: {error}") from error
    if found != stated:
        raise _damaged("its content is not that of its checksum")


def _quick_checksum(content: bytes) -> str:
    """The checksum by a faster writer of JSON; empty, or another one, where the two differ."""
    try:
        table = _DECODER.decode(content)
        table.pop(KEY)
        canonical = msgspec.json.encode(table, order="sorted")
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError):
        return ""
    if not canonical.isascii():
        canonical = _NOT_ASCII.sub(_escaped, canonical.decode()).encode("ascii")
    return METHOD + hashlib.sha256(canonical).hexdigest()


def _raw_number(text: str) -> msgspec.Raw:
    """A number with a fraction or exponent as the canonical form writes it.

    Python writes most of them as they stand; where another program did not, the digests differ.
    """
    if "e" in text or "E" in text or text.endswith(".0"):
        text = repr(_number(text))
    return msgspec.Raw(text.encode("ascii"))


def _escaped(sign: re.Match[str]) -> str:
    """A sign as JSON in ASCII has it."""
    return json.dumps(sign[0])[1:-1]


_DECODER = msgspec.json.Decoder(float_hook=_raw_number)
_NOT_ASCII = re.compile("[^ -~]")


def _number(text: str) -> float:
    """A number with a fraction or exponent, whole where it is: other programs write 50.0 as 50."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < MOST_EXACT else value


def _damaged(what: str) -> ResultFormatError:
    return ResultFormatError(
        f"it was damaged or edited after it was written: {what}",
        fix=f"take the file from where it was first written, or measure again; without its"
        f' "{KEY}" it is read as it is, unchecked',
    )
