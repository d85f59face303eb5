"""Files of users, of others and of the package as typed values: where they lie and what they say.

msgspec decides what a file holds; the sentences for what it should have held are here. Data that
ships with the package lies inside the wheel, or beside it in a checkout.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from harness.core.encoding import read_json_file, read_text
from harness.core.errors import HarnessError, ModelError, StorageError, suggestion

KINDS = ("models", "configs")
MOST_TOML_BYTES = 1_000_000  # of a plan, a spec or a catalog; the largest that ships has 27 kB
_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder(kind: str, package: Path = _PACKAGE) -> Path:
    """Return the folder of one kind of shipped data.

    Args:
        kind: `models` (one architecture per TOML file, trained models) or `configs` (plans).
        package: folder of the import package; a test passes its own.

    Returns:
        `harness/_data/<kind>` where the wheel put it, else the checkout's top-level `<kind>`.

    Raises:
        ValueError: `kind` is not a kind of shipped data: a mistake of the caller.
        StorageError: neither folder exists: the installation is damaged.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not one of {KINDS}")
    for folder in (package / "_data" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise StorageError(
        f"the installed package has lost its data folder {kind!r}",
        fix="install it again: pip install --force-reinstall ondevice-bench",
    )


Value = TypeVar("Value")
TOML_WORDS = {
    "int": "integer",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "object": "table",
    "array": "list",
}
JSON_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a string",
    tuple[str, ...]: "a list of strings",
    tuple[float, ...]: "a list of numbers",
}
_KINDS: dict[type, str] = {
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.DataclassType: "table",
}
SHOWN_CHARACTERS = 60  # of a wrong value
LARGEST_WHOLE = 2**63 - 1  # JSON has no limit, and what counts with a number has
_EXPECTED = re.compile(r"Expected `(\w+)[^`]*`(?: of length (\d+), got (\d+))?")
_PLACE = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


def read_table(
    path: Path, called: str | None = None, error_type: type[HarnessError] = ModelError
) -> dict[str, Any]:
    """Return the decoded TOML file.

    Args:
        path: of the file.
        called: what it is called in an error; None: by its name.
        error_type: of those errors.

    Raises:
        HarnessError: of `error_type`: it cannot be read, is not TOML, or is larger than any.
    """
    called = called or path.name
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MOST_TOML_BYTES:
            raise error_type(
                f"{called} has {size_bytes:,} bytes, and {MOST_TOML_BYTES:,} are most",
                fix="compare it with a shipped file in configs/",
            )
        table: dict[str, Any] = msgspec.toml.decode(read_text(path))
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError is a ValueError
        raise error_type(
            f"{called} is not TOML: {error}", fix="compare it with a shipped file in configs/"
        ) from error
    except OSError as error:
        raise error_type(
            f"{called} cannot be read: {error.strerror}", fix="check the path and its rights"
        ) from error
    return table


def read_json(path: Path, where: str, fix: str = "download the file again") -> Any:
    """Return the decoded JSON file.

    Args:
        path: of the file.
        where: what it is called in an error.
        fix: what to do about one that is no JSON.

    Raises:
        ModelError: it cannot be read, or is not JSON.
    """
    try:
        return read_json_file(path)
    except OSError as error:
        raise ModelError(
            f"{where} cannot be read: {error.strerror}", fix="check the file and its rights"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where} is not JSON: {str(error)[:120]}", fix=fix) from error


def read_record(cls: type[Value], table: dict[str, Any], where: str) -> Value:
    """Turn a TOML table into `cls`, a dataclass; nested records and tuples of them are followed.

    Args:
        cls: its fields are int, float, str, bool, another record, tuples of these, or None.
        table: as TOML gave it.
        where: file and table, named in every error.

    Raises:
        ModelError: an unknown or missing key, or a value of another type.
    """
    _check_keys(_type_info(cls), table, where)  # type: ignore[arg-type]  # a class has a hash
    try:
        return msgspec.convert(table, cls, strict=True)
    except msgspec.ValidationError as error:
        raise _wrong_value(str(error), table, where) from error


@cache
def _type_info(cls: type) -> inspect.Type:
    """What a record holds; asked once of each, since a catalog is hundreds of one."""
    return inspect.type_info(cls)


def _check_keys(kind: inspect.Type, value: Any, where: str) -> None:
    """Refuse keys that a record does not have, and miss those that it needs."""
    kind = _without_none(kind)
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, list):
        for item in value:
            _check_keys(kind.item_type, item, where)
    if isinstance(kind, inspect.DataclassType) and isinstance(value, dict):
        known = {field.name: field for field in kind.fields}
        _refuse_unknown(value, known, where)
        _refuse_missing(value, known, where)
        for key, item in value.items():
            _check_keys(known[key].type, item, f"{where}: {key}")


