"""From the words of flags to the values that a plan would hold."""

from collections.abc import Callable, Mapping
from typing import Any

from harness.core.errors import UsageError
from harness.core.names import suggestion
from harness.core.ranges import parse_names, parse_pair, parse_seconds
from harness.runner.settings.readers import READERS, read_grid, read_number, read_pairs, read_words


def flag_values(flags: Mapping[str, object]) -> dict[str, Any]:
    """Turn flags into the values a plan would hold; text is split, None and () are left out.

    Raises:
        UsageError: an unknown flag, a bad grid, name list, pair or time.
    """
    values = {}
    for key, value in flags.items():
        if value is None or value == ():
            continue
        if key not in READERS:
            raise UsageError(f"no flag is called {key!r}", fix=suggestion(key, READERS))
        reader = _FLAG_READERS.get(key, READERS[key])
        try:
            values[key] = reader(value, f"--{key}")
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"--{key} {value!r}: {error}", fix=f"bench run --help: {key}"
            ) from error
    return values


def _flag_words(value: Any, key: str) -> tuple[str, ...]:
    return parse_names(value, key) if isinstance(value, str) else read_words(value, key)


def _flag_pairs(value: Any, key: str) -> tuple[tuple[int, int], ...]:
    if isinstance(value, str):
        return (parse_pair(value, key),)
    if all(isinstance(pair, str) for pair in value):
        return tuple(parse_pair(pair, key) for pair in value)
    return read_pairs(list(value), key)


def _flag_grid(value: Any, key: str) -> tuple[int, ...]:
    return read_grid(list(value) if isinstance(value, tuple) else value, key)


def _flag_seconds(value: Any, key: str) -> float:
    return parse_seconds(value, key) if isinstance(value, str) else read_number(value, key)


_FLAG_READERS: dict[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(
        ("model", "quant", "kv_cache", "device", "threads", "ep", "runtime"), _flag_words
    ),
    **dict.fromkeys(("prompt", "gen", "depth", "batch", "img"), _flag_grid),
    "pg": _flag_pairs,
    "ep_option": read_words,
    **dict.fromkeys(("budget", "cooldown", "sustain"), _flag_seconds),
}
