"""Grids as the user types them: `128,512`, `8-64*2` (8 16 32 64), `128-512+128`."""

import math
import re

from harness.core.errors import UsageError

_RANGE = re.compile(r"^(\d+)-(\d+)([+*])(\d+)$")
_TURNS = re.compile(r"^([0-9]+)x([0-9]+)\+([0-9]+)$")
# A typing slip such as 1-1000000+1 must not become a million cells.
MAX_VALUES = 1000
LARGEST = 2**31 - 1  # of lengths, counts and sizes: far above all that is measured
SHOWN_DIGITS = 12  # of a number that is too long


def parse_grid(text: str, flag: str) -> tuple[int, ...]:
    """Return the numbers that `text` stands for, in the order given, each once.

    Raises:
        UsageError: something is not a whole number or a range, named with its flag.
    """
    values: list[int] = []
    for part in text.split(","):
        values.extend(_parse_part(part.strip(), flag))
    return tuple(dict.fromkeys(values))


def parse_names(text: str, flag: str) -> tuple[str, ...]:
    """Return the comma-separated words of `text`; a word given twice is refused."""
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise UsageError(
            f"{flag} {text!r} has an empty name: it takes names between commas",
            fix=f"{flag} one,two",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"{flag} names {', '.join(twice)} twice, and takes each name once",
            fix="leave the second one out",
        )
    return names


def parse_pair(text: str, flag: str) -> tuple[int, int]:
    """Return the two numbers of `128,64` (or `128+64`)."""
    parts = re.split(r"[,+]", text)
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(
            f"{flag} {text!r} is not a prompt and a gen: it takes two whole numbers and a comma",
            fix=f"{flag} 128,64",
        )
    return whole_number(parts[0].strip(), flag), whole_number(parts[1].strip(), flag)


def parse_turns(text: str, flag: str) -> tuple[tuple[int, int, int], ...]:
    """Return the (turns, prompt, gen) of `4x128+64,2x512+32`.

    Raises:
        UsageError: something is no such chat, has a 0 or more turns than MAX_VALUES.
    """
    found = []
    for part in text.split(","):
        match = _TURNS.match(part.strip())
        if match is None:
            raise UsageError(
                f"{flag} {part.strip()!r} is no chat: it takes turns x prompt + answer, in tokens",
                fix=f"{flag} 4x128+64",
            )
        turns, prompt, gen = (whole_number(digits, flag) for digits in match.groups())
        if 0 in (turns, prompt, gen):
            raise UsageError(
                f"{flag} {part.strip()!r} has a 0: it takes whole numbers from 1 on",
                fix=f"{flag} 4x128+64",
            )
        if turns > MAX_VALUES:
            raise UsageError(
                f"{flag} {part.strip()!r} has more than {MAX_VALUES} turns, the most that it takes",
                fix=f"{flag} 4x{prompt}+{gen}",
            )
        found.append((turns, prompt, gen))
    return tuple(dict.fromkeys(found))


def parse_encodes(text: str, flag: str) -> tuple[tuple[int, int], ...]:
    """Return the (tokens, texts) of `128x1,128x8`; a length alone is that of one text."""
    found = []
    for part in text.split(","):
        length, _, batch = part.strip().partition("x")
        if not (length.isdecimal() and (batch or "1").isdecimal()):
            raise UsageError(
                f"{flag} {part.strip()!r} is not a length and a batch: "
                "it takes two whole numbers and an x",
                fix=f"{flag} 128x1,128x8",
            )
        found.append((whole_number(length, flag), whole_number(batch or "1", flag)))
    return tuple(dict.fromkeys(found))


def parse_sounds(text: str, flag: str) -> tuple[tuple[float, int], ...]:
    """Return the (seconds, sounds) of `10x1,2.5x8`; a length alone is that of one sound."""
    found = []
    for part in text.split(","):
        length, _, count = part.strip().partition("x")
        is_number = length.replace(".", "", 1).isdecimal() and (count or "1").isdecimal()
        if not is_number or not 0 < float(length) <= LARGEST:
            raise UsageError(
                f"{flag} {part.strip()!r} is not a time and a number of sounds",
                fix=f"{flag} 10x1,30x4",
            )
        found.append((float(length), whole_number(count or "1", flag)))
    return tuple(dict.fromkeys(found))


