"""Decoders that few exporters write: told by shapes; steps give what a whole pass gives."""

import numpy as np
import onnx
import pytest

from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.shapes import shapes_json
from harness.engine.steps_check import steps_check
from harness.models.exported.model import ExportedKind
from tests.models.exported.tiny_graphs import VOCAB, WIDTH, port, read, saved, values
from tests.models.exported.tiny_parts import Tiny

HEADS = 2


def tokens_first() -> onnx.ModelProto:
    """Keys and values [tokens, batch, heads, width]."""
    tiny, width = Tiny(), WIDTH // HEADS
    tiny.weights |= {"split": np.array([0, -1, HEADS, width]), "flat": np.array([0, -1, WIDTH])}
    tiny.weights |= {"zero": np.array(0)}
    heads = tiny.node("Reshape", tiny.x, "split")
    new = tiny.node("Transpose", heads, perm=[1, 0, 2, 3])
    for name in ("key", "value"):
        sizes = ["batch", HEADS, width]
        tiny.kept(f"past_{name}_0", f"present_{name}_0", ["past", *sizes], ["total", *sizes])
        tiny.node("Concat", f"past_{name}_0", new, gives=f"present_{name}_0", axis=0)
    asked = tiny.node("Transpose", heads, perm=[0, 2, 1, 3])
    keys = tiny.node("Transpose", "present_key_0", perm=[1, 2, 3, 0])
    held = tiny.node("Gather", tiny.node("Shape", "past_key_0"), "zero")
    seen = tiny.node("Trilu", tiny.node("MatMul", asked, keys), held, upper=0)
    read_out = tiny.node(
        "MatMul", seen, tiny.node("Transpose", "present_value_0", perm=[1, 2, 0, 3])
    )
    out = tiny.node("Transpose", read_out, perm=[0, 2, 1, 3])
    return tiny.added(tiny.node("Reshape", out, "flat")).logits()


def last_alone(name: str) -> onnx.ModelProto:
    """Logits of the last token, without a dimension of tokens."""
    tiny = Tiny().attention(0)
    tiny.weights |= {"head": values(WIDTH, VOCAB, seed=1), "end": np.array(-1)}
    tiny.node("MatMul", tiny.node("Gather", tiny.x, "end", axis=1), "head", gives=name)
    return tiny._model(port(name, ["batch", VOCAB]))


def unnamed_vectors() -> onnx.ModelProto:
    """Vectors go in, and what they are appended to is called like nothing that is known."""
    tiny = Tiny("x0", takes_vectors=True)
    return tiny.attention(0, HEADS, ("a{0}_{1}", "b{0}_{1}")).logits("y")


DECODERS = {
    "tokens first": (tokens_first, 2 * VOCAB * WIDTH),
    "logits of the last token": (lambda: last_alone("logits"), 2 * VOCAB * WIDTH),
    "the same without a name": (lambda: last_alone("linear_9"), 2 * VOCAB * WIDTH),
    "a mask of another name": (
        lambda: Tiny().masked("bias_4d").attention(0).logits(),
        2 * VOCAB * WIDTH,
    ),
    "vectors and caches without names": (unnamed_vectors, VOCAB * WIDTH),
}


@pytest.mark.parametrize("name", DECODERS)
def test_its_steps_give_what_a_whole_pass_gives(tmp_path, name):
    make, parameters = DECODERS[name]
    found = read(saved(make(), tmp_path))
    assert (found.kind, found.parameters) == (ExportedKind.DECODER, parameters)
    check = steps_check(
        str(found.path(found.main)), shapes_json(ExportedGeometry(found)), "cpu", 1, 2, seed=0
    )
    assert check.agrees
    assert check.difference < 1e-5


def test_one_that_reads_a_single_token_has_nothing_to_compare(tmp_path):
    """Its graph takes one token in every pass: there is no prompt to hold steps against."""
    proto = Tiny().attention(0).logits()
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[1].dim_value = 1
    found = read(saved(proto, tmp_path))
    path, sizes = str(found.path(found.main)), shapes_json(ExportedGeometry(found))
    assert steps_check(path, sizes, "cpu", 1, 1, seed=0).agrees is None
