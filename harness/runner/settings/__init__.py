"""What the user asked for, as plain values: a plan file, then the flags that replace its keys."""

from harness.runner.settings.flags import FLAGS, PART_KEYS, flag_values, flags_of
from harness.runner.settings.load import (
    DEFAULT_PLAN,
    find_plan,
    load_settings,
    read_plan,
    shipped_plans,
)
from harness.runner.settings.values import INTERLEAVES, PRESETS, TURNS, Settings

__all__ = [
    "DEFAULT_PLAN",
    "FLAGS",
    "INTERLEAVES",
    "PART_KEYS",
    "PRESETS",
    "TURNS",
    "Settings",
    "find_plan",
    "flag_values",
    "flags_of",
    "load_settings",
    "read_plan",
    "shipped_plans",
]
