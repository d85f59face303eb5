"""A float graph with two more numbers per observed tensor: its least and largest value.

Only these numbers leave the session: however large a tensor is, it is gone when it has been read.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from harness.builder.graph.emitter import Emitter
from harness.builder.graph.static.emitter import Observed
from harness.builder.quantize.fixed_point import Range, coarse, union
from harness.builder.quantize.levels import QuantLevel

EXTREMES = "extremes"  # the one output that holds them all, low and high in turn
# A key whose score is this far below the largest one of its row has a weight below half a step of
# the probabilities' grid: e^-x < 2^-(bits + 1), and another e^-2 for there are many such keys.
SCORE_DEPTHS = {1: 8.3, 2: 13.8}  # by bytes of an activation


def observe(model: onnx.ModelProto, observed: Sequence[Observed]) -> None:
    """Give a float graph the output EXTREMES: low and high of each observed tensor in turn."""
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


def ranges_of(
    extremes: npt.NDArray[np.floating], observed: Sequence[Observed], level: QuantLevel
) -> dict[str, Range]:
    """Return the range of every grid from the extremes [runs, 2 · observed] of all runs."""
    by_run = extremes.reshape(len(extremes), -1, 2)
    lows, highs = by_run[:, :, 0].min(axis=0).tolist(), by_run[:, :, 1].max(axis=0).tolist()
    found: dict[str, list[Range]] = {}
    for low, high, seen in zip(lows, highs, observed, strict=True):
        if seen.is_score:
            low -= SCORE_DEPTHS[level.float_bytes]
        found.setdefault(seen.grid, []).append(Range(coarse(low), coarse(high)))
    return {grid: union(ranges) for grid, ranges in found.items()}
