"""Hostile copies of sound files, the same for the same seed: values, structure, bytes."""

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

DIGITS = "9" * 400
# What a value is replaced by: other types, ends of ranges, numbers that no machine has.
VALUES = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63)),
    *(int(DIGITS), 1e308, 5e-324, "", "0", "\0", "\n::error::x", "../../x", "/etc/passwd"),
    *("a" * 5000, "\u202e", [], {}, [[]], [None], {"": None}, [0] * 300),
)
# The same as they stand in a file, with what only a file can say.
TOKENS = (
    *("null", "true", "-1", "0", "1e999", "-1e999", "NaN", "Infinity", DIGITS, "0." + DIGITS),
    *(
        "[" * 3000,
        '{"a":' * 3000,
        "[]",
        "{}",
        '""',
        '"\\u0000"',
        '"\\ud800"',
        "'''",
        "#",
        "=",
        "\0",
    ),
    *("1e400", "0x" + "f" * 40, "1979-05-27", "inf", "nan", "\ufeff", "\x1b[2J", "[[part]]\n"),
)
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
Mutation = Callable[[bytes, random.Random], bytes]


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Up to eight bits turned, half of the time near the beginning, where headers are."""
    bits = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        end = len(bits) if chance.random() < 0.5 else min(len(bits), 400)
        bits[chance.randrange(end)] ^= 1 << chance.randrange(8)
    return bytes(bits)


def cut(content: bytes, chance: random.Random) -> bytes:
    """The beginning alone, or without a piece in the middle."""
    start = chance.randrange(len(content))
    end = (
        len(content) if chance.random() < 0.5 else min(len(content), start + chance.randint(1, 64))
    )
    return content[:start] + content[end:]


def doubled(content: bytes, chance: random.Random) -> bytes:
    """A piece of it stands there twice."""
    start = chance.randrange(len(content))
    end = min(len(content), start + chance.randint(1, 200))
    return content[:end] + content[start:]


def inserted(content: bytes, chance: random.Random) -> bytes:
    """A token in between, or in the place of as many bytes."""
    token = chance.choice(TOKENS).encode("utf-8", "surrogatepass")
    start = chance.randrange(len(content) + 1)
    end = start if chance.random() < 0.5 else min(len(content), start + len(token))
    return content[:start] + token + content[end:]


def renumbered(content: bytes, chance: random.Random) -> bytes:
    """Another number, or none, where one stands in the text."""
    found = list(NUMBER.finditer(content))
    if not found:
        return flipped(content, chance)
    place = chance.choice(found)
    token = chance.choice(TOKENS).encode("utf-8", "surrogatepass")
    return content[: place.start()] + token + content[place.end() :]


def overwritten(content: bytes, chance: random.Random) -> bytes:
    """A whole number of 1 to 8 bytes at its end or beginning: lengths, counts, offsets."""
    width = chance.choice((1, 2, 4, 8))
    start = chance.randrange(max(1, min(len(content), chance.choice((64, 4096, len(content))))))
    number = chance.choice((0, 1, -1, 2 ** (8 * width - 1), chance.randrange(256**width)))
    piece = (number % 256**width).to_bytes(width, "little")
    return content[:start] + piece + content[start + width :]


def revalued(content: bytes, chance: random.Random) -> bytes:
    """JSON with one value replaced, renamed, left out or put under another key."""
    try:
        table = json.loads(content)
    except (ValueError, RecursionError):
        return flipped(content, chance)
    places = list(_places(table)) if isinstance(table, dict | list) else []
    if not places:
        return content
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        holder, key = chance.choice(places)
        _change(holder, key, places, chance)
    return json.dumps(table).encode()


def _change(holder: Any, key: Any, places: list[tuple[Any, Any]], chance: random.Random) -> None:
    """Change one place of a table, which a change before may have taken away."""
    is_there = key in holder if isinstance(holder, dict) else key < len(holder)
    if not is_there:
        return
    act = chance.random()
    if act < 0.6:
        holder[key] = chance.choice(VALUES)
    elif act < 0.75:
        del holder[key]
    elif act < 0.9:
        other, name = chance.choice(places)
        if isinstance(other, dict) and name in other:
            holder[key] = json.loads(json.dumps(other[name]))
    elif isinstance(holder, dict):
        holder[chance.choice(("", "a" * 300, "\n", f"{key}_"))] = holder.pop(key)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a table, as what holds it and its key there."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


TEXT: tuple[Mutation, ...] = (flipped, cut, doubled, inserted, renumbered, renumbered)
JSON: tuple[Mutation, ...] = (*TEXT, *(revalued,) * 8)
BINARY: tuple[Mutation, ...] = (flipped, cut, doubled, overwritten, overwritten)
