"""Bounds of stored files: of their size, and of their whole numbers.

None is longer than 64 bits, which all that counts them can hold.

JSON has no limit, and a number of 400 digits fails in the first division, far from its file.
"""

import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import StorageError
from harness.core.units import GIB

LARGEST = 2**63 - 1
MOST_FILE_BYTES = GIB  # a run of 1,000 cells writes 20 MB
# That a number may be longer; digits behind a point, and those inside a text, are looked at again.
MAY_BE_LONGER = re.compile(rb"(?<![\d.])\d{19,}")


def read_stored(path: Path) -> bytes:
    """Read a stored file whole, unless it is larger than what runs write.

    One that ends in `.xz` is given as it was before it was compressed.

    Raises:
        OSError: it cannot be read.
        StorageError: it is larger, and nothing of it was read; or its compression is damaged.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MOST_FILE_BYTES:
        raise StorageError(
            f"{path} has {size_bytes / GIB:,.1f} GiB, and no run writes more than "
            f"{MOST_FILE_BYTES / GIB:g} GiB",
            fix="a file that `bench` wrote",
        )
    return path.read_bytes() if path.suffix != ".xz" else _unpacked(path)


def _unpacked(path: Path) -> bytes:
    """Return what a compressed file holds, unless that is larger than what runs write."""
    opener = lzma.LZMADecompressor()
    try:
        content = opener.decompress(path.read_bytes(), MOST_FILE_BYTES)
    except lzma.LZMAError as error:
        raise StorageError(
            f"{path} cannot be unpacked: {error}", fix="fetch it again, whole"
        ) from None
    if not opener.eof:
        raise StorageError(
            f"{path} is cut, or holds more than {MOST_FILE_BYTES / GIB:g} GiB",
            fix="a file that `bench` wrote",
        )
    return content


def refuse_endless(content: bytes, value: Any) -> None:
    """Refuse a whole number beyond 64 bits.

    Args:
        content: JSON.
        value: what it decodes to.

    Raises:
        ValueError: there is one.
        RecursionError: it is nested too deep.
    """
    if MAY_BE_LONGER.search(content) is None:
        return
    found = next(_beyond(value), None)
    if found is not None:
        raise ValueError(f"it holds a whole number of {found.bit_length()} bits, and 64 are most")


def _beyond(value: Any) -> Iterator[int]:
    """Yield the whole numbers that are too long."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _beyond(item)
    elif isinstance(value, int) and abs(value) > LARGEST:
        yield value
