"""A cell file: one session group of a plan, as a small JSON file that any queue can carry.

It holds names and numbers, never code and never a path: a model is a name of the catalog, a commit
of the hub, or the hash of files that lie in a folder of the worker's own choice. Its name is the
hash of its content, so that a cell that is delivered twice is the same cell. Reading one refuses
whatever `bench plan --cells` would not have written.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from harness.core.errors import StorageError, UsageError, suggestion
from harness.core.files import write_whole
from harness.core.version import installed_version
from harness.devices.choose import AUTO
from harness.models.weights.source import is_catalog_name
from harness.results.schema import METHOD_VERSION, Cell
from harness.runner.settings import PART_KEYS, Settings
from harness.runner.settings.flags import PLAN_KEYS, plan_values
from harness.runner.settings.write import PAIRED
from harness.store.hub import is_commit, parse_hub_name

FORMAT, VERSION = "bench.cell", 1
MOST_BYTES = 2**20  # a cell has about 2 kB
HASH_DIGITS = 16
CATALOG, HUB, CONTENT = SOURCES = ("catalog", "hub", "sha256")
RUNTIMES = ("ort", "genai", "llama.cpp")  # what runs here: a cell makes no worker call a server
AXES = ("quant", "kv_cache", "device", "runtime", "prepack", "threads", "batch", "capacity")
# Keys of a plan that name files -> the words of them that a cell may have.
NAMED = {"text": ("english", "korean"), "tasks": ("builtin",)}
USUAL = Settings()
NAME = re.compile(r"cell-([0-9a-f]{16})\.json")
PLAIN = re.compile(r"[\w+.@ -]{1,200}")  # the last component of a path
OPTION = re.compile(r"[\w.]{1,80}=[\w;,-]{0,80}(\.\d+)?")  # no path, and no name of a library
PLACES = re.compile(r"path|file|dir|folder|lib|package|config|plugin", re.IGNORECASE)
ON_MACHINE = "`bench run` on the machine itself takes others"
AGAIN = "write the cells again: bench plan --cells DIR"


class ModelRef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model a cell measures, so that every worker finds the same one.

    Attributes:
        source: `catalog`: a name that ships; `hub`: `hf:org/name@commit`; `sha256`: files.
        name: in the catalog or on the hub; of files the last component of their path.
        sha256: of files: see harness.fleet.model_files.
        size_bytes: of all files together.
        inside: the file of the folder that is the model, with `/`; empty: the folder, or the file.
    """

    source: str
    name: str
    sha256: str = ""
    size_bytes: int = 0
    inside: str = ""


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cell file says besides its format and its hash."""

    bench: str
    method_version: int
    model: ModelRef
    plan: dict[str, Any]
    part: tuple[dict[str, Any], ...] = ()
    given: tuple[str, ...] = ()
    rows: tuple[Cell, ...]


@dataclass(frozen=True)
class CellFile:
    """One session group of a plan, and everything that its results depend on.

    Attributes:
        model: that it measures.
        settings: the plan of this group alone; its `model` is the name of `model`.
        rows: that it gives: `threads` is 0 where the machine decides, `provider` empty where the
            device is a class.
        bench: version of the one that planned it.
        method_version: METHOD_VERSION likewise.
    """

    model: ModelRef
    settings: Settings
    rows: tuple[Cell, ...]
    bench: str
    method_version: int = METHOD_VERSION

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits over its content."""
        return _hash_of(self._table)

    @property
    def file_name(self) -> str:
        """`cell-1a2b3c4d5e6f7a8b.json`."""
        return f"cell-{self.hash}.json"

    @property
    def device(self) -> str:
        """The device word of the plan: a row, or a class that each worker chooses a row of."""
        return self.settings.device[0]

    @cached_property
    def _table(self) -> dict[str, Any]:
        parts = [_plan_table(part, PART_KEYS) for part in self.settings.part]
        table = {
            "format": FORMAT,
            "version": VERSION,
            "bench": self.bench,
            "method_version": self.method_version,
            "model": msgspec.to_builtins(self.model),
            "plan": _plan_table(self.settings, PLAN_KEYS),
            "given": list(self.settings.given),
            "rows": msgspec.to_builtins(self.rows),
        }
        return {**table, "part": parts} if parts else table

    def encoded(self) -> bytes:
        """The file: the same bytes for the same cell."""
        return f"{_canonical({**self._table, 'hash': self.hash})}\n".encode("ascii")

    def settings_for(self, word: str) -> Settings:
        """The plan with the model as this machine finds it.

        Args:
            word: that `harness.runner.models.find_model` takes.
        """
        part = tuple(replace(one, model=(word,)) for one in self.settings.part)
        return replace(self.settings, model=(word,), part=part)


