"""The header of a safetensors file: what it says of its tensors, held against the file's size.

A length of 8 bytes, as much JSON, then the tensors one behind the other to the end of the file. It
is read without numpy and before anything that takes as long as the file is large: one of 2 TiB with
nothing in it is refused at once.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import ModelError
from harness.core.units import MIB

LENGTH_BYTES = 8
# Assumes: no file has more than 100,000 tensors, of which a header says 150 bytes each. Its reader
# would take 100 MB, which Python's JSON makes a gigabyte of.
HEADER_LIMIT_BYTES = 16 * MIB


def read_header(path: Path) -> dict[str, Any]:
    """Return what a safetensors file says of each tensor, by name.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file; says why.
    """
    return _read(path)[0]


def check_layout(path: Path, model: str) -> None:
    """Refuse a safetensors file whose tensors are not exactly what follows its header.

    Args:
        path: of the file.
        model: what errors call its folder.

    Raises:
        ModelError: says what does not fit.
    """
    try:
        header, data_bytes = _read(path)
        at = 0
        for first, last in sorted(_spans(header)):
            if first != at or last < first:
                raise ValueError(
                    f"a tensor lies from {first} to {last}, the one before ends at {at}"
                )
            at = last
        if at != data_bytes:
            raise ValueError(f"its tensors are {at:,} bytes, {data_bytes:,} follow its header")
    except OSError as error:
        raise ModelError(
            f"{model}/{path.name} cannot be read: {error.strerror}",
            fix="check the file and its rights",
        ) from error
    except ValueError as error:
        raise ModelError(
            f"{model}/{path.name} is no whole safetensors file: {error}",
            fix="download the file again",
        ) from error


def _read(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header, and how many bytes follow it."""
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if length > HEADER_LIMIT_BYTES or LENGTH_BYTES + length > size_bytes:
            raise ValueError(f"a header of {length:,} bytes in a file of {size_bytes:,}")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("its header is no JSON") from error
    if not isinstance(header, dict):
        raise ValueError("its header is no table of tensors")
    return header, size_bytes - LENGTH_BYTES - length


def _spans(header: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield where each tensor begins and ends, bytes behind the header."""
    for name, said in header.items():
        if name == "__metadata__":
            continue
        span = said.get("data_offsets") if isinstance(said, dict) else None
        if not isinstance(span, list) or [type(end) for end in span] != [int, int]:
            raise ValueError(f"it does not say where {name[:80]!r} lies")
        yield span[0], span[1]
