"""Graphs of others at levels that ONNX Runtime's quantizers make."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.builder.quantize.exported import quantize_graph
from harness.core.errors import UsageError
from tests.builder.graph.run_graph import open_graph

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.standard_normal((6, 64), dtype=np.float32)


def gemm_and_product() -> onnx.ModelProto:
    """Y = (x W0 + b) W1, the first part as a Gemm, as GPT-2 has it."""
    weights = {
        "w0": RANDOM.standard_normal((64, 96), dtype=np.float32),
        "b": RANDOM.standard_normal(96, dtype=np.float32),
        "w1": RANDOM.standard_normal((96, 64), dtype=np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b"], ["h"]),
        helper.make_node("MatMul", ["h", "w1"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 64]) for name in "xy"]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def output(path: Path) -> np.ndarray:
    session = open_graph(path)
    return session.run(None, {"x": ROWS})[0]


@pytest.mark.parametrize(
    ("level", "op", "count", "least_cosine"),
    [("int4", "MatMulNBits", 2, 0.98), ("int8", "MatMulInteger", 2, 0.999)],
)
def test_products_and_gemms_become_integers(
    tmp_path: Path, level: str, op: str, count: int, least_cosine: float
):
    """Both matrices; what comes out is that of fp32 as nearly as the bits allow."""
    if level == "int4":
        pytest.importorskip("onnx_ir", reason="ONNX Runtime's int4 quantizer needs it")
    model = gemm_and_product()
    onnx.save_model(model, tmp_path / "fp32.onnx")
    quantize_graph(model, level, tmp_path / "model.onnx")
    made = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert [node.op_type for node in made.graph.node].count(op) == count
    assert (tmp_path / "model.onnx.data").is_file()
    exact, near = output(tmp_path / "fp32.onnx"), output(tmp_path / "model.onnx")
    cosine = np.sum(exact * near) / np.linalg.norm(exact) / np.linalg.norm(near)
    assert cosine > least_cosine


def test_a_level_that_is_not_made_this_way_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be made int2"):
        quantize_graph(gemm_and_product(), "int2", tmp_path / "model.onnx")
