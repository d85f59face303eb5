"""A plan, a preset over it, and over both the flags that were given."""

from dataclasses import replace
from typing import Any

from harness.runner.settings.plan_file import DEFAULT_PLAN, find_plan, read_plan, shipped_plans
from harness.runner.settings.presets import preset_values
from harness.runner.settings.record import PLAN, Settings

TEST_KEYS = ("prompt", "gen", "pg")


def load_settings(plan: str | None, preset: str | None = None, **flags: Any) -> Settings:
    """Read a plan by name or path, put a preset over it, and over both the flags that were given.

    Any of `prompt`, `gen` and `pg` given as a flag replaces all three, so that `--prompt 512`
    runs pp512 and nothing else; `enc` is for other models, and replaces only itself.

    Raises:
        UsageError: no such plan or preset, unknown key, wrong type; says which file and key.
    """
    path = find_plan(plan or DEFAULT_PLAN)
    settings = read_plan(path)
    flags = {key: value for key, value in flags.items() if value is not None}
    own = () if path in shipped_plans().values() else (PLAN,)
    given = preset_values(preset) | flags
    if "ep" in given:  # a row says its class itself
        given.setdefault("device", given["ep"])
    if given.keys() & set(TEST_KEYS):
        given = {**dict.fromkeys((*TEST_KEYS, "enc"), ()), **given}
    given["given"] = tuple(sorted((*flags, *own)))
    parts = tuple(replace(part, **given) for part in settings.part)
    return replace(settings, **given, part=parts)
