"""The float prefill graph with two more numbers per observed tensor: its least and largest value.

Only these numbers leave the session: however large a tensor is, it is gone when it has been read.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from harness.graph.emitter import Emitter
from harness.graph.static.decoder import static_model
from harness.graph.static.emitter import Observed
from harness.graph.static.geometry import ALL_POSITIONS_FILE, StaticGeometry
from harness.graph.static.norm import Norm
from harness.quantize.fixed_point import Range, coarse, union
from harness.quantize.levels import STATIC_FLOAT, QuantLevel, find_level
from harness.specs.model import ModelSpec

EXTREMES = "extremes"  # the one output that holds them all, low and high in turn
# A key whose score is this far below the largest one of its row has a weight below half a step of
# the probabilities' grid: e^-x < 2^-(bits + 1), and another e^-2 for there are many such keys.
SCORE_DEPTHS = {1: 8.3, 2: 13.8}  # by bytes of an activation


def calibration_model(
    spec: ModelSpec, geometry: StaticGeometry, norm: Norm
) -> tuple[onnx.ModelProto, list[Observed]]:
    """Return the float graph with the output EXTREMES, and what its rows stand for."""
    level = find_level(STATIC_FLOAT)
    model, observed = static_model(spec, level, geometry, {}, ALL_POSITIONS_FILE, norm)
    emitter = Emitter()
    one = emitter.constant("extremes.one", [1])
    last = emitter.constant("extremes.last_axis", [-1])
    numbers = []
    for place, seen in enumerate(observed):
        name, source = f"extremes.{place}", seen.tensor
        high = emitter.add("ReduceMax", (source,), f"{name}.high", keepdims=0)
        if seen.is_score:
            source = emitter.add("ReduceMax", (source, last), f"{name}.rows", keepdims=0)
        low = emitter.add("ReduceMin", (source,), f"{name}.low", keepdims=0)
        for scalar in (low, high):
            numbers.append(emitter.add("Reshape", (scalar, one), f"{scalar}.flat"))
    emitter.add("Concat", numbers, EXTREMES, axis=0)
    model.graph.node.extend(emitter.nodes)
    port = helper.make_tensor_value_info(EXTREMES, onnx.TensorProto.FLOAT, [2 * len(observed)])
    model.graph.output.append(port)
    return model, observed


def ranges_of(
    extremes: npt.NDArray[np.floating], observed: Sequence[Observed], level: QuantLevel
) -> dict[str, Range]:
    """Return the range of every grid from the extremes [observed, 2] over all that was run."""
    found: dict[str, list[Range]] = {}
    for (low, high), seen in zip(extremes.tolist(), observed, strict=True):
        if seen.is_score:
            low -= SCORE_DEPTHS[level.float_bytes]
        found.setdefault(seen.grid, []).append(Range(coarse(low), coarse(high)))
    return {grid: union(ranges) for grid, ranges in found.items()}
