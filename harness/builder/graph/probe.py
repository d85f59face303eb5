"""The smallest graph that proves a device: one static matrix product with a known answer."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE = 64
# Half precision over 64 products of numbers below 1 stays well within; another graph does not.
TOLERANCE = 0.05


def write_probe(path: Path) -> None:
    """Write y [1, 64] = x [1, 64] times a fixed matrix, in float32, without a free dimension."""
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, SIZE]) for name in "xy"]
    body = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "probe",
        shapes[:1],
        shapes[1:],
        [numpy_helper.from_array(_weights(), "w")],
    )
    opset = helper.make_opsetid("", 21)
    onnx.save(helper.make_model(body, opset_imports=[opset], ir_version=10), path)


def probe_input() -> NDArray[np.float32]:
    """The input [1, 64] whose answer is known."""
    return np.linspace(-1, 1, SIZE, dtype=np.float32).reshape(1, SIZE)


def largest_error(answer: NDArray[np.float32]) -> float:
    """Largest distance between an answer [1, 64] and the true product."""
    return float(np.abs(answer - probe_input() @ _weights()).max())


def _weights() -> NDArray[np.float32]:
    """The matrix [64, 64]: eighths up to 1, which every float format holds exactly."""
    eighths = np.random.default_rng(0).integers(-8, 9, (SIZE, SIZE))
    return (eighths / 8).astype(np.float32)
