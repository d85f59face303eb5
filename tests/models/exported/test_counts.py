"""What a file stores and what of it is weights: new types, operators without a rule, copies."""

import json
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from harness.core.errors import ModelError, UsageError
from harness.models.configs.config import spec_from_config
from harness.models.exported.model import ExportedModel, ExportedSource
from harness.models.specs.tensors import parameters
from harness.runner.models.exported import exported_model
from harness.runner.plan import make_plan
from harness.runner.settings import Settings
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

MATRIX = VOCAB * WIDTH  # 1,280 values


def node(op: str, inputs: str, outputs: str, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def logits_of(nodes, stored, opset: int = 23) -> ExportedModel:
    """A graph of a float table and of a `head` that `nodes` make of what is stored."""
    proto = model(
        [
            node("Gather", "table input_ids", "x"),
            *nodes,
            node("MatMul", "x head", "logits"),
        ],
        [ids()],
        [port("logits", ["batch", "tokens", VOCAB])],
        {"table": values(VOCAB, WIDTH)},
    )
    proto.graph.initializer.extend(stored)
    proto.opset_import[0].version = opset
    proto.ir_version = 11
    return proto


def levels(found: ExportedModel) -> dict[str, int]:
    return {row.level: row.parameters for row in found.storages}


@pytest.mark.parametrize(
    ("kind", "bits", "level"),
    [
        (TensorProto.FLOAT4E2M1, 4, "fp4 b32 (DequantizeLinear)"),
        (TensorProto.FLOAT8E4M3FN, 8, "float8e4m3fn b32 (DequantizeLinear)"),
        (TensorProto.UINT4, 4, "int4 b32 (DequantizeLinear)"),
    ],
)
def test_a_number_type_is_called_by_its_name(tmp_path: Path, kind: int, bits: int, level: str):
    """1,280 values of the head in blocks of 32, and as many of the table at fp32."""
    raw = bytes(range(1, 128)) * 12
    head = helper.make_tensor("q", kind, (WIDTH, VOCAB), raw[: MATRIX * bits // 8], raw=True)
    scale = numpy_helper.from_array(np.full((1, VOCAB), 0.1, np.float32), "s")
    nodes = [node("DequantizeLinear", "q s", "head", axis=0, block_size=32)]
    found = read(saved(logits_of(nodes, [head, scale]), tmp_path))
    assert levels(found) == {level: MATRIX, "fp32": MATRIX}
    assert found.unread_bytes == 0
    kernels = exported_model(ExportedSource("m", found)).kernels
    row = exported_model(ExportedSource("m", replace(found, storages=found.storages[:1]))).levels()
    assert (kernels(row[0]) is not None) == level.startswith("int4")


def test_scales_that_are_quantized_are_no_weights(tmp_path: Path):
    """Double quantization: int8 scales, which DequantizeLinear makes floats of first."""
    head = helper.make_tensor(
        "q", TensorProto.UINT4, (WIDTH, VOCAB), bytes(range(128)) * 5, raw=True
    )
    inner = numpy_helper.from_array(np.ones((1, VOCAB), np.int8), "sq")
    outer = numpy_helper.from_array(np.array(0.1, np.float32), "ss")
    nodes = [
        node("DequantizeLinear", "sq ss", "s"),
        node("DequantizeLinear", "q s", "head", axis=0, block_size=32),
    ]
    found = read(saved(logits_of(nodes, [head, inner, outer]), tmp_path))
    assert found.parameters == 2 * MATRIX
    assert found.storages[0].stored_bytes + found.storages[1].stored_bytes == found.weights_bytes
    assert found.weights_bytes == MATRIX // 2 + VOCAB + 4 + MATRIX * 4


def test_integers_that_plain_operators_make_floats_of_are_weights(tmp_path: Path):
    """int8 cast to float, less a zero point, times a scale of each column."""
    head = numpy_helper.from_array(
        np.random.default_rng(0).integers(-127, 127, (WIDTH, VOCAB), np.int8), "q"
    )
    scale = numpy_helper.from_array(np.full((1, VOCAB), 0.1, np.float32), "s")
    zero = numpy_helper.from_array(np.full((1, VOCAB), 3, np.int8), "z")
    nodes = [
        node("Cast", "q", "f", to=1),
        node("Cast", "z", "zf", to=1),
        node("Sub", "f zf", "d"),
        node("Mul", "d s", "head"),
    ]
    found = read(saved(logits_of(nodes, [head, scale, zero]), tmp_path))
    assert levels(found) == {"int8 (Cast)": MATRIX, "fp32": MATRIX}


def test_embeddings_with_quantized_norms_count_all_five_of_their_weights(tmp_path: Path):
    """40 words, 8 positions, 2 types of 32 values, and two vectors: 1,664 at 8 bits."""
    names = ["word", "place", "type", "gamma", "beta"]
    rows = {"word": VOCAB, "place": 8, "type": 2, "gamma": None, "beta": None}
    stored = {
        name: np.ones((WIDTH,) if count is None else (count, WIDTH), np.uint8) * (at + 1)
        for at, (name, count) in enumerate(rows.items())
    }
    stored |= {f"{name}_s": np.array(0.01, np.float32) for name in names}
    stored |= {f"{name}_z": np.array(128, np.uint8) for name in names}
    scales = " ".join([f"{name}_s" for name in names] + [f"{name}_z" for name in names])
    inputs = ["ids32", "types32", *names, "", *scales.split()]
    embed = helper.make_node(
        "QEmbedLayerNormalization", inputs, ["last_hidden_state", "m"], domain="com.microsoft"
    )
    proto = model(
        [
            node("Cast", "input_ids", "ids32", to=6),
            node("Cast", "token_type_ids", "types32", to=6),
            embed,
        ],
        [ids(), ids("token_type_ids")],
        [port("last_hidden_state", ["batch", "tokens", WIDTH])],
        stored,
    )
    found = read(saved(proto, tmp_path))
    assert {row.bits: row.parameters for row in found.storages} == {8: 50 * WIDTH + 2 * WIDTH}
    assert found.unread_bytes == 0


def test_what_no_rule_reads_is_shown_as_such(tmp_path: Path):
    """1,280 bytes that an operator nobody knows reads, beside 5,120 bytes of floats: 20 %."""
    strange = numpy_helper.from_array(np.full((VOCAB, WIDTH), 7, np.uint8), "q")
    nodes = [
        helper.make_node("QOrderedLongformerAttention", ["q"], ["head"], domain="com.microsoft")
    ]
    found = read(saved(logits_of(nodes, [strange]), tmp_path))
    assert (found.parameters, found.unread_bytes) == (MATRIX, MATRIX)
    assert any(note.startswith("20% of its stored weights") for note in found.notes)
    facts = exported_model(ExportedSource("m", found)).facts()
    assert facts["unread_bytes"] == MATRIX
    assert facts["levels"] == ["fp32"]  # nothing is made of what is not understood


def test_a_file_of_which_nothing_is_read_is_not_fp32(tmp_path: Path):
    strange = numpy_helper.from_array(np.full((VOCAB, WIDTH), 7, np.uint8), "q")
    proto = model(
        [helper.make_node("QOrderedGelu", ["x", "q", "q"], ["y"], domain="com.microsoft")],
        [port("x", [1, 4])],
        [port("y", [1, 4])],
    )
    proto.graph.initializer.append(strange)
    found = read(saved(proto, tmp_path))
    assert (found.level, found.parameters) == ("unknown", 0)
    assert found.notes[0].startswith("100%")


def test_sizes_places_and_masks_are_no_unread_weights(tmp_path: Path):
    """A long list of positions, a mask of bytes, small zero points."""
    stored = [
        numpy_helper.from_array(np.arange(4096), "places"),
        numpy_helper.from_array(np.tri(64, dtype=np.uint8), "mask"),
        numpy_helper.from_array(np.array(3, np.uint8), "zero"),
    ]
    nodes = [
        node("Cast", "mask", "m", to=1),
        node("Mul", "m m", "unused"),
        node("Gather", "places input_ids", "p"),
        node("Transpose", "table", "head", perm=[1, 0]),
    ]
    found = read(saved(logits_of(nodes, stored), tmp_path))
    assert found.parameters == MATRIX


def compiled(tmp_path: Path, source: str = "QNN") -> Path:
    """A graph that a provider has compiled, its context in a file beside it."""
    context = helper.make_node(
        "EPContext",
        ["x"],
        ["y"],
        domain="com.microsoft",
        embed_mode=0,
        ep_cache_context="m.bin",
        source=source,
    )
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "m.bin").write_bytes(bytes(4096))
    return saved(model([context], [port("x", [1, 16])], [port("y", [1, 16])]), tmp_path)


def test_a_compiled_graph_names_its_device_and_offers_no_levels(tmp_path: Path):
    found = read(compiled(tmp_path))
    assert (found.level, found.compiled_for) == ("compiled", "QNN")
    assert [file.name for file in found.data_files] == ["m.bin"]
    facts = exported_model(ExportedSource("m", found)).facts()
    assert facts["levels"] == ["compiled"]
    assert facts["notes"] == ["compiled for QNN: the size of its weights is not known"]


def test_a_compiled_graph_is_refused_on_another_device(tmp_path: Path):
    """Before anything runs, and with the device that it wants."""
    compiled(tmp_path / "m")
    with pytest.raises(UsageError, match="compiled for QNN, and --device cpu") as caught:
        make_plan(Settings(model=(str(tmp_path / "m"),)), 1, folder=tmp_path / "cache")
    assert "--device qnn" in caught.value.fix


def test_the_context_of_a_compiled_graph_lies_in_its_folder(tmp_path: Path):
    path = compiled(tmp_path)
    content = path.read_bytes().replace(b"m.bin", b"../.b")
    path.write_bytes(content)
    with pytest.raises(ModelError, match="outside"):
        read(path)


def test_a_tied_table_that_is_stored_twice_gets_a_note(tmp_path: Path):
    """1,280 parameters, 10,240 bytes: 64 bits a weight, and why."""
    table = values(VOCAB, WIDTH)
    twice = language_model()
    for tensor in twice.graph.initializer:
        turned = table if tuple(tensor.dims) == (VOCAB, WIDTH) else table.T
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(turned), tensor.name))
    found = read(saved(twice, tmp_path))
    assert (found.parameters, found.bits_per_weight) == (MATRIX, 64)
    assert any("stored twice" in note for note in found.notes)
    assert not read(saved(language_model(), tmp_path / "other")).notes


LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": WIDTH,
    "vocab_size": VOCAB,
    "num_hidden_layers": 24,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
}


def test_a_configuration_of_another_size_is_not_believed(tmp_path: Path):
    """24 layers in config.json, none in the graph."""
    saved(language_model(), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    found = read(tmp_path)
    assert found.spec is None
    assert any(note.startswith("no architecture: config.json describes") for note in found.notes)


def test_a_class_that_is_not_known_is_said_to_be_the_reason(tmp_path: Path):
    saved(language_model(), tmp_path)
    other = {**LLAMA, "architectures": ["NovelForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(other), encoding="utf-8")
    assert any("NovelForCausalLM" in note for note in read(tmp_path).notes)


def test_bfloat16_is_a_type_of_its_own(tmp_path: Path):
    stored = numpy_helper.from_array(values(WIDTH, VOCAB).astype(ml_dtypes.bfloat16), "head")
    assert levels(read(saved(logits_of([], [stored]), tmp_path)))["bf16"] == MATRIX


def test_words_that_bits_are_taken_out_of_are_no_nothing(tmp_path: Path):
    """Eight weights in each word of 32 bits, as GPTQ packs them: not read, and so they are said."""
    words = np.random.default_rng(0).integers(0, 2**31, (WIDTH // 8, 1, VOCAB)).astype(np.uint32)
    steps = [("BitShift", ["words", "shifts"], {"direction": "RIGHT"})]
    steps += [("BitwiseAnd", ["shifted", "low"], {}), ("Cast", ["bits"], {"to": 1})]
    names = ("shifted", "bits", "floats")
    nodes = [
        helper.make_node(op, takes, [gives], **attributes)
        for (op, takes, attributes), gives in zip(steps, names, strict=True)
    ]
    nodes.append(helper.make_node("Reshape", ["floats", "sizes"], ["matrix"]))
    nodes.append(helper.make_node("MatMul", ["x", "matrix"], ["more"]))
    stored = {"words": words, "shifts": np.arange(0, 32, 4, dtype=np.uint32).reshape(1, 8, 1)}
    stored |= {"low": np.array(15, np.uint32), "sizes": np.array([WIDTH, VOCAB])}
    found = read(saved(language_model(nodes, stored), tmp_path))
    assert found.unread_bytes == words.nbytes


def normed(scale: NDArray[np.float32], filler: int = 0) -> ModelProto:
    """A language model with three norms of one vector, and so many weights besides."""
    norms = [
        node("SimplifiedLayerNormalization", "x scale", f"n{number}", axis=-1)
        for number in range(3)
    ]
    weights = {"scale": scale}
    if filler:
        weights["filler"] = values(WIDTH, filler // WIDTH, seed=3)
        norms.append(node("MatMul", "x filler", "filled"))
    return language_model(norms, weights)


def test_equal_norms_that_were_never_trained_are_said_to_be_stored_once(tmp_path: Path):
    """Three norms of 32 ones are one tensor: 64 values are missing; a trained one is shared."""
    untrained = read(saved(normed(np.ones(WIDTH, np.float32)), tmp_path / "untrained"))
    assert (untrained.once_tensors, untrained.once_parameters) == (2, 2 * WIDTH)
    (note,) = [note for note in untrained.notes if "stored once" in note]
    assert note.startswith(f"2 tensors of {2 * WIDTH} values are stored once")
    assert f"{untrained.parameters + 2 * WIDTH:,} parameters" in note
    trained = read(saved(normed(values(WIDTH)), tmp_path / "trained"))
    assert (trained.once_tensors, trained.parameters) == (0, untrained.parameters)


@pytest.mark.parametrize(("missing", "once"), [(0, 0), (2 * WIDTH, 2)])
def test_a_configuration_tells_norms_that_share_a_vector_by_design(tmp_path: Path, missing, once):
    """Gemma 4's norms of values have no weights: its count is that of the file as it is."""
    config = {**LLAMA, "num_hidden_layers": 1}
    stated = parameters(spec_from_config(config, "m"))
    own = 2 * VOCAB * WIDTH + WIDTH + missing
    saved(normed(np.ones(WIDTH, np.float32), stated - own), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    found = read(tmp_path)
    assert (found.once_tensors, found.parameters) == (once, stated - missing)
    assert found.spec is not None
