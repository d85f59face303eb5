"""Settings as a plan file: what `read_plan` reads back as the same settings."""

import json
from collections.abc import Sequence
from typing import Any

from harness.runner.settings.flags import FLAGS
from harness.runner.settings.values import Settings

# Keys whose values are pairs -> the sign between the two in the text that a plan holds.
PAIRED = {"dim": "=", "input": "=", "enc": "x", "aud": "x"}


def plan_text(settings: Settings, comments: Sequence[str] = ()) -> str:
    """A plan with every key that has another value than its usual one.

    Args:
        settings: without parts.
        comments: lines above the keys.
    """
    lines = [f"# {' '.join(line.split())}" for line in comments]
    usual = Settings()
    for row in FLAGS:
        value = getattr(settings, row.key, None) if row.in_plan else None
        is_usual = value in (None, ()) or value == getattr(usual, row.key)
        if not is_usual or row.key in ("model", "quant"):
            lines.append(f"{row.key} = {_toml(row.key, value)}")
    return "\n".join([*lines, ""])


def _toml(key: str, value: Any) -> str:
    """One value; a TOML string is written as JSON writes one."""
    if key in PAIRED:
        value = [f"{first}{PAIRED[key]}{second:g}" for first, second in value]
    return json.dumps(value)
