"""A plan, a preset over it, and over both the flags that were given.

A plan is a TOML file: every key is optional and has the flag's name. Unknown keys and wrong types
are refused with the file and the key, so that a typing slip never measures something else. A plan
that is no full product of its lists has `[[part]]` tables: each replaces lists for its cells.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError, suggestion
from harness.core.records import data_folder, read_table
from harness.runner.settings.flags import PART_KEYS, PLAN_KEYS, plan_values
from harness.runner.settings.values import PLAN, Settings, like_values, preset_values

DEFAULT_PLAN = "default"
OLD_NAMES = {"ladder": "sweep"}  # shipped plans up to version 0.1: still understood
TEST_KEYS = ("prompt", "gen", "pg", "turns")


def load_settings(
    plan: str | None, preset: str | None = None, like: str | None = None, **flags: Any
) -> Settings:
    """Read a plan by name or path, put a preset over it, and over both the flags that were given.

    `like` puts the tests of another tool over the plan, under flags that say more.

    Any of `prompt`, `gen`, `pg` and `turns` given as a flag replaces all of them, so that
    `--prompt 512` runs pp512 and nothing else; `enc` is for other models, and replaces only itself.

    Raises:
        UsageError: no such plan or preset, unknown key, wrong type; says which file and key.
    """
    path = find_plan(plan or DEFAULT_PLAN)
    settings = read_plan(path)
    flags = {key: value for key, value in flags.items() if value is not None}
    own = () if path in shipped_plans().values() else (PLAN,)
    given = preset_values(preset) | like_values(like) | flags
    if like is not None:
        own = (*own, "like")
    if "ep" in given:  # a row says its class itself
        given.setdefault("device", given["ep"])
    if given.keys() & set(TEST_KEYS):
        given = {**dict.fromkeys((*TEST_KEYS, "enc"), ()), **given}
    given["given"] = tuple(sorted((*flags, *own)))
    parts = tuple(replace(part, **given) for part in settings.part)
    return replace(settings, **given, part=parts)


def find_plan(plan: str) -> Path:
    """Return the file of a plan: a path, or the name of one that ships with the harness."""
    path = Path(plan)
    if path.is_file():
        return path
    shipped = shipped_plans()
    plan = OLD_NAMES.get(plan, plan)
    if plan not in shipped:
        raise UsageError(
            f"{plan!r} is no plan file and no shipped plan", fix=suggestion(plan, shipped)
        )
    return shipped[plan]


def shipped_plans() -> dict[str, Path]:
    """The plans that ship with the harness, by name."""
    return {file.stem: file for file in sorted(data_folder("configs").glob("*.toml"))}


def read_plan(path: Path) -> Settings:
    """Read one TOML plan; keys it leaves out keep the defaults of Settings.

    Raises:
        UsageError: a file that cannot be read, an unknown key, or a value that it does not take.
    """
    called = f"plan {path}"
    table = read_table(path, called, UsageError)
    parts = table.pop("part", [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise UsageError(
            f"{called}: part {parts!r} must be a list of tables",
            fix="[[part]] above the keys of a part",
        )
    settings = replace(Settings(), **plan_values(table, PLAN_KEYS, called))
    found = (replace(settings, **plan_values(part, PART_KEYS, called)) for part in parts)
    return replace(settings, part=tuple(found))