def _refuse_unknown(table: dict[str, Any], known: dict[str, inspect.Field], where: str) -> None:
    for key in table:
        if key not in known:
            raise ModelError(f"{where}: unknown key {key!r}", fix=suggestion(key, known))


def _refuse_missing(table: dict[str, Any], known: dict[str, inspect.Field], where: str) -> None:
    for name, field in known.items():
        if field.required and name not in table:
            word = _KINDS.get(type(_without_none(field.type)), "list")
            raise ModelError(f"{where}: key {name!r} is missing", fix=f"add {name} = {word}")


def _without_none(kind: inspect.Type) -> inspect.Type:
    """What a type is where it is not None."""
    if isinstance(kind, inspect.UnionType):
        return next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    return kind


def _wrong_value(message: str, table: dict[str, Any], where: str) -> ModelError:
    """Return the error for what msgspec says: `Expected `int`, got `str` - at `$.a.b``."""
    place = _PLACE.search(message)
    value: Any = table
    steps = _STEP.findall(place[1]) if place else []
    for key, number in steps:
        value = value[key] if key else value[int(number)]
    keys = [key for key, _ in steps if key]
    expected = _EXPECTED.match(message)
    name = keys[-1] if keys else "the file"
    key = ": ".join([where, *keys])
    if expected is None:
        return ModelError(f"{key} is {repr(value)[:SHOWN_CHARACTERS]}", fix=message)
    if expected[2]:
        return ModelError(f"{key} has {expected[3]} values", fix=f"give {expected[2]}")
    word = TOML_WORDS.get(expected[1], expected[1])
    return ModelError(
        f"{key} is {repr(value)[:SHOWN_CHARACTERS]}", fix=f"{name} must be of type {word}"
    )


@dataclass(frozen=True, slots=True)
class JsonValues:
    """A JSON object and the file it came from; every getter raises ModelError on a wrong type.

    Attributes:
        values: the decoded object.
        where: named in every error, such as `my-model/config.json`.
    """

    values: Mapping[str, Any]
    where: str

    def require(self, key: str) -> None:
        """Ask for a missing or null key.

        Raises:
            ModelError: it is missing.
        """
        if not self.has(key):
            raise ModelError(
                f"{self.where}: {key} is missing",
                fix="copy the whole config.json of the model, as its makers published it",
            )

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self.values.get(key) is not None

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a whole number; `default` stands for a missing or null key."""
        return self._read(int, key, default)

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number as a float; `default` stands for a missing or null key."""
        return self._read(float, key, default)

    def flag(self, key: str, default: bool = False) -> bool:
        """Return true or false; `default` stands for a missing or null key."""
        return self._read(bool, key, default)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string; `default` stands for a missing or null key."""
        return self._read(str, key, default)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings; empty for a missing or null key."""
        return self._read(tuple[str, ...], key, ())

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return a list of numbers as floats; a missing or null key is asked for."""
        return self._read(tuple[float, ...], key, None)

    def table(self, key: str) -> "JsonValues | None":
        """Return a nested object, or None for a missing or null key."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self._wrong(key, value, "an object")
        return JsonValues(value, f"{self.where} {key}")

    def unsupported(self, problem: str, supported: str) -> ModelError:
        """Return the error for a feature that this version cannot build."""
        return ModelError(f"{self.where}: {problem}", fix=f"supported: {supported}")

    def _read(self, kind: type[Value], key: str, default: Value | None) -> Value:
        """Return the value, or `default` for a missing or null one, or raise when both lack."""
        value = self.values.get(key)
        if value is None:
            value = default
        if value is None:
            raise ModelError(
                f"{self.where}: {key} is missing",
                fix="copy the whole config.json of the model, as its makers published it",
            )
        try:
            found = msgspec.convert(value, kind, strict=True)
        except ValueError as error:  # of msgspec, or of half a character, which JSON can say
            raise self._wrong(key, value, JSON_WORDS[kind]) from error
        if isinstance(found, int) and abs(found) > LARGEST_WHOLE:
            raise self._wrong(key, "a number of more than 64 bits", JSON_WORDS[kind])
        return found

    def _wrong(self, key: str, value: object, wanted: str) -> ModelError:
        """Return the error for a value of another type, its text cut to one short line."""
        return ModelError(
            f"{self.where}: {key} is {repr(value)[:SHOWN_CHARACTERS]}",
            fix=f"{key} must be {wanted}",
        )
