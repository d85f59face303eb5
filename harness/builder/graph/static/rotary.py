"""Cosines and sines of every position, which a static decoder looks up instead of computing."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from harness.builder.graph.static.geometry import StaticGeometry
from harness.builder.graph.storage import Shelf, View, plan_storage
from harness.builder.quantize.fixed_point import Range, fixed_point, to_fixed_point
from harness.builder.quantize.layout import StoredArray
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import ModelSpec
from harness.models.specs.rotary import inverse_frequencies

COSINES, SINES = "rotary.cosines", "rotary.sines"
TURN = Range(-1.0, 1.0)
PIECE_POSITIONS = 1024  # computed at a time: 1 MiB at a head of 128


def rotary_views(spec: ModelSpec, level: QuantLevel, geometry: StaticGeometry) -> list[View]:
    """Return the places of both tables [capacity, head_dim], behind the weights."""
    ends = [r.end_bytes for weight in plan_storage(spec, level) for r in weight.regions]
    shape = (geometry.capacity_tokens, geometry.head_dim)
    arrays = [StoredArray(name, level.activation_dtype, shape) for name in (COSINES, SINES)]
    regions = Shelf(max(ends)).reserve(arrays)
    return [View(region.array.suffix, region, shape) for region in regions]


def rotary_pieces(
    spec: ModelSpec, level: QuantLevel, geometry: StaticGeometry
) -> Iterator[tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]]:
    """Yield cosines and sines of the next positions, both [positions, head_dim], as stored.

    Both halves of a head have the same angles; the sines of the first half are negative, so that
    a pair is rotated by x · cos + swap(x) · sin.
    """
    frequencies = inverse_frequencies(spec)
    for start in range(0, geometry.capacity_tokens, PIECE_POSITIONS):
        stop = min(start + PIECE_POSITIONS, geometry.capacity_tokens)
        angles = np.arange(start, stop, dtype=np.float32)[:, None] * frequencies
        sines = np.sin(angles)
        pieces = np.tile(np.cos(angles), 2), np.concatenate([-sines, sines], axis=1)
        if level.fixed_point:
            grid = fixed_point(TURN, level.activation_dtype)
            yield to_fixed_point(pieces[0], grid), to_fixed_point(pieces[1], grid)
        else:
            yield pieces
