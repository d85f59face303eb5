"""Matrices of scores that live at once, counted between the two products of attention."""

import onnx
import pytest
from onnx import TensorProto, helper

from harness.models.exported.flat import flatten
from harness.models.exported.scores import score_arrays
from tests.exports import EXPORTS


def attention(*between, behind=(), first=("q", "k"), last="v"):
    """A product, operators one after the other with their other inputs, and a product."""
    nodes, name = [helper.make_node("MatMul", first, ["s0"])], "s0"
    for number, words in enumerate([*between, ("Softmax", "_"), *behind], start=1):
        op, *inputs = words
        new = f"s{number}"
        nodes.append(
            helper.make_node(op, [name if word == "_" else word for word in inputs], [new])
        )
        name = new
    nodes.append(helper.make_node("MatMul", [name, last], ["out"]))
    ports = {"q", "k", "v", "mask", "truths"} - {"out"}
    graph = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in sorted(ports)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [helper.make_tensor("stored", TensorProto.FLOAT, [1], [0.0])],
    )
    return score_arrays(flatten(helper.make_model(graph)))


@pytest.mark.parametrize(
    ("between", "behind", "arrays"),
    [
        ((), (), 2),
        ((("Mul", "_", "stored"), ("Add", "_", "mask")), (), 2),
        # what is taken, what is chosen of it, and what comes out
        ((("Where", "truths", "_", "stored"),), (), 3),
        # truths, probabilities, what is chosen of each of two, and what comes out
        ((("Add", "_", "mask"),), (("IsNaN", "_"), ("Where", "_", "stored", "s2")), 5),
    ],
    ids=["plain", "scaled and masked", "masked by a choice", "rid of what is no number"],
)
def test_the_widest_moment_is_counted(between, behind, arrays):
    assert attention(*between, behind=behind) == arrays


def test_a_softmax_elsewhere_is_no_attention():
    """That of a router stands behind a stored matrix, that of a sampler before no product."""
    assert attention(first=("q", "stored")) == 0
    assert attention(last="stored") == 0
    assert attention(behind=(("ReduceSum", "_"),)) == 0


@pytest.mark.parametrize(
    ("name", "arrays"),
    [("optimum/llama-past", 5), ("optimum/bert", 2), ("genai/llama-fp32", 0)],
)
def test_what_exporters_write_is_counted(name, arrays):
    graph = onnx.load(EXPORTS / name / "model.onnx", load_external_data=False)
    assert score_arrays(flatten(graph)) == arrays
