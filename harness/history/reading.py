"""Results files without their raw samples: thousands are read for an index that holds none of them.

A document that this version wrote, and whose checksum says that it is as it was written, is read
field by field, and what the index has no place for is passed over. Any other one is read as every
command reads it: upgraded, checked, or refused in a sentence.
"""

import hashlib
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from harness.core.encoding import utf8_from
from harness.core.errors import StorageError
from harness.results.bounds import LARGEST, read_stored
from harness.results.checksum import check_content
from harness.results.cut import CutDocument, cut_document
from harness.results.document import decode_document
from harness.results.environment import Environment, MachineFacts
from harness.results.metrics import find_metric
from harness.results.plan import RunPlan
from harness.results.replies import Hardware, Placement
from harness.results.schema import SCHEMA, SCHEMA_VERSION, Cell, Document, Metric, Record, Trust


class _Record(msgspec.Struct, frozen=True):
    """What of a record is kept."""

    cell: Cell
    status: str
    reason: str | None = None
    metrics: dict[str, Metric] = {}
    estimates: dict[str, dict[str, float | None]] = {}
    placement: Placement | None = None
    hardware: Hardware | None = None
    trust: Trust | None = None
    simulated: bool = False


class _Document(msgspec.Struct, frozen=True):
    """What of a document is kept."""

    schema: str
    schema_version: int
    method_version: int
    run_id: str
    created_utc: str
    environment: MachineFacts
    plan: RunPlan
    records: tuple[_Record, ...]
    checksum: str
    sources: tuple[msgspec.Raw, ...] = ()


# Formats of which a document of one run says the same.
AS_NOW = (SCHEMA_VERSION - 1, SCHEMA_VERSION)
_DECODER = msgspec.json.Decoder(_Document)
_MARK = f'"{SCHEMA}"'.encode()
_NUMBERS = tuple(field.name for field in msgspec.structs.fields(Cell) if field.type is int)


def read_content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        StorageError: it cannot be read, or is larger than any run writes.
    """
    try:
        return read_stored(path)
    except OSError as error:
        raise StorageError(
            f"results file {path} cannot be read: {error.strerror}", fix="check the path"
        ) from error


def digest_of(content: bytes) -> str:
    """What tells one file's content from another's."""
    return hashlib.sha256(content).hexdigest()


def decode_outline(content: bytes) -> Document:
    """A results document whose records have everything but samples, quality and explanations.

    Raises:
        ResultFormatError: it is damaged, no results file, or newer than this version.
    """
    try:
        content = utf8_from(content)
        found = _DECODER.decode(content)
        if found.schema != SCHEMA or found.schema_version not in AS_NOW or found.sources:
            return decode_document(content)
        document = _typed(found)
    except (ValueError, RecursionError):  # whatever it is, the strict reader has a sentence for it
        return decode_document(content)
    check_content(content, found.checksum)
    return document


def whole_records(content: bytes) -> CutDocument | None:
    """The whole records of a results file that ends too early; None: it is no such file."""
    try:
        found = cut_document(utf8_from(content))
    except ValueError:
        return None
    return found if found is not None and found.document.records else None


def _typed(found: _Document) -> Document:
    """The same in the records that every package knows.

    Raises:
        ValueError: a value that no document may hold.
    """
    records = tuple(
        Record(**{name: getattr(one, name) for name in _Record.__struct_fields__})
        for one in found.records
    )
    for record in records:
        _refuse_endless(record.cell)
        for name, metric in record.metrics.items():
            _refuse_impossible(name, metric)
    return Document(
        method_version=found.method_version,
        run_id=found.run_id,
        created_utc=found.created_utc,
        environment=Environment(**asdict(found.environment)),
        plan=found.plan,
        records=records,
    )


def _refuse_endless(cell: Cell) -> None:
    """A whole number beyond 64 bits; the strict reader says so."""
    numbers = (value for name in _NUMBERS if (value := getattr(cell, name)) > LARGEST)
    if any(numbers):
        raise ValueError(cell.model)


def _refuse_impossible(name: str, metric: Metric) -> None:
    """A rate, a time or a size below 0 was never measured; the strict reader says so."""
    if metric.value is not None and metric.value < 0:
        row = find_metric(name)
        if row is not None and row.is_ratio and not row.signed:
            raise ValueError(name)


def is_results(content: bytes) -> bool:
    """Whether a file says that it is a results document, whole or not; other JSON is none."""
    try:
        return _MARK in utf8_from(content)
    except ValueError:
        return True  # text that is damaged may have been one: reading it says what is wrong
