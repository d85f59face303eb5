"""The catalog: one architecture per file in `models/*.toml`, read strictly."""

import tomllib
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args

from harness.errors import ModelError, UsageError
from harness.specs.check import check_spec
from harness.specs.model import ModelSpec, RopeScaling
from harness.specs.names import suggestion
from harness.specs.shipped import data_folder

Record = TypeVar("Record", ModelSpec, RopeScaling)


def spec_names() -> tuple[str, ...]:
    """Return the names of all shipped architectures, in alphabetical order."""
    return tuple(sorted(path.stem for path in data_folder("models").glob("*.toml")))


def load_spec(name: str) -> ModelSpec:
    """Return the shipped architecture called `name`.

    Raises:
        UsageError: no such name; the fix names the nearest ones.
        ModelError: the file is damaged.
    """
    names = spec_names()
    if name not in names:
        raise UsageError(f"no model is called {name!r}", fix=suggestion(name, names))
    return read_spec(data_folder("models") / f"{name}.toml")


def read_spec(path: Path) -> ModelSpec:
    """Read one architecture file; its keys are the fields of ModelSpec, nothing else.

    Raises:
        ModelError: not TOML, an unknown or missing key, a value of another type, numbers that
            describe no decoder, or a name that is not the file's.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path.name} is not TOML: {error}", fix="compare it with a shipped file"
        ) from error
    except OSError as error:
        raise ModelError(
            f"{path.name} cannot be read: {error.strerror}", fix="check the path and its rights"
        ) from error
    spec = check_spec(_record(ModelSpec, table, path.name), path.name)
    if spec.name != path.stem:
        raise ModelError(
            f"{path.name}: name is {spec.name!r}", fix=f"name must be the file's: {path.stem!r}"
        )
    return spec


def _record(cls: type[Record], table: dict[str, Any], where: str) -> Record:
    """Turn a TOML table into `cls`, one key per field."""
    known = {field.name: field for field in fields(cls)}
    for key in table:
        if key not in known:
            raise ModelError(f"{where}: unknown key {key!r}", fix=suggestion(key, known))
    for name, field in known.items():
        if name not in table and field.default is MISSING:
            raise ModelError(
                f"{where}: key {name!r} is missing", fix=f"add {name} = {_type_name(field)}"
            )
    return cls(**{key: _value(known[key], value, where) for key, value in table.items()})


def _value(field: Field[Any], value: Any, where: str) -> Any:
    """Return `value` as the field's type; whole numbers pass as floats, booleans never do."""
    allowed = get_args(field.type) or (field.type,)
    if RopeScaling in allowed and isinstance(value, dict):
        return _record(RopeScaling, value, f"{where} [{field.name}]")
    if float in allowed and type(value) is int:
        return float(value)
    if type(value) in allowed:
        return value
    raise ModelError(
        f"{where}: {field.name} is {value!r}",
        fix=f"{field.name} must be of type {_type_name(field)}",
    )


def _type_name(field: Field[Any]) -> str:
    """Return the words of a field's type that a TOML author knows."""
    allowed = [kind for kind in get_args(field.type) or (field.type,) if kind is not type(None)]
    names = {int: "integer", float: "number", str: "string", bool: "boolean", RopeScaling: "table"}
    return " or ".join(names[kind] for kind in allowed)
