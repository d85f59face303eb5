"""A plan as a TOML file: every key is optional and has the flag's name.

Unknown keys and wrong types are refused with the file and the key, so that a typing slip never
measures something else. A plan that is no full product of its lists has `[[part]]` tables: each
replaces lists for cells of its own.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError
from harness.core.names import suggestion
from harness.core.shipped import data_folder
from harness.runner.settings.readers import READERS
from harness.runner.settings.record import PART_KEYS, Settings

DEFAULT_PLAN = "default"


def find_plan(plan: str) -> Path:
    """Return the file of a plan: a path, or the name of one that ships with the harness."""
    path = Path(plan)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in sorted(data_folder("configs").glob("*.toml"))}
    if plan not in shipped:
        raise UsageError(
            f"{plan!r} is no plan file and no shipped plan", fix=suggestion(plan, sorted(shipped))
        )
    return shipped[plan]


def read_plan(path: Path) -> Settings:
    """Read one TOML plan; keys it leaves out keep the defaults of Settings."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"plan {path} cannot be read: {error}", fix="see configs/") from error
    parts = table.pop("part", [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise UsageError(f"plan {path}: part is no table", fix="[[part]] above the keys of a part")
    settings = replace(Settings(), **_check_table(table, path, tuple(READERS)))
    found = tuple(replace(settings, **_check_table(part, path, PART_KEYS)) for part in parts)
    return replace(settings, part=found)


def _check_table(table: Mapping[str, Any], path: Path, allowed: tuple[str, ...]) -> dict[str, Any]:
    checked = {}
    for key, value in table.items():
        if key not in allowed:
            raise UsageError(f"plan {path}: unknown key {key!r}", fix=suggestion(key, allowed))
        try:
            checked[key] = READERS[key](value, key)
        except UsageError as error:
            raise UsageError(f"plan {path}: {error.problem}", error.fix) from error
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"plan {path}: {key} = {value!r}: {error}", fix="see configs/"
            ) from error
    return checked
