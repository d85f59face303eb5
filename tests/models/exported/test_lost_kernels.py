"""Operators that onnxruntime takes apart because the CPU has no kernel of their version."""

from pathlib import Path

import pytest
from onnx import ModelProto, helper

from harness.devices.operators import known_operators
from harness.devices.placement import COMPUTE_OPERATORS
from harness.models.exported.model import ExportedModel, ExportedSource
from harness.runner.models.exported import exported_model
from tests.models.exported.tiny_graphs import (
    VOCAB,
    WIDTH,
    ids,
    language_model,
    model,
    port,
    read,
    saved,
    values,
)

HEADS, TAPS = 2, 4


def mixed(node, opset: int, weights=None) -> ModelProto:
    """A decoder without past whose tokens are mixed by one node from `x` to `y`."""
    body = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        *node,
        helper.make_node("MatMul", ["y", "head"], ["logits"]),
    ]
    stored = {"table": values(VOCAB, WIDTH), "head": values(WIDTH, VOCAB, seed=1)}
    logits = port("logits", ["batch", "tokens", VOCAB])
    proto = model(body, [ids()], [logits], {**stored, **(weights or {})})
    proto.opset_import[0].version = opset
    proto.ir_version = 13
    return proto


def attention(opset: int) -> ModelProto:
    sizes = {"q_num_heads": HEADS, "kv_num_heads": HEADS, "is_causal": 1}
    return mixed([helper.make_node("Attention", ["x", "x", "x"], ["y"], **sizes)], opset)


def linear_attention(opset: int) -> ModelProto:
    sizes = {"q_num_heads": HEADS, "kv_num_heads": HEADS, "update_rule": "linear"}
    node = helper.make_node("LinearAttention", ["x", "x", "x"], ["y", "state"], **sizes)
    return mixed([node], opset)


def convolution(opset: int) -> ModelProto:
    nodes = [
        helper.make_node("Transpose", ["x"], ["channels"], perm=[0, 2, 1]),
        helper.make_node("CausalConvWithState", ["channels", "taps"], ["mixed", "state"]),
        helper.make_node("Transpose", ["mixed"], ["y"], perm=[0, 2, 1]),
    ]
    return mixed(nodes, opset, {"taps": values(WIDTH, 1, TAPS, seed=2)})


def note_of(found: ExportedModel) -> str:
    return next((note for note in found.notes if "no CPU kernel" in note), "")


@pytest.mark.parametrize(
    ("proto", "operator", "least"),
    [
        (attention(25), "Attention (opset 25)", 20),
        (attention(26), "Attention (opset 26)", 20),
        (linear_attention(27), "LinearAttention (opset 27)", 20),
        (convolution(27), "CausalConvWithState (opset 27)", 5),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_kernel_is_named_with_what_the_graph_becomes(
    tmp_path: Path, proto, operator, least
):
    """One node of it becomes dozens, which a row of the file says too."""
    saved(proto, tmp_path)
    found = read(tmp_path)
    assert found.main.lost_operators == {operator: 1}
    assert found.main.nodes == len(proto.graph.node)
    assert found.main.loaded_nodes > found.main.nodes + least
    note = note_of(found)
    assert f"for 1 {operator}" in note
    assert f"{found.main.nodes} nodes of model.onnx become {found.main.loaded_nodes}" in note
    assert exported_model(ExportedSource("m", found)).recognition(None, None).notes == found.notes


@pytest.mark.parametrize(
    "proto", [attention(23), attention(24), language_model()], ids=["23", "24", "none"]
)
def test_what_has_its_kernel_is_not_asked_after(tmp_path: Path, proto):
    """A session is opened for the count only where something is taken apart."""
    saved(proto, tmp_path)
    found = read(tmp_path)
    assert (found.main.lost_operators, found.main.loaded_nodes) == ({}, None)
    assert note_of(found) == ""


def test_a_kernel_without_a_last_version_serves_its_first_alone():
    """As onnxruntime has it: MatMul of opset 13 serves 26, Attention of 24 does not serve 25."""
    known = known_operators()
    assert known.has_kernel(("", "MatMul"), 26)
    assert known.has_kernel(("", "Attention"), 24)
    assert not known.has_kernel(("", "Attention"), 25)
    assert known.has_kernel(("com.microsoft", "GroupQueryAttention"), 1)


def test_recurrences_and_mixtures_do_arithmetic():
    """A provider that leaves them to another one has not done the work."""
    needed = {"LinearAttention", "CausalConvWithState", "GatedDeltaNet", "MoE", "QMoE"}
    assert needed <= COMPUTE_OPERATORS
