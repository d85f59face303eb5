"""A results file that was cut in the middle, as by a full disk or a broken copy: its whole records.

A document is written with its records last, one a line, so that everything before the cut can be
read. Its checksum is of the whole and says nothing of a part: who reads one says that it is one.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.core.encoding import utf8_from
from harness.core.errors import ResultFormatError, StorageError
from harness.results.bounds import read_stored
from harness.results.checksum import KEY
from harness.results.document import decode_document
from harness.results.schema import Document

RECORDS = b'"records":[\n'
# The cell that a record begins with, of a record that may end anywhere behind it.
CELL = re.compile(rb'\{"cell":(\{[^{}]*\})')


@dataclass(frozen=True, slots=True)
class CutDocument:
    """What is left of a results file.

    Attributes:
        document: the run with its whole records.
        told: a sentence: how many there are, and where the file ends.
    """

    document: Document
    told: str


def read_cut(path: Path) -> CutDocument | None:
    """Read the whole records of a file that ends too early; None: it is no such file.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        content = utf8_from(read_stored(path))
    except OSError as error:
        raise StorageError(
            f"results file {path} cannot be read: {error.strerror}", fix="check the path"
        ) from error
    except ValueError:
        return None
    return cut_document(content)


def cut_document(content: bytes) -> CutDocument | None:
    """The whole records of a results file's bytes; None: they are no document that was cut."""
    head, mark, rest = content.partition(RECORDS)
    if not mark:
        return None
    *lines, last = rest.split(b"\n")
    if last == b"" and lines[-1:] == [b"]}"]:
        return None  # it has its end: something else is wrong with it
    whole = [line.removesuffix(b",") for line in lines]
    try:
        table: dict[str, Any] = msgspec.json.decode(head + RECORDS + b",\n".join(whole) + b"]}")
        table.pop(KEY, None)
        document = decode_document(msgspec.json.encode(table))
    except (ValueError, RecursionError, ResultFormatError, AttributeError):
        return None
    count = len(document.records)
    records = f"{count} whole record{'' if count == 1 else 's'}"
    lost = _lost(last) + _without_any(document)
    return CutDocument(document, f"it is cut in the middle: {records} used{lost}")


def _without_any(document: Document) -> str:
    """Which models and levels of the plan, by their names in it, no whole record is of."""
    lost = []
    for key, field in (("model", "model"), ("quant", "level")):
        kept = {getattr(record.cell, field) for record in document.records}
        asked = getattr(document.plan, key) or ()
        if kept & set(asked):  # else the plan has other words for them, such as a path or `sweep`
            lost += [name for name in asked if name not in kept]
    return f"; without any: {', '.join(lost)}" if lost else ""


def _lost(line: bytes) -> str:
    """Of which record the last line holds a part, and that others may have followed."""
    found = CELL.match(line)
    if found is None:
        return "; what followed is not known"
    try:
        cell = msgspec.json.decode(found[1])
        name = " ".join(str(cell[key]) for key in ("model", "level", "workload"))
    except (ValueError, KeyError):
        return "; what followed is not known"
    return f"; it ends within {name}, and what followed is not known"
