"""The graphs that peaks are measured on do the work that their constants are divided by."""

from itertools import pairwise

import numpy as np
import onnx
import pytest

from harness.builder.graph.micro import (
    Heads,
    write_attention,
    write_attention_stack,
    write_matrix_chain,
    write_operator_chain,
    write_operator_stack,
)
from harness.builder.quantize.levels import CACHES, LEVELS
from tests.builder.graph.run_graph import open_graph

HIDDEN, WIDE = 128, 256


def run(path, **inputs):
    session = open_graph(str(path))
    return session.run(None, inputs)


def chain(tmp_path, level, matrices):
    path = tmp_path / f"{level}.{matrices}.onnx"
    write_matrix_chain(path, LEVELS[level], HIDDEN, WIDE, matrices)
    return path


def test_chain_is_the_product_of_its_matrices(tmp_path):
    """Four matrices, the second pair almost the first one: x · A · B · A' · B'."""
    path = chain(tmp_path, "fp32", 4)
    weights = [onnx.numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer]
    assert [w.shape for w in weights] == [(HIDDEN, WIDE), (WIDE, HIDDEN)] * 2
    hidden = np.linspace(-1, 1, 3 * HIDDEN, dtype=np.float32).reshape(1, 3, HIDDEN)
    (product,) = run(path, hidden=hidden)
    expected = hidden @ weights[0] @ weights[1] @ weights[2] @ weights[3]
    np.testing.assert_allclose(product, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("level", LEVELS)
def test_matrices_have_bytes_of_their_own(tmp_path, level):
    """No two initializers overlap: a chain that shared bytes would stay in the cache."""
    path = chain(tmp_path, level, 6)
    model = onnx.load(path, load_external_data=False)
    places = []
    for tensor in model.graph.initializer:
        fields = {entry.key: entry.value for entry in tensor.external_data}
        begin = int(fields["offset"])
        places.append((begin, begin + int(fields["length"])))
    places.sort()
    assert all(end <= begin for (_, end), (begin, _) in pairwise(places))
    # Equal weights are kept once by ONNX Runtime, and would be read from a cache.
    data = path.with_name(f"{path.name}.data").read_bytes()
    large = [data[begin:end] for begin, end in places if end - begin > 4 * max(HIDDEN, WIDE)]
    assert len(large) >= 6
    assert len(set(large)) >= 6
    dtype = np.float16 if level == "fp16" else np.float32
    hidden = np.ones((1, 2, HIDDEN), dtype=dtype)
    (product,) = run(path, hidden=hidden)
    assert np.isfinite(product).all()
    assert np.abs(product).max() > 0


def test_operators_are_counted_and_stay_finite(tmp_path):
    """Four a layer: norm, sigmoid, two products; 50 layers neither overflow nor die."""
    path = tmp_path / "operators.onnx"
    assert write_operator_chain(path, 32, 50) == 200
    (product,) = run(path, hidden=np.ones((1, 1, 32), dtype=np.float32))
    assert np.isfinite(product).all()
    assert np.abs(product).max() > 0


def test_a_stack_has_operators_between_its_matrices(tmp_path):
    """After each of 6 matrices a norm, a sigmoid, two products and a norm."""
    path = tmp_path / "stack.onnx"
    assert write_operator_stack(path, LEVELS["int4"], HIDDEN, 6) == 30
    nodes = [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]
    assert nodes.count("MatMulNBits") == 6
    (product,) = run(path, hidden=np.ones((1, 1, HIDDEN), dtype=np.float32))
    assert np.isfinite(product).all()
    assert np.abs(product).max() > 0


def test_a_stack_of_attentions_depends_on_every_matrix(tmp_path):
    """Each attention reads what a matrix gave it, so they run in turn and not all at once."""
    path = tmp_path / "stack.onnx"
    write_attention_stack(path, LEVELS["int4"], Heads(3, 4, 2, 32, 8))
    nodes = onnx.load(path, load_external_data=False).graph.node
    kinds = [node.op_type for node in nodes if node.op_type != "Constant"]
    assert kinds == ["MatMulNBits", "GroupQueryAttention", "MatMulNBits"] * 3
    for before, after in pairwise(node for node in nodes if node.op_type != "Constant"):
        assert before.output[0] in after.input
    caches = {
        f"past.{layer}.{half}": np.zeros((1, 2, 8, 32), dtype=np.float32)
        for layer in range(3)
        for half in ("key", "value")
    }
    product, *_ = run(
        path,
        hidden=np.ones((1, 1, 128), dtype=np.float32),
        last_index=np.array([1], dtype=np.int32),
        total_tokens=np.array(2, dtype=np.int32),
        **caches,
    )
    assert np.isfinite(product).all()


# what a cached 1 is stored as, and what the new value comes back as
@pytest.mark.parametrize(
    ("level", "one", "new"),
    [("fp32", 1.0, 2.0), ("int8", 21, 42 * 6 / 127), ("int4", 0xAA, 4 * 3.4 / 7)],
)
def test_attention_of_equal_keys_is_the_mean_of_the_values(tmp_path, level, one, new):
    """A query of zeros weighs every position alike: (3 · cached + new) / 4.

    Scales of normal values: 4 · 1.5 / 127 and 4 · 0.85 / 7; 21 steps are 0.99, 2 steps 0.97.
    """
    path, stored = tmp_path / "attention.onnx", CACHES[level]
    write_attention(path, Heads(1, heads=2, kv_heads=1, head_dim=16, capacity_tokens=8), stored)
    packed = np.zeros((1, 1, 64), dtype=np.float32)
    packed[..., 48:] = 2.0  # the value of the new token
    cache = np.full((1, 1, 8, stored.stored_width(16)), one, dtype=stored.dtype)
    cached = {"fp32": 1.0, "int8": 21 * 6 / 127, "int4": 2 * 3.4 / 7}[level]
    last, total = np.array([3], dtype=np.int32), np.array(4, dtype=np.int32)
    attended, *_ = run(
        path,
        packed=packed,
        last_index=last,
        total_tokens=total,
        **{"past.0.key": cache, "past.0.value": cache},
    )
    np.testing.assert_allclose(attended, (3 * cached + new) / 4, rtol=1e-5)


def test_a_window_hides_what_is_further_off(tmp_path):
    """Of three cached values of 1 and a new one of 2, a window of 2 sees (1 + 2) / 2."""
    path = tmp_path / "attention.onnx"
    write_attention(path, Heads(1, 2, 1, 16, capacity_tokens=8, window_tokens=2))
    packed = np.zeros((1, 1, 64), dtype=np.float32)
    packed[..., 48:] = 2.0
    cache = np.ones((1, 1, 8, 16), dtype=np.float32)
    attended, *_ = run(
        path,
        packed=packed,
        last_index=np.array([3], dtype=np.int32),
        total_tokens=np.array(4, dtype=np.int32),
        **{"past.0.key": cache, "past.0.value": cache},
    )
    np.testing.assert_allclose(attended, 1.5, rtol=1e-5)
