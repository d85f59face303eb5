"""Quantities as people write them: `7.6B`, `1조 7600억`, `8GB`."""

import re

from harness.core.errors import UsageError
from harness.core.units import GB, GIB, MIB

# English short scale, then the Korean myriads; B is billion: the field's word for 1e9 parameters.
_UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "B": 10**9,
    "G": 10**9,
    "T": 10**12,
    "만": 10**4,
    "억": 10**8,
    "조": 10**12,
}
_WORDS = {"THOUSAND": "K", "MILLION": "M", "BILLION": "B", "TRILLION": "T", "BN": "B"}
_PART = re.compile(r"(\d+(?:\.\d+)?(?:E\d{1,2})?)\s*(만|억|조|[A-Z]*)\s*개?\s*")
_BYTE_UNITS = {
    "B": 1,
    "MB": 10**6,
    "M": 10**6,
    "MIB": MIB,
    "GB": GB,
    "G": GB,
    "GIB": GIB,
    "TB": 10**12,
    "T": 10**12,
    "TIB": 2**40,
}
MAX_BYTES = 10**18
MIN_PARAMETERS, MAX_PARAMETERS = 10**6, 10**15


def parse_parameters(text: str) -> int:
    """Return a parameter count: `7.6B`, `135M`, `1.76 trillion`, `3000억`, `1조 7600억`.

    Raises:
        UsageError: not a count, or outside 1e6 to 1e15, which no language model is.
    """
    rest = text.strip().replace(",", "").replace("_", "").upper()
    total, position = 0.0, 0
    while position < len(rest) or not rest:
        match = _PART.match(rest, position)
        unit = _WORDS.get(match[2], match[2]) if match else None
        if match is None or unit not in _UNITS:
            raise UsageError(
                f"{text!r} is no parameter count", fix="7.6B, 135M, 1.76T, 3000억 or 7600000000"
            )
        total += min(float(match[1]), 1e30) * _UNITS[unit]
        position = match.end()
    return plausible_parameters(round(total), text)


def plausible_parameters(parameters: int, text: str) -> int:
    """Return `parameters` if a language model can have as many.

    Raises:
        UsageError: under 1e6, often a count printed without its unit, or over 1e15.
    """
    if parameters < MIN_PARAMETERS:
        raise UsageError(
            f"{text!r} stands for {parameters:,} parameters: implausible, fewer than a million",
            fix=f"is a unit missing? {parameters}M, {parameters}B or {parameters}억",
        )
    if parameters > MAX_PARAMETERS:
        raise UsageError(
            f"{text!r} stands for more than 1e15 parameters: implausible", fix="check the unit"
        )
    return parameters


def parse_bytes(text: str, flag: str) -> int:
    """Return the bytes of `8GB` (1e9), `8GiB` (2**30) or `16G`.

    Raises:
        UsageError: not a size, less than a byte, or more than any memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    factor = _BYTE_UNITS.get(match[2].upper()) if match else None
    size = float(match[1]) * factor if match is not None and factor is not None else 0.0
    if not 1 <= size <= MAX_BYTES:
        raise UsageError(f"{flag} {text[:40]!r} is no size", fix=f"{flag} 8GB or {flag} 8GiB")
    return int(size)
