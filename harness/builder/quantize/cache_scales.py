"""Scales and integers of a cache: from values that were seen to what is stored. Pure numpy.

Arrays of values have the shape [samples, kv_heads, head_dim]; a scale stands for one channel of one
head, over all samples.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.builder.quantize.levels import CacheLevel

Floats = npt.NDArray[np.float32]
NORMAL_EXTREME = 4.0  # standard deviations that a few thousand normal values stay within
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


def channel_scales(values: Floats, cache: CacheLevel) -> Floats:
    """Return one scale per channel [kv_heads, head_dim] for values that were seen.

        scale = reach · max |x| / largest

    A channel that was always 0 gets a scale of reach / largest.

    Args:
        values: [samples, kv_heads, head_dim], finite.
        cache: an integer level.
    """
    extremes = np.abs(values).max(axis=0)
    extremes = np.where(extremes > 0, extremes, np.float32(1))
    return (extremes * np.float32(cache.reach / cache.largest)).astype(np.float32)


def pack_cache(steps: npt.NDArray[np.int8], cache: CacheLevel) -> npt.NDArray[np.generic]:
    """Return integers [..., head_dim] as they are stored [..., stored width]."""
    if cache.per_element == 1:
        return steps.astype(cache.dtype)
    raised = (steps + HALF_OF_A_BYTE).astype(np.uint8)
    return raised[..., ::2] | raised[..., 1::2] << 4