def write_cells(cells: Iterable[CellFile], folder: Path) -> list[Path]:
    """Write each cell under its own name; one that lies there is the same and stays.

    Raises:
        StorageError: the folder cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for cell in cells:
            path = folder / cell.file_name
            content = cell.encoded()
            if not path.is_file() or path.read_bytes() != content:
                write_whole(path, content)
            written.append(path)
    except OSError as error:
        raise StorageError(
            f"cells cannot be written to {folder}: {error.strerror}",
            fix="free the disk, or give another --cells",
        ) from error
    return written


def read_cell(path: Path) -> CellFile:
    """Read and check a cell file.

    Raises:
        StorageError: it cannot be read.
        UsageError: it is no cell, not as it was written, of another version, or asks for what a
            cell may not have; says which.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise StorageError(f"cell {path} cannot be read: {error.strerror}", "check the path") from (
            error
        )
    try:
        cell = parse_cell(content)
    except UsageError as error:
        raise UsageError(f"cell {path.name}: {error.problem}", error.fix) from error
    stated = NAME.fullmatch(path.name)
    if stated is not None and stated[1] != cell.hash:
        raise UsageError(
            f"cell {path.name}: its content is that of {cell.file_name}", fix="give it its own name"
        )
    return cell


def read_cells(folder: Path) -> tuple[CellFile, ...]:
    """Read every cell file of a folder, in the order of their names.

    Raises:
        UsageError: the folder holds none, or as read_cell.
    """
    paths = cell_paths(folder)
    if not paths:
        raise UsageError(f"{folder} holds no cells", fix="bench plan --cells DIR writes them")
    return tuple(read_cell(path) for path in paths)


def cell_paths(folder: Path) -> list[Path]:
    """The files of a folder that are called as cells are, in the order of their names."""
    return sorted(path for path in folder.glob("cell-*.json") if NAME.fullmatch(path.name))


def parse_cell(content: bytes) -> CellFile:
    """Check the bytes of a cell file.

    Raises:
        UsageError: as read_cell, without the file's name.
    """
    if len(content) > MOST_BYTES:
        raise UsageError(f"it has more than {MOST_BYTES:,} bytes", fix=AGAIN)
    try:
        table = msgspec.json.decode(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"it is no JSON: {str(error)[:120]}", fix=AGAIN) from error
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise UsageError(f"it does not say that it is {FORMAT}", fix=AGAIN)
    if table.get("version") != VERSION:
        raise UsageError(
            f"its format is {table.get('version')!r}, and {VERSION} is read here",
            fix="the same version of `bench` on every machine",
        )
    rest = {key: value for key, value in table.items() if key != "hash"}
    if table.get("hash") != _hash_of(rest):
        raise UsageError("its hash is not that of its content", fix=f"copy it again, or {AGAIN}")
    cell = _checked(_typed(rest))
    if cell.hash != table["hash"]:  # what a reader passes over would change the meaning unseen
        raise UsageError("it is not as it would be written", fix=AGAIN)
    return cell


def check_versions(cell: CellFile) -> None:
    """Refuse a cell that another bench has planned: its rows would mean something else.

    Raises:
        UsageError: with both versions.
    """
    ours = installed_version()
    if (cell.bench, cell.method_version) != (ours, METHOD_VERSION):
        raise UsageError(
            f"cell {cell.file_name} was planned by bench {cell.bench} (method"
            f" {cell.method_version}), and this is {ours} (method {METHOD_VERSION})",
            fix=f"pip install ondevice-bench=={cell.bench} here, or {AGAIN}",
        )


def _typed(rest: dict[str, Any]) -> _Content:
    table = {key: value for key, value in rest.items() if key not in ("format", "version")}
    try:
        return msgspec.convert(table, _Content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"it is damaged: {error}", fix=AGAIN) from error


def _checked(content: _Content) -> CellFile:
    """The cell that a file's content describes."""
    check_model(content.model)
    unknown = [key for key in content.given if key not in (*PLAN_KEYS, "plan", "like")]
    if unknown:
        raise UsageError(f"given {unknown[0]!r} is no key", fix=suggestion(unknown[0], PLAN_KEYS))
    settings = replace(
        _settings(content.plan, PLAN_KEYS, Settings()),
        model=(content.model.name,),
        given=content.given,
    )
    parts = tuple(_settings(part, PART_KEYS, settings) for part in content.part)
    settings = replace(settings, part=parts)
    check_single(settings)
    check_words(settings)
    return CellFile(content.model, settings, content.rows, content.bench, content.method_version)


