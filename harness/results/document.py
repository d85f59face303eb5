"""The results document on disk: written atomically, read strictly or refused.

Every refusal is one sentence with the file and a way out: a benchmark that guesses at a damaged
file compares against noise. A document carries a checksum; older ones have none and are read too.
"""

import json
import math
from pathlib import Path
from typing import Any

import msgspec

from harness.core.encoding import utf8_from
from harness.core.errors import ResultFormatError, StorageError
from harness.core.files import write_whole
from harness.results.bounds import read_stored, refuse_endless
from harness.results.checksum import KEY, check_content, checksum_of
from harness.results.environment import Environment
from harness.results.metrics import find_metric
from harness.results.plan import RunPlan
from harness.results.schema import SCHEMA, Document, Json, Record
from harness.results.unknown import gathered, spread
from harness.results.upgrade import upgrade

JOURNAL_LINE = b'{"crc32":"'  # how each line of a journal begins
NEW_FILE_WITH_RECORDS = "measure again, or take the file from where it was first written"
# What every version writes more of; see harness.results.unknown.
OPEN_PARTS: dict[str, type[msgspec.Struct]] = {"environment": Environment, "plan": RunPlan}

OF_SEVERAL = ("sources", "source")  # fields of a document of several runs, and of its records


def write_document(document: Document, path: Path) -> None:
    """Replace `path` by the document, in one step that a crash cannot split.

    Raises:
        StorageError: the disk is full or may not be written; an older file stays as it was.
        ResultFormatError: a value is NaN or infinite; says which.
    """
    content = encode_document(document)
    try:
        write_whole(path, content)
    except OSError as error:
        raise StorageError(
            f"results file {path} cannot be written: {error.strerror}",
            fix="free the disk or give another --results; the journal beside it is kept",
        ) from error


def encode_document(document: Document) -> bytes:
    """The document as ASCII JSON, its checksum first, one record per line, line feed at the end.

    Raises:
        ResultFormatError: a value is NaN or infinite; says which.
    """
    table = plain(document)
    records = table.pop("records")
    lines = ",\n".join(_compact(record) for record in records)
    rest = f'{_compact(table)[1:-1]},"records":[\n{lines}\n]}}\n'
    return f'{{"{KEY}":"{checksum_of("{" + rest)}",{rest}'.encode("ascii")


def plain(value: Any) -> Any:
    """A copy of a typed record or document that any JSON writer takes.

    Text that is no Unicode, such as the name of a folder from another encoding, keeps its bytes
    as visible escapes.

    Raises:
        ResultFormatError: a number is NaN or infinite; says which.
    """
    table = msgspec.to_builtins(value)
    if isinstance(value, Document):
        table = _without_one_run(_spread(table))
        table["records"] = [_without_one_run(record) for record in table["records"]]
        if "sources" in table:
            table["sources"] = [_spread(source) for source in table["sources"]]
    if isinstance(value, Record):
        table = _without_one_run(table)
    return _plain(table, "document")


def _spread(table: Json) -> Json:
    """A table whose open parts have keys of others in their own place."""
    return table | {name: spread(table[name]) for name in OPEN_PARTS}


def _without_one_run(table: Json) -> Json:
    """A table without what only documents of several runs say."""
    return {
        key: value
        for key, value in table.items()
        if key not in OF_SEVERAL or value not in ((), [], None)
    }


def read_document(path: Path) -> Document:
    """Read, upgrade and check one results file.

    Raises:
        StorageError: it cannot be read.
        ResultFormatError: it is damaged, no results file, or newer than this harness.
    """
    try:
        content = read_stored(path)
    except OSError as error:
        raise StorageError(
            f"results file {path} cannot be read: {error.strerror}", fix="check the path"
        ) from error
    try:
        return decode_document(content)
    except ResultFormatError as error:
        raise ResultFormatError(f"results file {path}: {error.problem}", error.fix) from error


def is_document(path: Path) -> bool:
    """Whether a file says that it is a results document, or could be a damaged one.

    Other JSON, such as a table that a study wrote, is none. What is no JSON at all, or cannot be
    read, may have been one: reading it says what is wrong.
    """
    try:
        table = msgspec.json.decode(utf8_from(read_stored(path)))
    except (OSError, ValueError, RecursionError, StorageError):
        return True
    return isinstance(table, dict) and table.get("schema") == SCHEMA


def decode_document(content: bytes) -> Document:
    """Decode the bytes of one results file.

    Raises:
        ResultFormatError: as read_document, without the file's name.
    """
    if not content.strip():
        raise ResultFormatError("it is empty", fix=NEW_FILE_WITH_RECORDS)
    if content.startswith(JOURNAL_LINE):
        raise ResultFormatError(
            "it is a journal, of a run that was interrupted or goes on, or of `bench ab`",
            fix="the results file beside it (.json), the run's command with --resume, or for pairs"
            " `bench report` with this file",
        )
    try:
        content = utf8_from(content)
        table = msgspec.json.decode(content)
        refuse_endless(content, table)
    except (ValueError, RecursionError) as error:
        raise ResultFormatError(
            f"it is no complete JSON document: {error}", fix=NEW_FILE_WITH_RECORDS
        ) from error
    if not isinstance(table, dict) or table.get("schema") != SCHEMA:
        raise ResultFormatError(
            f"it does not say that it is {SCHEMA}", fix="give a file of `bench`"
        )
    newest = upgrade(table)
    if KEY in table:
        check_content(content, table[KEY])
    return _typed(newest)


def with_open_parts(table: Json) -> Json:
    """Return a document's table with records for the parts of it that may say anything."""
    sources = table.get("sources")
    if isinstance(sources, list):
        read = (with_open_parts(one) if isinstance(one, dict) else one for one in sources)
        table = {**table, "sources": list(read)}
    parts: Json = {
        name: gathered(table[name], kind)
        for name, kind in OPEN_PARTS.items()
        if isinstance(table.get(name), dict)
    }
    return table | parts


def _compact(value: Any) -> str:
    """JSON in ASCII: it survives every terminal and pipe, and no terminal acts on it."""
    return json.dumps(value, separators=(",", ":"))


def _typed(table: Json) -> Document:
    """Check an upgraded document field by field and return it as records."""
    try:
        document = msgspec.convert(with_open_parts(table), Document)
    except (ValueError, RecursionError) as error:
        raise ResultFormatError(f"it is damaged: {error}", fix=NEW_FILE_WITH_RECORDS) from error
    for number, record in enumerate(document.records):
        for name, shown in record.metrics.items():
            _refuse_negative(f"records[{number}].metrics.{name}", name, shown.value)
    return document


def _refuse_negative(where: str, name: str, value: float | None) -> None:
    """A rate, a time or a size below 0 was never measured."""
    metric = find_metric(name)
    if value is None or value >= 0 or metric is None:
        return
    if metric.is_ratio and not metric.signed:
        raise ResultFormatError(
            f"it is damaged: {_text(where)} is {value:g}, below 0", fix=NEW_FILE_WITH_RECORDS
        )


def _plain(value: Any, where: str) -> Any:
    """Copy dicts, lists and text; refuse numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {_text(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ResultFormatError(
            f"{_text(where)} is {value}", fix="a value that is not known is null, never NaN"
        )
    return value


def _text(text: Any) -> str:
    """The text, with what no encoding can write as a visible escape."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")
