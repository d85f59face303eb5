"""Decoders that no exporter here writes, recognised and then decoded: masks, caches, batches."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.engine.exported import feeds
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.shapes import shapes_json
from harness.engine.steps_check import steps_check
from tests.models.exported.tiny_graphs import VOCAB, WIDTH, ids, model, port, read, saved, values

CACHES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}
HIDES = {"float": TensorProto.FLOAT, "bool": TensorProto.BOOL}


def attention_model(cache, mask):
    """Two layers of plain attention with growing caches under a mask [batch, 1, tokens, all]."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["x0"])]
    inputs = [ids(), port("attention_mask", ["batch", 1, "tokens", "all"], HIDES[mask])]
    outputs = [port("logits", ["batch", "tokens", VOCAB])]
    for layer in (0, 1):
        nodes += layer_nodes(layer, CACHES[cache], mask)
        for half in ("key", "value"):
            past, present = f"past_key_values.{layer}.{half}", f"present.{layer}.{half}"
            inputs.append(port(past, ["batch", 1, "past", WIDTH], CACHES[cache]))
            outputs.append(port(present, ["batch", 1, "all", WIDTH], CACHES[cache]))
    nodes.append(helper.make_node("MatMul", ["x2", "head"], ["logits"]))
    weights = {
        "table": values(VOCAB, WIDTH) / 10,  # scores near 0: every token sees the others
        "head": values(WIDTH, VOCAB, seed=1),
        "one": np.array([1], np.int64),
        "least": np.array(-1e9, np.float32),
    }
    return model(nodes, inputs, outputs, weights)


def layer_nodes(layer, kind, mask):
    """From x0 to x1, or from x1 to x2: every token adds what it sees of all before it."""

    def node(op, takes, gives, **attributes):
        """Names that end in a dot belong to this layer."""
        own = [
            [f"{name}{layer}" if name.endswith(".") else name for name in names]
            for names in (takes, gives)
        ]
        return helper.make_node(op, *own, **attributes)

    caches = []
    for half in ("key", "value"):
        past, present = f"past_key_values.{layer}.{half}", f"present.{layer}.{half}"
        caches += [
            node("Cast", ["query."], [f"new_{half}."], to=kind),
            node("Concat", [past, f"new_{half}."], [present], axis=2),
            node("Cast", [present], [f"all_{half}."], to=TensorProto.FLOAT),
        ]
    added, chosen = ["scores.", "attention_mask"], ["attention_mask", "scores.", "least"]
    return [
        node("Unsqueeze", [f"x{layer}", "one"], ["query."]),
        *caches,
        node("Transpose", ["all_key."], ["turned."], perm=[0, 1, 3, 2]),
        node("MatMul", ["query.", "turned."], ["scores."]),
        node("Add", added, ["hidden."]) if mask == "float" else node("Where", chosen, ["hidden."]),
        node("Softmax", ["hidden."], ["shares."], axis=-1),
        node("MatMul", ["shares.", "all_value."], ["seen."]),
        node("Squeeze", ["seen.", "one"], ["out."]),
        node("Add", [f"x{layer}", "out."], [f"x{layer + 1}"]),
    ]


def checked(folder, cache="float32", mask="float", batch=1):
    """What the check of the runner says of such a model."""
    found = read(saved(attention_model(cache, mask), folder))
    assert found.main.mask_rank == 4
    assert found.main.cache.element_type == cache
    geometry = ExportedGeometry(found)
    path = str(found.path(found.main))
    return steps_check(path, shapes_json(geometry), "cpu", threads=1, batch=batch, seed=0)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("mask", HIDES)
@pytest.mark.parametrize("cache", CACHES)
def test_steps_continue_the_prompt_under_a_mask_of_four_dimensions(tmp_path, cache, mask, batch):
    """Masks that are added or that choose, caches of three types, several sequences at once."""
    assert checked(tmp_path, cache, mask, batch).agrees


def test_a_mask_that_hides_nothing_is_found(tmp_path, monkeypatch):
    """Tokens that see later ones in the whole pass do not see them in the steps."""
    assert checked(tmp_path).difference < 1e-5

    def nothing_hidden(port, ids, held_tokens):
        batch, tokens = ids.shape
        return np.zeros((batch, 1, tokens, held_tokens + tokens), np.float32)

    monkeypatch.setattr(feeds, "_mask", nothing_hidden)
    assert not checked(tmp_path).agrees
