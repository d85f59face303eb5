"""Strict reading of TOML tables into frozen records: one key per field, nothing else."""

import tomllib
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from harness.core.errors import ModelError
from harness.core.names import suggestion

Record = TypeVar("Record")
_WORDS = {int: "integer", float: "number", str: "string", bool: "boolean"}


def read_table(path: Path) -> dict[str, Any]:
    """Return the decoded TOML file.

    Raises:
        ModelError: not readable or not TOML; names the file.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path.name} is not TOML: {error}", fix="compare it with a shipped file"
        ) from error
    except OSError as error:
        raise ModelError(
            f"{path.name} cannot be read: {error.strerror}", fix="check the path and its rights"
        ) from error


def read_record(cls: type[Record], table: dict[str, Any], where: str) -> Record:
    """Turn a TOML table into `cls`, a dataclass; nested records and tuples of them are followed.

    Args:
        cls: its fields are int, float, str, bool, another record, tuples of these, or None.
        table: as tomllib gave it.
        where: file and table, named in every error.

    Raises:
        ModelError: an unknown or missing key, or a value of another type.
    """
    if not is_dataclass(cls):
        raise TypeError(f"{cls!r} is not a dataclass")
    known = {field.name: field for field in fields(cls)}
    for key in table:
        if key not in known:
            raise ModelError(f"{where}: unknown key {key!r}", fix=suggestion(key, known))
    for name, field in known.items():
        if name not in table and field.default is MISSING:
            raise ModelError(
                f"{where}: key {name!r} is missing", fix=f"add {name} = {_word(field.type)}"
            )
    values = {
        key: _value(known[key].type, value, f"{where}: {key}") for key, value in table.items()
    }
    return cls(**values)


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return `value` as `kind`; whole numbers pass as floats, booleans never do."""
    if isinstance(kind, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        return read_record(kind, value, where)
    if get_origin(kind) is tuple and isinstance(value, list):
        return _items(get_args(kind), value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind:
        return value
    name = where.rpartition(": ")[2]
    raise ModelError(f"{where} is {repr(value)[:60]}", fix=f"{name} must be of type {_word(kind)}")


def _items(kinds: tuple[Any, ...], values: list[Any], where: str) -> tuple[Any, ...]:
    """Return a list as a tuple: `(kind, ...)` takes any length, else one value per kind."""
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(values)
    if len(kinds) != len(values):
        raise ModelError(f"{where} has {len(values)} values", fix=f"give {len(kinds)}")
    return tuple(_value(kind, value, where) for kind, value in zip(kinds, values, strict=True))


def _word(kind: Any) -> str:
    """Return what a TOML author calls a type."""
    if isinstance(kind, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is tuple:
        return "list"
    return _WORDS.get(kind, "table")
