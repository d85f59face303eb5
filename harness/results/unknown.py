"""Keys of a document that this harness does not know: kept as found, and written back.

The environment and the plan of a run grow with every version. A newer harness may have written
keys that this one has no field for, and anybody may have edited a file: such keys, and values that
are of another form, are kept under `others` and say nothing.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_type_hints

import msgspec

from harness.core.errors import HarnessError

OTHERS = "others"
Kept = TypeVar("Kept", bound=msgspec.Struct)


def gathered(table: Mapping[str, Any], kind: type[Kept]) -> Kept:
    """Return a record of what a table says, with all that has no place in it under `others`.

    Args:
        table: as JSON has it, or as `spread` made it.
        kind: a record with a field `others`; every other field has a usual value.
    """
    hints = _hints(kind)
    known: dict[str, Any] = {}
    others: dict[str, Any] = dict(table.get(OTHERS) or {})
    for key, value in table.items():
        if key == OTHERS:
            continue
        try:
            known[key] = msgspec.convert(value, hints[key])
        except (KeyError, ValueError, HarnessError):  # unknown, or of another form
            others[key] = value
            continue
        if not _holds(msgspec.to_builtins(known[key]), value):
            others[key] = value  # what is known of it is read, and all of it is kept
    return kind(**known, **({OTHERS: others} if others else {}))


def spread(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's table with what stands under `others` in its own place again."""
    known = {key: value for key, value in table.items() if key != OTHERS}
    return known | dict(table.get(OTHERS) or {})


@cache
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The type of every field that a table may fill."""
    hints = get_type_hints(kind)
    return {name: hints[name] for name in kind.__struct_fields__ if name != OTHERS}


def _holds(typed: Any, found: Any) -> bool:
    """Whether a typed value says all that was found."""
    if isinstance(found, Mapping):
        return isinstance(typed, Mapping) and all(
            key in typed and _holds(typed[key], value) for key, value in found.items()
        )
    if isinstance(found, list | tuple):
        return len(typed) == len(found) and all(map(_holds, typed, found))
    return bool(typed == found)
