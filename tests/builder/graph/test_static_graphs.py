"""The built files of a static decoder: shapes, operators, bytes."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from harness.builder.graph.rules import DATA_FILE
from harness.builder.graph.static.block import Norm
from harness.builder.graph.static.decoder import static_model
from harness.builder.graph.static.geometry import (
    ALL_POSITIONS_FILE,
    PREFILL_FILE,
    STEP_FILE,
    static_geometry,
)
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import STATIC_LEVELS
from harness.core.errors import ModelError
from harness.models.catalog.catalog import load_spec, spec_names
from harness.models.specs.model import ModelSpec
from harness.models.specs.tensors import parameters
from tests.builder.graph.run_static import CAPACITY_TOKENS, PREFILL_TOKENS, build
from tests.builder.graph.stored_values import place
from tests.tiny import LLAMA_LIKE

GRAPHS = (STEP_FILE, PREFILL_FILE, ALL_POSITIONS_FILE)
# What an NPU has to know; all of ONNX's own domain. Constants are folded before it sees them.
OPERATORS = {
    *("Add", "Concat", "Constant", "Gather", "Gemm", "MatMul", "Mul", "RMSNormalization"),
    *("Reshape", "Sigmoid", "Softmax", "Split", "Transpose"),
}
PARTS = {"Div", "ReduceMean", "Sqrt"}
FIXED_POINT = {"QuantizeLinear", "DequantizeLinear"}


@pytest.fixture(
    scope="module", params=[(n, v) for n in LLAMA_LIKE for v in STATIC_LEVELS], ids="-".join
)
def built(request, tmp_path_factory):
    """Every tiny architecture at every static level."""
    name, level = request.param
    folder = tmp_path_factory.mktemp("static")
    build(name, level, folder)
    return LLAMA_LIKE[name], STATIC_LEVELS[level], folder


def test_operators_are_standard_ones(built):
    _spec, level, folder = built
    expected = OPERATORS | (FIXED_POINT if level.fixed_point else set())
    for graph in GRAPHS:
        model = onnx.load(folder / graph, load_external_data=False)
        assert {node.op_type for node in model.graph.node} <= expected
        assert {node.domain for node in model.graph.node} == {""}
        assert {opset.domain for opset in model.opset_import} == {""}


def test_every_shape_is_a_number(built):
    """Inputs, outputs and everything between them, by ONNX's own inference."""
    _spec, _level, folder = built
    for graph in GRAPHS:
        model = onnx.load(folder / graph, load_external_data=False)
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
        known = {value.name for value in values}
        assert {name for node in model.graph.node for name in node.output} <= known
        for value in values:
            dims = value.type.tensor_type.shape.dim
            assert all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in dims), value.name


def test_activations_of_a_fixed_point_graph_are_all_on_grids(built):
    """No node but the two that write and read a grid takes or gives a float of its own."""
    _spec, level, folder = built
    if not level.fixed_point:
        return
    for graph in GRAPHS:
        nodes = onnx.load(folder / graph, load_external_data=False).graph.node
        readers = {name: node for node in nodes for name in node.input}
        for node in nodes:
            if node.op_type in {*FIXED_POINT, "Constant"}:
                continue
            assert {readers[name].op_type for name in node.output} == {"QuantizeLinear"}, node.name


def test_stored_bytes_are_those_of_the_weights(built):
    """The rotary tables lie behind the weights and are no weights."""
    spec, level, folder = built
    for graph in GRAPHS:
        model = onnx.load(folder / graph, load_external_data=False)
        tensors = [t for t in model.graph.initializer if not t.name.startswith("rotary.")]
        arrays = {place(tensor)[0]: place(tensor)[1] for tensor in tensors}
        assert sum(arrays.values()) == stored_bytes(spec, level)
        assert len(model.graph.initializer) == len(tensors) + 2
    ends = [sum(place(tensor)) for tensor in model.graph.initializer]
    assert (folder / DATA_FILE).stat().st_size == max(ends)
    assert sorted(path.name for path in folder.iterdir()) == sorted((*GRAPHS, DATA_FILE))