def _settings(table: Mapping[str, Any], allowed: tuple[str, ...], base: Settings) -> Settings:
    """Settings that a plan table says over others; an empty list is one."""
    keys = tuple(key for key in allowed if key != "model")
    lists = [key for key in keys if isinstance(getattr(USUAL, key), tuple) or key == "enc"]
    empty: dict[str, Any] = {key: () for key in lists if table.get(key) == []}
    said = {key: value for key, value in table.items() if key not in empty}
    if unknown := [key for key in table if key not in keys]:
        raise UsageError(f"unknown key {unknown[0]!r}", fix=suggestion(unknown[0], keys))
    return replace(base, **plan_values(said, keys, "its plan"), **empty)


def check_model(model: ModelRef) -> None:
    """Refuse a model that is said by a path, or by something else that is no name.

    Raises:
        UsageError: says what of it.
    """
    if model.source not in SOURCES:
        raise UsageError(
            f"its model comes from {model.source!r}", fix=f"one of {', '.join(SOURCES)}"
        )
    if model.source == HUB:
        if is_commit(parse_hub_name(model.name).revision):
            return
        raise UsageError(f"its model {model.name!r} names no commit", fix="hf:org/name@commit")
    inner = model.inside.split("/") if model.inside else []
    if not all(PLAIN.fullmatch(part) and part.strip(".") for part in (model.name, *inner)):
        raise UsageError(
            f"its model {model.name[:80]!r}{' ' * bool(inner)}{model.inside[:80]} is no plain name",
            fix="a name of `bench models`, or plan again with the folder: it is found by its hash",
        )
    if model.source == CATALOG:
        if not is_catalog_name(model.name):
            raise UsageError(f"its model {model.name!r} is not in the catalog", fix="bench models")
    elif re.fullmatch(r"[0-9a-f]{64}", model.sha256) is None:
        raise UsageError(f"its model {model.name!r} has no SHA-256 of 64 digits", fix=AGAIN)


def check_single(settings: Settings) -> None:
    """Refuse a plan that is more than one cell.

    Raises:
        UsageError: says which key has several values, or none.
    """
    for part in settings.parts:
        for key in AXES:
            if len(getattr(part, key)) != 1:
                raise UsageError(f"its {key} has {len(getattr(part, key))} values", fix="one")


def check_words(settings: Settings) -> None:
    """Refuse what a cell may not have: files, servers, `auto`, options that name a place.

    Raises:
        UsageError: says which key and value.
    """
    for part in settings.parts:
        for word in part.runtime:
            _refuse(word, word not in RUNTIMES, "runtime", f"{', '.join(RUNTIMES)}; {ON_MACHINE}")
        for word in part.device:
            _refuse(word, word.partition(":")[0] == AUTO, "device", "cpu, gpu or npu")
    for key, words in NAMED.items():
        value = getattr(settings, key) or words[0]
        _refuse(value, value not in words, key, f"{' or '.join(words)}; {ON_MACHINE}")
    reference = settings.reference
    if reference is not None:
        _refuse(reference, not is_catalog_name(reference), "reference", "a name of `bench models`")
    for option in (*settings.ep_option, *settings.session_option):
        names_place = OPTION.fullmatch(option) is None or PLACES.search(option.partition("=")[0])
        _refuse(option, bool(names_place), "option", f"one that names no file; {ON_MACHINE}")


def _refuse(word: str, is_refused: bool, what: str, fix: str) -> None:
    if is_refused:
        raise UsageError(f"{what} {word[:80]!r} is nothing that a cell may have", fix=fix)


def _plan_table(settings: Settings, keys: tuple[str, ...]) -> dict[str, Any]:
    """Settings as a plan file says them, each key with its value; what is not set is left out."""
    named = {key: getattr(settings, key) for key in keys if key != "model"}
    return {key: _plain(key, value) for key, value in named.items() if value is not None}


def _plain(key: str, value: Any) -> Any:
    """A value of Settings as JSON, as the reader of its key takes it."""
    if key in PAIRED:
        return [f"{first}{PAIRED[key]}{second!r}" for first, second in value]
    return msgspec.to_builtins(value)


def _hash_of(table: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(table).encode("ascii")).hexdigest()[:HASH_DIGITS]


def _canonical(table: Mapping[str, Any]) -> str:
    """JSON in ASCII, keys in order, no spaces."""
    return json.dumps(table, sort_keys=True, separators=(",", ":"), allow_nan=False)
