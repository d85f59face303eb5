"""True parameters, counted from what graphs store."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.models.exported.tiny_graphs import (
    VOCAB,
    WIDTH,
    external,
    ids,
    language_model,
    model,
    port,
    read,
    saved,
    values,
)

TABLE = VOCAB * WIDTH


def product(op: str, inputs: list[str], **attributes: object):
    """One product over the hidden state, which leads nowhere."""
    domain = "com.microsoft" if op in ("MatMulNBits", "DynamicQuantizeMatMul") else ""
    return helper.make_node(op, inputs, ["y"], domain=domain, **attributes)


def counted(folder: Path, proto) -> tuple[int, int, dict[str, int]]:
    found = read(saved(proto, folder))
    by_level = {row.level: row.parameters for row in found.storages}
    return found.parameters, found.weights_bytes, by_level


def test_floats_count_once_each(tmp_path: Path):
    """A table and a head of their own: 2 · 40 · 32 values of 4 bytes."""
    assert counted(tmp_path, language_model()) == (2 * TABLE, 8 * TABLE, {"fp32": 2 * TABLE})


def test_data_in_a_file_of_its_own_counts_as_well(tmp_path: Path):
    """The same model with external data."""
    found = read(external(language_model(), tmp_path))
    assert (found.parameters, found.weights_bytes) == (2 * TABLE, 8 * TABLE)
    assert [file.name for file in found.data_files] == ["model.onnx.data"]


def test_a_turned_copy_of_the_table_is_the_head_once_more(tmp_path: Path):
    """Exporters fold the transpose of a tied head: stored twice, trained once."""
    tied = language_model(head=np.ascontiguousarray(values(VOCAB, WIDTH).T))
    assert counted(tmp_path, tied)[:2] == (TABLE, 8 * TABLE)


@pytest.mark.parametrize("has_zero_points", [False, True])
def test_blocks_of_matmulnbits(tmp_path: Path, has_zero_points: bool):
    """K = 40 of 48 padded inputs, N = 24: 960 weights; 24·3·8 bytes, 72 scales, 24·2 zeros."""
    weights = {
        "b": np.zeros((24, 3, 8), np.uint8),
        "scales": values(24 * 3),
        **({"zeros": np.zeros(24 * 2, np.uint8)} if has_zero_points else {}),
    }
    node = product("MatMulNBits", ["x", *weights], K=40, N=24, bits=4, block_size=16)
    total, stored, levels = counted(tmp_path, language_model([node], weights))
    assert total == 2 * TABLE + 960
    assert stored == 8 * TABLE + 24 * 3 * 8 + 4 * 72 + (48 if has_zero_points else 0)
    assert levels["int4 b16 (MatMulNBits)"] == 960


def test_a_quantized_head_is_the_table_once_more(tmp_path: Path):
    """Four bits of the same values are tied to them; four bits of others are not."""
    for seed, expected in ((0, TABLE), (7, 2 * TABLE)):
        table = values(VOCAB, WIDTH, seed=seed)
        scales = np.abs(table).max(axis=1) / 7
        whole = np.clip(np.rint(table / scales[:, None]) + 8, 0, 15).astype(np.uint8)
        packed = (whole[:, 0::2] | whole[:, 1::2] << 4).reshape(VOCAB, 1, WIDTH // 2)
        weights = {"table": values(VOCAB, WIDTH), "b": packed, "scales": scales}
        proto = model(
            [
                helper.make_node("Gather", ["table", "input_ids"], ["x"]),
                helper.make_node(
                    *("MatMulNBits", ["x", "b", "scales"], ["logits"]),
                    domain="com.microsoft",
                    K=WIDTH,
                    N=VOCAB,
                    bits=4,
                    block_size=32,
                ),
            ],
            [ids()],
            [port("logits", ["batch", "tokens", VOCAB])],
            weights,
        )
        assert counted(tmp_path, proto)[0] == expected


@pytest.mark.parametrize(
    ("attributes", "scales", "level"),
    [
        ({"axis": 1}, (48,), "per channel "),
        ({"axis": 0, "block_size": 16}, (2, 48), "b16 "),
        ({}, (), ""),
    ],
)
@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_dequantized_weights(tmp_path: Path, kind: str, attributes, scales, level: str):
    """32 · 48 integers before a product: their parameters, the bytes of their type."""
    dtype = np.int8 if kind == "int8" else ml_dtypes.int4
    weights = {"q": np.ones((WIDTH, 48), dtype), "s": np.ones(scales, np.float32)}
    dequantize = helper.make_node("DequantizeLinear", ["q", "s"], ["w"], **attributes)
    nodes = [dequantize, product("MatMul", ["x", "w"])]
    total, stored, levels = counted(tmp_path, language_model(nodes, weights))
    bits = 8 if kind == "int8" else 4
    assert total == 2 * TABLE + WIDTH * 48
    assert stored == 8 * TABLE + WIDTH * 48 * bits // 8 + 4 * int(np.prod(scales))
    assert levels[f"{kind} {level}(DequantizeLinear)"] == WIDTH * 48


def test_integer_products_of_activations_quantized_at_run_time(tmp_path: Path):
    """MatMulInteger: the scale is multiplied in later and is no parameter."""
    weights = {
        "q": np.ones((WIDTH, 48), np.uint8),
        "zero": np.full(48, 128, np.uint8),
        "w_scale": values(48),
    }
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        helper.make_node("MatMulInteger", ["xq", "q", "xz", "zero"], ["i"]),
        helper.make_node("Mul", ["xs", "w_scale"], ["scale"]),
    ]
    total, stored, levels = counted(tmp_path, language_model(nodes, weights))
    assert total == 2 * TABLE + WIDTH * 48
    assert stored == 8 * TABLE + WIDTH * 48 + 48 + 4 * 48
    assert levels["int8 per channel (MatMulInteger)"] == WIDTH * 48


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision(tmp_path: Path, dtype):
    """Two bytes a value."""
    nodes = [product("Gather", ["half", "input_ids"])]
    weights = {"half": values(50, 16).astype(dtype)}
    total, stored, _ = counted(tmp_path, language_model(nodes, weights))
    assert (total, stored) == (2 * TABLE + 800, 8 * TABLE + 1600)


def angles(of) -> np.ndarray:
    frequencies = 10_000.0 ** (-np.arange(8) / 8)
    return of(np.arange(20)[:, None] * frequencies[None, :]).astype(np.float32)


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([("Mul", ["x", "one"])], {"one": np.array([2.0], np.float32)}),
        ([("Gather", ["cos", "input_ids"])], {"cos": angles(np.cos)}),
        ([("Gather", ["sin", "input_ids"])], {"sin": angles(np.sin)}),
        ([("Add", ["x", "m"])], {"m": np.triu(np.full((32, 32), -3.4e38, np.float32), 1)}),
        ([("Gather", ["mask", "input_ids"])], {"mask": np.tri(32, dtype=np.bool_)}),
        ([("Reshape", ["x", "shape"])], {"shape": np.array([0, 0, 4, 8])}),
        ([("Unsqueeze", ["f", "axes"]), ("Cos", ["y"])], {"f": values(8), "axes": np.array([0])}),
        ([], {"unused": values(9, 9)}),
    ],
    ids=["scalar", "cosines", "sines", "mask", "bools", "shape", "frequencies", "unused"],
)
def test_what_is_no_weight_is_left_out(tmp_path: Path, nodes, weights):
    """One rule of harness.models.exported.constants each."""
    outputs = [["y"], ["z"]]
    made = [helper.make_node(op, inputs, outputs[at]) for at, (op, inputs) in enumerate(nodes)]
    assert counted(tmp_path, language_model(made, weights))[0] == 2 * TABLE


def test_equal_vectors_are_weights_of_their_own(tmp_path: Path):
    """Norms of all ones are trained apart, however alike they begin."""
    ones = np.ones(WIDTH, np.float32)
    nodes = [
        helper.make_node("Mul", ["x", "norm0"], ["a"]),
        helper.make_node("Mul", ["a", "norm1"], ["b"]),
    ]
    weights = {"norm0": ones, "norm1": ones}
    assert counted(tmp_path, language_model(nodes, weights))[0] == 2 * TABLE + 2 * WIDTH


def test_equal_matrices_are_one_set_of_weights(tmp_path: Path):
    """A layer that two places share and the exporter stored twice."""
    shared = values(WIDTH, WIDTH, seed=3)
    nodes = [
        helper.make_node("MatMul", ["x", "one"], ["a"]),
        helper.make_node("MatMul", ["a", "two"], ["b"]),
    ]
    weights = {"one": shared, "two": shared}
    total, stored, _ = counted(tmp_path, language_model(nodes, weights))
    assert (total, stored) == (2 * TABLE + WIDTH**2, 8 * TABLE + 8 * WIDTH**2)


def test_weights_of_branches_count(tmp_path: Path):
    """A matrix inside a branch of an If is as much a weight as one outside."""
    inner = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values(WIDTH, 8), "w")],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["out2"])],
        "other",
        [],
        [helper.make_tensor_value_info("out2", TensorProto.FLOAT, None)],
    )
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=other)]
    proto = language_model(nodes, {"yes": np.array(True)})
    assert counted(tmp_path, proto)[0] == 2 * TABLE + 8 * WIDTH


def test_a_head_in_blocks_of_negative_scales_is_the_table(tmp_path: Path):
    """ONNX Runtime's symmetric blocks divide by their signed extreme: w = -8 · scale at it.

    Here in every block the extreme is positive, so that all scales are negative and integers fall
    where weights rise.
    """
    table = values(VOCAB, WIDTH)
    table *= np.where(table.max(axis=1) > -table.min(axis=1), 1, -1)[:, None]
    scales = table.max(axis=1) / -8
    whole = np.clip(np.rint(table / scales[:, None]), -8, 7).astype(np.int8) + 8
    packed = (whole[:, ::2] | whole[:, 1::2] << 4).astype(np.uint8)[:, None, :]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node(
            "MatMulNBits",
            ["x", "packed", "scales"],
            ["logits"],
            domain="com.microsoft",
            N=VOCAB,
            K=WIDTH,
            bits=4,
            block_size=WIDTH,
        ),
    ]
    stored = {"table": table, "packed": packed, "scales": scales.astype(np.float32)[:, None]}
    logits = port("logits", ["batch", "tokens", VOCAB])
    found, _, _ = counted(tmp_path, model(nodes, [ids()], [logits], stored))
    assert found == TABLE
