"""What the user asked for, as plain values: a plan file, then the flags that replace its keys."""

from harness.runner.settings.flags import flag_values
from harness.runner.settings.load import load_settings
from harness.runner.settings.plan_file import DEFAULT_PLAN, find_plan, read_plan
from harness.runner.settings.presets import PRESETS
from harness.runner.settings.record import INTERLEAVES, PART_KEYS, TURNS, Settings

__all__ = [
    "DEFAULT_PLAN",
    "INTERLEAVES",
    "PART_KEYS",
    "PRESETS",
    "TURNS",
    "Settings",
    "find_plan",
    "flag_values",
    "load_settings",
    "read_plan",
]
