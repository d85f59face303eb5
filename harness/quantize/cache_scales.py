"""Scales and integers of a cache: from values that were seen to what is stored. Pure numpy.

Arrays of values have the shape [samples, kv_heads, head_dim]; a scale stands for one channel of one
head, over all samples.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.quantize.cache import CacheLevel

Floats = npt.NDArray[np.float32]
# Share of the largest absolute value that becomes the largest integer. Clipping the rarest values
# makes all others finer: it pays where integers are few.
SEARCHED_SHARES = tuple(share / 20 for share in range(8, 21))  # 0.4 to 1.0
SEARCHED_BITS = 4
HALF_OF_A_BYTE = 8  # what is added to a value of 4 bits


@dataclass(frozen=True, slots=True)
class LayerScales:
    """Scales of one layer, each [kv_heads, head_dim]."""

    key: Floats
    value: Floats


@dataclass(frozen=True, slots=True)
class ScaledCache:
    """A cache as a graph has it.

    Attributes:
        level: how values are stored.
        scales: of each layer; none where values stay floats.
    """

    level: CacheLevel
    scales: tuple[LayerScales, ...] = ()


def channel_scales(values: Floats, cache: CacheLevel, *, search: bool | None = None) -> Floats:
    """Return one scale per channel [kv_heads, head_dim] for values that were seen.

        scale = share · max |x| / largest

    The share is 1, or with `search` that of SEARCHED_SHARES whose squared error over all samples
    is least. A channel that was always 0 gets a scale of 1 / largest.

    Args:
        values: [samples, kv_heads, head_dim], finite.
        cache: an integer level.
        search: None: at SEARCHED_BITS.
    """
    extremes = np.abs(values).max(axis=0)
    extremes = np.where(extremes > 0, extremes, np.float32(1))
    whole = (extremes / np.float32(cache.largest)).astype(np.float32)
    if not (cache.bits == SEARCHED_BITS if search is None else search):
        return whole
    best, least = whole, np.full(whole.shape, np.inf)
    for share in SEARCHED_SHARES:
        scales = (whole * np.float32(share)).astype(np.float32)
        errors = np.square(rounded(values, scales, cache) - values).sum(axis=0, dtype=np.float64)
        best = np.where(errors < least, scales, best)
        least = np.minimum(errors, least)
    return best


def rounded(values: Floats, scales: Floats, cache: CacheLevel) -> Floats:
    """Return what a cache gives back of `values`: scale · round(x / scale), clipped."""
    steps = np.rint(values / scales)
    return np.clip(steps, -cache.largest - 1, cache.largest) * scales


def pack_cache(steps: npt.NDArray[np.int8], cache: CacheLevel) -> npt.NDArray[np.generic]:
    """Return integers [..., head_dim] as they are stored [..., stored width]."""
    if cache.per_element == 1:
        return steps.astype(cache.dtype)
    raised = (steps + HALF_OF_A_BYTE).astype(np.uint8)
    return raised[..., ::2] | raised[..., 1::2] << 4
