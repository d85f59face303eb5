"""From a value of a plan file to the value of its key, or what is wrong with it.

Every reader takes the value and the name of its key, and raises TypeError or ValueError in words
that follow `key = value:`, or UsageError.
"""

from collections.abc import Callable
from typing import Any

from harness.core.ranges import parse_encodes, parse_grid, parse_pair, parse_share
from harness.runner.settings.record import INTERLEAVES


def read_words(value: Any, key: str) -> tuple[str, ...]:
    """One name or a list of names, each once."""
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not items or not all(isinstance(item, str | int) and item != "" for item in items):
        raise TypeError("a list of names is needed")
    return tuple(dict.fromkeys(str(item) for item in items))


def read_grid(value: Any, key: str) -> tuple[int, ...]:
    """Numbers and ranges, each once."""
    items = value if isinstance(value, list) else [value]
    values: list[int] = []
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | str):
            raise TypeError("numbers or a range such as '8-64*2' are needed")
        values.extend(parse_grid(str(item), key))
    return tuple(dict.fromkeys(values))


def read_pairs(value: Any, key: str) -> tuple[tuple[int, int], ...]:
    """A list of [prompt, gen], tokens."""
    if not isinstance(value, list):
        raise TypeError("a list of [prompt, gen] is needed")
    return tuple(parse_pair(",".join(map(str, pair)), key) for pair in value)


def read_encodes(value: Any, key: str) -> tuple[tuple[int, int], ...]:
    """Tokens × texts, such as `128x8`."""
    items = value if isinstance(value, list | tuple) else [value]
    words = [item if isinstance(item, str) else "x".join(map(str, item)) for item in items]
    if not words:
        raise TypeError("a list of texts such as '128x8' is needed")
    return parse_encodes(",".join(words), key)


def read_dims(value: Any, key: str) -> tuple[tuple[str, int], ...]:
    """Sizes by the name of a free dimension."""
    items = value if isinstance(value, list | tuple) else [value]
    sizes = {}
    for item in items:
        name, _, size = str(item).rpartition("=")
        if not name or not size.isdecimal() or int(size) < 1:
            raise TypeError("name=size is needed, such as batch=1")
        sizes[name] = int(size)
    return tuple(sizes.items())


def read_number(value: Any, key: str) -> float:
    """A number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number is needed")
    return float(value)


def read_share(value: Any, key: str) -> float:
    """A share between 0 and 1: a number, or text with a percent sign."""
    return parse_share(value if isinstance(value, str) else str(read_number(value, key)), key)


def read_integer(value: Any, key: str) -> int:
    """A whole number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a whole number is needed")
    return value


def read_word(value: Any, key: str) -> str:
    """A word or a path, not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError("a word or a path is needed")
    return value


def read_interleave(value: Any, key: str) -> str:
    """One of INTERLEAVES."""
    if value not in INTERLEAVES:
        raise ValueError(f"one of {', '.join(INTERLEAVES)} is needed")
    return str(value)


def read_truth(value: Any, key: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise TypeError("true or false is needed")
    return value


READERS: dict[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(("model", "quant", "kv_cache", "device", "threads"), read_words),
    **dict.fromkeys(("ep", "ep_option", "runtime"), read_words),
    **dict.fromkeys(("prompt", "gen", "depth", "batch", "img"), read_grid),
    "dim": read_dims,
    "pg": read_pairs,
    "enc": read_encodes,
    **dict.fromkeys(("rounds", "max_rounds", "seed", "min_passes"), read_integer),
    **dict.fromkeys(("budget", "timeout", "warm_seconds", "sample_seconds"), read_number),
    **dict.fromkeys(("cooldown", "sustain"), read_number),
    "precision": read_share,
    **dict.fromkeys(("calibrate", "quality", "sensitivity", "profile"), read_truth),
    **dict.fromkeys(("allow_simulated", "allow_fallback"), read_truth),
    **dict.fromkeys(("reference", "text"), read_word),
    "interleave": read_interleave,
}