def parse_seconds(text: str, flag: str) -> float:
    """Return the seconds of `90`, `60s`, `5m` or `1h`."""
    factors = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, factor = (text[:-1], factors[text[-1]]) if text[-1:] in factors else (text, 1.0)
    try:
        seconds = float(number) * factor
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UsageError(
            f"{flag} {text[:40]!r} is not a time: it takes a number with s, m or h",
            fix=f"{flag} 60s or 5m",
        )
    return seconds


def parse_age(text: str, flag: str) -> float:
    """Return the seconds of `12h`, `30d` or `4w`."""
    factors = {"h": 3600.0, "d": 86_400.0, "w": 604_800.0}
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?)([hdw])", text.strip())
    if match is None:
        raise UsageError(
            f"{flag} {text[:40]!r} is no age: it takes a number with h, d or w",
            fix=f"{flag} 12h, {flag} 30d or {flag} 4w",
        )
    return float(match[1]) * factors[match[2]]


LEAST_CELSIUS, MOST_CELSIUS = 0.0, 110.0  # where processors are throttled or off


def parse_temperature(text: str, flag: str) -> float:
    """Return the degrees Celsius of `45C` or `113F`.

    Raises:
        UsageError: it is no temperature, has no unit, or is one that no processor has.
    """
    match = re.fullmatch(r"(-?[0-9]{1,6}(?:\.[0-9]{1,6})?) ?°?([CFcf])", text.strip())
    if match is None:
        raise UsageError(
            f"{flag} {text[:40]!r} is no temperature: it takes a number with C or F",
            fix=f"{flag} 45C or {flag} 113F",
        )
    number = float(match[1])
    celsius = number if match[2] in "Cc" else (number - 32) / 1.8
    if not LEAST_CELSIUS < celsius < MOST_CELSIUS:
        raise UsageError(
            f"{flag} {text.strip()} is {celsius:.6g} °C: it takes temperatures between"
            f" {LEAST_CELSIUS:g} and {MOST_CELSIUS:g} °C",
            fix=f"{flag} 45C, somewhat above what the machine has when it does nothing",
        )
    return celsius


def parse_share(text: str, flag: str) -> float:
    """Read `3%` or `0.03` as a share above 0 and at most 1.

    Raises:
        UsageError: it is no number, 0 or less, or above 100 %.
    """
    number = parse_number(text.removesuffix("%"), flag, "3% or 0.03")
    share = number / 100 if text.endswith("%") else number
    if not 0 < share <= 1:
        raise UsageError(
            f"{flag} is {share:.6g}, which is not above 0 and at most 1 (100%)",
            fix=f"{flag} with 3% or 0.03; below the noise of the machine nothing can be told",
        )
    return share


def parse_number(text: str, flag: str, example: str) -> float:
    """Read a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{flag} is {text[:40]!r}, which is no number", fix=example)
    return number


def whole_number(text: str, flag: str, most: int = LARGEST) -> int:
    """Return the number that decimal digits stand for.

    Raises:
        UsageError: it is beyond `most`, by however many digits.
    """
    shown = text if len(text) <= SHOWN_DIGITS else f"{text[:SHOWN_DIGITS]}…"
    if len(text) > len(str(most)) or int(text) > most:
        raise UsageError(
            f"{flag} {shown} is beyond {most}, the most that it takes", fix=f"{flag} 128"
        )
    return int(text)


def _parse_part(part: str, flag: str) -> list[int]:
    if part.isdecimal():
        return [whole_number(part, flag)]
    match = _RANGE.match(part)
    if match is None:
        raise UsageError(
            f"{flag} {part!r} is not a whole number without a sign, or a range",
            fix=f"{flag} 128,512 or {flag} 8-64*2 or {flag} 128-512+128",
        )
    start, stop, step = (whole_number(match[place], flag) for place in (1, 2, 4))
    return _expand(start, stop, match[3], step, flag)


def _expand(start: int, stop: int, operator: str, step: int, flag: str) -> list[int]:
    stuck = step == 0 or (operator == "*" and (step < 2 or start == 0))
    if stuck or stop < start:
        raise UsageError(
            f"{flag} {start}-{stop}{operator}{step} never reaches {stop}",
            fix="a range goes up: 8-64*2 multiplies, 128-512+128 adds",
        )
    values = []
    value = start
    while value <= stop:
        values.append(value)
        if len(values) > MAX_VALUES:
            raise UsageError(
                f"{flag} stands for more than {MAX_VALUES} values, the most that it takes",
                fix=f"{flag} with a larger step, such as {flag} 128-1024*2",
            )
        value = value * step if operator == "*" else value + step
    return values
