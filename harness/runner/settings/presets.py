"""How much is measured, by a word."""

from typing import Any

from harness.core.errors import UsageError, suggestion

# Over the plan's own numbers, under flags that say more.
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"rounds": 3, "warm_seconds": 1.0, "sample_seconds": 0.25, "min_passes": 1},
    "default": {},
    "rigorous": {
        "rounds": 10,
        "max_rounds": 30,
        "precision": 0.02,
        "cooldown": 5.0,
        "warm_seconds": 10.0,
        "sample_seconds": 5.0,
        "min_passes": 10,
    },
}


def preset_values(name: str | None) -> dict[str, Any]:
    """Return the values that a word stands for; None: those of the plan.

    Raises:
        UsageError: no preset has this name.
    """
    if name is not None and name not in PRESETS:
        raise UsageError(f"no preset is called {name!r}", fix=suggestion(name, PRESETS))
    return dict(PRESETS[name or "default"])