def test_weights_are_signed_bytes_with_a_scale_per_output(built):
    """But the embedding, and a head that is the embedding: one scale, which is in the graph."""
    _spec, level, folder = built
    if not level.fixed_point:
        return
    tensors = {t.name: t for t in onnx.load(folder / STEP_FILE).graph.initializer}
    quantized = {name for name in tensors if name.endswith(".quantized")}
    assert {tensors[name].data_type for name in quantized} == {onnx.TensorProto.INT8}
    plain = {name for name in quantized if name.replace(".quantized", ".scales") not in tensors}
    assert plain == {"model.embed_tokens.quantized"}
    rest = set(tensors) - quantized - {name for name in tensors if name.endswith(".scales")}
    dtypes = {onnx.helper.tensor_dtype_to_np_dtype(tensors[name].data_type) for name in rest}
    assert dtypes == {np.dtype(level.activation_dtype)}


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("level", STATIC_LEVELS)
def test_the_same_build_gives_the_same_bytes(level, norm, tmp_path):
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
        build("qwen2", level, folder, norm)
    first, second = ({path.name: path.read_bytes() for path in f.iterdir()} for f in folders)
    assert first == second


def test_a_norm_in_parts_is_six_operators_of_an_older_set(tmp_path):
    build("llama", "a16w8", tmp_path, Norm.PARTS)
    model = onnx.load(tmp_path / STEP_FILE, load_external_data=False)
    assert model.opset_import[0].version == 21
    expected = (OPERATORS | PARTS | FIXED_POINT) - {"RMSNormalization"}
    assert {node.op_type for node in model.graph.node} == expected


DECODERS = [name for name in spec_names() if type(load_spec(name)) is ModelSpec]
# Families whose blocks are Llama's; the others have parts that static graphs do not.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
PLAIN = [n for n in DECODERS if load_spec(n).family in FAMILIES or n == "phi-3-mini-4k"]


@pytest.mark.parametrize("name", sorted(set(DECODERS) - set(PLAIN)))
def test_other_blocks_are_refused_by_what_they_have(name):
    with pytest.raises(ModelError, match="which a static decoder does not have"):
        static_geometry(load_spec(name), STATIC_LEVELS["fp32-static"], 128, 1024)


@pytest.mark.parametrize("name", PLAIN)
def test_shipped_architectures_hold_every_parameter_once(name):
    """Planned and described without writing a weight."""
    spec, level = load_spec(name), STATIC_LEVELS["fp32-static"]
    geometry = static_geometry(spec, level, 128, 1024)
    model, _observed = static_model(spec, level, geometry, {}, STEP_FILE)
    weights = [t for t in model.graph.initializer if not t.name.startswith("rotary.")]
    arrays = {place(tensor)[0]: int(np.prod(tensor.dims)) for tensor in weights}
    assert sum(arrays.values()) == parameters(spec)


def test_ports_are_what_the_geometry_says(tmp_path):
    geometry = build("llama", "a8w8", tmp_path)
    for graph, tokens in ((STEP_FILE, 1), (PREFILL_FILE, PREFILL_TOKENS)):
        model = onnx.load(Path(tmp_path) / graph, load_external_data=False)
        shapes = {
            port.name: tuple(dim.dim_value for dim in port.type.tensor_type.shape.dim)
            for port in (*model.graph.input, *model.graph.output)
        }
        assert shapes["input_ids"] == shapes["positions"] == (tokens,)
        assert shapes["attention_mask"] == (tokens, CAPACITY_TOKENS + tokens)
        assert shapes["logits"] == (1, geometry.vocab_size)
        assert ("last_position" in shapes) == (graph == PREFILL_FILE)
        assert shapes["past_keys.1"] == geometry.key_shape == (2, 32, CAPACITY_TOKENS)
        assert shapes["past_values.1"] == geometry.value_shape == (2, CAPACITY_TOKENS, 32)
        assert shapes["new_keys.1"] == (2, tokens, 32)
        assert shapes["new_values.1"] == (tokens, 64)
