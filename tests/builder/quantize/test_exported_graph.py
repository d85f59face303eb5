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


def tied(form: str) -> onnx.ModelProto:
    """Rows of a table, and the table once more as the head, as exporters write it."""
    table = RANDOM.standard_normal((96, 64), dtype=np.float32)
    heads = {
        "transpose": [("Transpose", "table", "t", {}), ("MatMul", "x t", "y", {})],
        "axes": [("Transpose", "table", "t", {"perm": [1, 0]}), ("MatMul", "x t", "y", {})],
        "identity": [
            ("Identity", "table", "same", {}),
            ("Transpose", "same", "t", {}),
            ("MatMul", "x t", "y", {}),
        ],
        "gemm": [("Gemm", "x table", "y", {"transB": 1})],
        "biased": [("Gemm", "x table bias", "y", {"transB": 1})],
    }
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"])]
    nodes += [
        helper.make_node(op, inputs.split(), [result], **attributes)
        for op, inputs, result, attributes in heads[form]
    ]
    ports = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64]),
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 96]),
        helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 64]),
    ]
    bias = RANDOM.standard_normal(96, dtype=np.float32)
    tensors = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(bias, "bias")]
    graph = helper.make_graph(nodes, "tied", ports[:2], ports[2:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("level", ["int4", "int8"])
@pytest.mark.parametrize("form", ["transpose", "axes", "identity", "gemm", "biased"])
def test_a_head_that_is_the_table_turned_is_quantized(tmp_path: Path, form: str, level: str):
    """The quantizers pass over a Transpose; the table itself stays for its look-ups."""
    if level == "int4":
        pytest.importorskip("onnx_ir", reason="ONNX Runtime's int4 quantizer needs it")
    model = tied(form)
    onnx.save_model(model, tmp_path / "fp32.onnx")
    quantize_graph(model, level, tmp_path / "model.onnx")
    made = onnx.load(tmp_path / "model.onnx")
    operators = {node.op_type for node in made.graph.node}
    assert ("MatMulNBits" if level == "int4" else "MatMulInteger") in operators
    assert operators.isdisjoint({"Transpose", "MatMul", "Gemm", "Identity"})
    feeds = {"x": ROWS, "ids": np.arange(len(ROWS))}
    exact, near = (
        open_graph(tmp_path / name).run(None, feeds) for name in ("fp32.onnx", "model.onnx")
    )
    assert np.array_equal(exact[1], near[1])
    norms = np.linalg.norm(exact[0]) * np.linalg.norm(near[0])
    assert np.sum(exact[0] * near[0]) / norms > 0.98


def test_a_turned_weight_in_a_branch_is_stored_once(tmp_path: Path):
    """Both branches of an If read one copy in the graph around them (merged decoders)."""
    pytest.importorskip("onnx_ir", reason="ONNX Runtime's int4 quantizer needs it")
    whole = tied("transpose")
    branches = [
        helper.make_graph(
            [
                helper.make_node("Transpose", ["table"], [f"t{side}"]),
                helper.make_node("MatMul", ["x", f"t{side}"], [f"y{side}"]),
            ],
            side,
            [],
            [helper.make_tensor_value_info(f"y{side}", TensorProto.FLOAT, ["n", 96])],
        )
        for side in ("a", "b")
    ]
    chosen = helper.make_node(
        "If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1]
    )
    whole.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    del whole.graph.node[1:]
    whole.graph.node.append(chosen)
    quantize_graph(whole, "int4", tmp_path / "model.onnx")
    made = onnx.load(tmp_path / "model.onnx")
    inner = [node.op_type for item in made.graph.node[-1].attribute for node in item.g.node]
    assert inner == ["MatMulNBits", "MatMulNBits"]
    feeds = {"x": ROWS, "ids": np.arange(len(ROWS))}
    assert open_graph(tmp_path / "model.onnx").run(None, feeds)[0].shape == (len(ROWS), 96)


def test_a_level_that_is_not_made_this_way_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be made int2"):
        quantize_graph(gemm_and_product(), "int2", tmp_path / "model.onnx")
