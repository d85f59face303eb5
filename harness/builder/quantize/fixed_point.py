"""Fixed-point numbers: integers on an even grid that is chosen before a model runs. Pure numpy.

value = (integer - zero) · scale
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.builder.quantize.pack import check_finite, inverse, quantize_channels

Floats = npt.NDArray[np.float32]
LARGEST = 127  # of a signed byte; -128 stays unused, so that 0 is in the middle
SIGN_BIT = 128
LEAST_SPAN = 1e-4  # of a range: a tensor that was always 0 still needs a scale
MANTISSA_BITS = 12


@dataclass(frozen=True, slots=True)
class Range:
    """The values that a tensor takes, from `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """How the values of one tensor are written as unsigned integers.

    Attributes:
        scale: value of one step.
        zero: the integer that stands for 0.
        dtype: `uint8` or `uint16`.
    """

    scale: np.float32
    zero: int
    dtype: str


def union(ranges: Iterable[Range]) -> Range:
    """Return the range that holds all of `ranges`, at least one."""
    found = list(ranges)
    return Range(min(r.low for r in found), max(r.high for r in found))


def coarse(value: float) -> float:
    """Return `value` moved away from 0 to a number of 12 bits.

    Sums may differ in their last bits between two processors; what is built from them must not.
    """
    if value == 0:
        return 0.0
    _mantissa, exponent = np.frexp(value)
    step = float(np.ldexp(1.0, int(exponent) - MANTISSA_BITS))
    return float(np.copysign(np.ceil(abs(value) / step) * step, value))


def fixed_point(values: Range, dtype: str) -> FixedPoint:
    """Return the grid that spans a range, with 0 exactly on it.

    scale = (high - low) / (2^bits - 1),  zero = round(-low / scale)
    """
    low, high = min(values.low, 0.0), max(values.high, 0.0)
    top = int(np.iinfo(dtype).max)
    scale = np.float32(max(high - low, LEAST_SPAN) / top)
    return FixedPoint(scale, int(np.clip(np.rint(-low / scale), 0, top)), dtype)


def to_fixed_point(values: Floats, grid: FixedPoint) -> npt.NDArray[np.generic]:
    """Return the nearest integers; values beyond the grid become its ends."""
    integers = np.rint(values / grid.scale) + np.float32(grid.zero)
    return np.asarray(np.clip(integers, 0, np.iinfo(grid.dtype).max).astype(grid.dtype))


def quantize_rows(rows: Floats, name: str) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return signed bytes [outputs, inputs] and one scale per row: scale = max|x| / 127.

    Raises:
        ModelError: a value is not finite.
    """
    unsigned, scales = quantize_channels(rows, name)
    return (unsigned ^ np.uint8(SIGN_BIT)).view(np.int8), scales


def whole_scale(values: Range) -> np.float32:
    """Return the one scale of signed bytes: max|x| / 127."""
    return np.float32(max(-values.low, values.high, LEAST_SPAN) / LARGEST)


def quantize_whole(rows: Floats, scale: np.float32, name: str) -> npt.NDArray[np.int8]:
    """Return signed bytes of one scale for all.

    Raises:
        ModelError: a value is not finite.
    """
    check_finite(name, rows)
    integers = np.rint(rows * inverse(np.asarray(scale)))
    return np.asarray(np.clip(integers, -LARGEST, LARGEST).astype(np.int8))
