"""Static encoders: their files, and their embeddings against torch's and the fused graph's.

Lowest cosine seen against torch over the fixtures' texts: a16w8 0.99992, a8w8 0.9991.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest

from harness.builder.graph.encoder import build_encoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import DATA_FILE, GRAPH_FILE
from harness.builder.graph.static.encoder import static_encoder_model
from harness.builder.graph.static.feed import SHARE_STEPS, write_text_mask
from harness.builder.graph.static.geometry import HIDDEN, TextShape
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import STATIC_LEVELS, find_level
from harness.core.errors import UsageError
from harness.models.catalog.catalog import load_spec, spec_names
from harness.models.specs.model import EncoderSpec
from harness.models.specs.tensors import built_parameters
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model
from harness.store.static_encoder import build_static_encoder, calibration_texts_of
from tests.builder.graph.run_graph import open_graph
from tests.builder.graph.run_static_encoder import (
    LARGER,
    MODELS,
    SHAPE,
    build,
    cosines,
    embeddings,
    reference,
)
from tests.builder.graph.seeded_folder import encoder_folder
from tests.builder.graph.stored_values import place

LEVELS_OF_BOUNDS = ("a16w8", "a8w8")
LEAST_COSINE = {"a16w8": 0.9998, "a8w8": 0.998}
# What an NPU has to know; all of ONNX's own domain. Constants are folded before it sees them.
OPERATORS = {
    *("Add", "Constant", "Gather", "Gelu", "Gemm", "LayerNormalization", "LpNormalization"),
    *("MatMul", "Mul", "Reshape", "Softmax", "Transpose"),
}
FIXED_POINT = {"QuantizeLinear", "DequantizeLinear"}


@cache
def built(name, level):
    """A fixture at a static level, both shapes; the folder lives as long as the tests run."""
    folder = TemporaryDirectory()
    return folder, build(name, level, Path(folder.name))


def models(name, level):
    """Both graphs without their weights."""
    folder, geometry = built(name, level)
    files = [Path(folder.name) / shape.file for shape in geometry.shapes]
    return [onnx.load(file, load_external_data=False) for file in files]


def run(name, level, shape=SHAPE, rows=slice(None)):
    folder, geometry = built(name, level)
    return embeddings(name, Path(folder.name), geometry, shape, rows)


every = pytest.mark.parametrize(
    ("name", "level"), [(name, level) for name in MODELS for level in STATIC_LEVELS]
)


@pytest.mark.parametrize("name", MODELS)
def test_float_form_is_torchs(name):
    """Padded texts, mean and first token, both GELUs, with and without token types."""
    exact = reference(name)["sentence_embedding"]
    np.testing.assert_allclose(run(name, "fp32-static"), exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_float_form_is_the_fused_graph(name, tmp_path):
    source = resolve_model(str(encoder_folder(name)))
    build_encoder(source.spec, find_level("fp32"), open_weights(source), tmp_path)
    names = geometry_of(source.spec, find_level("fp32")).inputs
    fed = {key: reference(name)[key] for key in names}
    fused = open_graph(tmp_path / GRAPH_FILE).run(["sentence_embedding"], fed)[0]
    np.testing.assert_allclose(run(name, "fp32-static"), fused, rtol=0, atol=1e-6)


@pytest.mark.parametrize("level", LEVELS_OF_BOUNDS)
@pytest.mark.parametrize("name", MODELS)
def test_fixed_point_stays_near_torchs(name, level):
    near = cosines(run(name, level), reference(name)["sentence_embedding"])
    assert LEAST_COSINE[level] < near.min()
    assert near.min() < 1 - 1e-6  # it is rounded


@pytest.mark.parametrize("name", MODELS)
def test_sixteen_bits_are_nearer_than_eight(name):
    exact = reference(name)["sentence_embedding"]
    wide, narrow = (1 - cosines(run(name, level), exact).mean() for level in LEVELS_OF_BOUNDS)
    assert wide < narrow


@every
def test_embeddings_have_length_one(name, level):
    """On a grid of 16 bits at every fixed-point level."""
    np.testing.assert_allclose(np.linalg.norm(run(name, level), axis=-1), 1, rtol=2e-4)


@pytest.mark.parametrize("level", ["fp32-static", "a16w8"])
@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_little_or_nothing(name, level):
    """Each text alone in a graph of four texts of 16 tokens, against three texts of 12."""
    together = run(name, level)
    for row in range(3):
        alone = run(name, level, LARGER, slice(row, row + 1))
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=2e-4)


@every
def test_operators_are_standard_ones(name, level):
    expected = OPERATORS | (FIXED_POINT if STATIC_LEVELS[level].fixed_point else set())
    for model in models(name, level):
        assert {node.op_type for node in model.graph.node} <= expected
        assert {node.domain for node in model.graph.node} == {""}
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 21)]


@every
def test_every_shape_is_a_number(name, level):
    """Inputs, outputs and everything between them, by ONNX's own inference."""
    for model in models(name, level):
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        graph = inferred.graph
        values = [*graph.input, *graph.output, *graph.value_info]
        assert {name for node in graph.node for name in node.output} <= {v.name for v in values}
        for value in values:
            dims = value.type.tensor_type.shape.dim
            assert all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in dims), value.name


@every
def test_activations_of_a_fixed_point_graph_are_all_on_grids(name, level):
    """No node but the two that write and read a grid takes or gives a float of its own."""
    if not STATIC_LEVELS[level].fixed_point:
        return
    for model in models(name, level):
        nodes = model.graph.node
        readers = {source: node for node in nodes for source in node.input}
        for node in nodes:
            if node.op_type in {*FIXED_POINT, "Constant"} or node.output[0].endswith("s.flat"):
                continue  # ids, in one row, are integers
            assert {readers[name].op_type for name in node.output} == {"QuantizeLinear"}, node.name


@every
def test_both_graphs_read_every_stored_byte(name, level):
    """One data file, its size that of the weights and of the pages they begin on."""
    folder, geometry = built(name, level)
    spec = resolve_model(str(encoder_folder(name))).spec
    for model in models(name, level):
        arrays = {place(tensor)[0]: place(tensor)[1] for tensor in model.graph.initializer}
        assert sum(arrays.values()) == stored_bytes(spec, STATIC_LEVELS[level])
    files = sorted(path.name for path in Path(folder.name).iterdir())
    assert files == sorted((DATA_FILE, *(shape.file for shape in geometry.shapes)))


def test_the_same_build_gives_the_same_bytes(tmp_path):
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
        build("bert-mean", "a8w8", folder)
    first, second = ({path.name: path.read_bytes() for path in f.iterdir()} for f in folders)
    assert first == second


ENCODERS = [
    name
    for name in spec_names()
    if isinstance(load_spec(name), EncoderSpec) and not load_spec(name).dense
]


@pytest.mark.parametrize("name", ENCODERS)
def test_shipped_architectures_hold_every_built_parameter_once(name):
    """Planned and described without writing a weight."""
    spec = load_spec(name)
    level = STATIC_LEVELS["fp32-static"]
    model, _observed = static_encoder_model(spec, level, TextShape(16, 1), {})
    arrays = {place(t)[0]: int(np.prod(t.dims)) for t in model.graph.initializer}
    assert sum(arrays.values()) == built_parameters(spec)


def test_shares_are_whole_steps_and_alike_within_a_text():
    """3 seen tokens of 512: 85 steps of 255 each; 512: one step, though a share is half of one."""
    seen = np.zeros((3, 512), bool)
    seen[0, [0, 5, 9]] = True
    seen[1] = True
    mask, shares = np.empty((3, 512), np.float32), np.empty((3, 512), np.float32)
    write_text_mask(mask, shares, seen)
    assert set(shares[0][seen[0]] * SHARE_STEPS) == {85.0}
    assert set(shares[1] * SHARE_STEPS) == {1.0}
    assert shares[2, 0] == 1  # of nothing the first
    assert not shares[0][~seen[0]].any()
    assert set(mask[0][~seen[0]]) == {HIDDEN}
    assert not mask[0][seen[0]].any()


@pytest.mark.parametrize(
    ("shapes", "texts", "words"),
    [
        ((), 1, "without a shape"),
        ((TextShape(25, 1),), 1, "1 texts of 25 tokens"),
        ((TextShape(8, 0),), 1, "0 texts of 8 tokens"),
        ((SHAPE,), 0, "no text"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(shapes, texts, words, tmp_path):
    source = resolve_model(str(encoder_folder("bert-mean")))
    ids = calibration_texts_of(source, seed=0)[:texts]
    with pytest.raises(UsageError, match=words):
        build_static_encoder(
            source.spec, find_level("a8w8"), open_weights(source), tmp_path, shapes, ids
        )
    assert list(tmp_path.iterdir()) == []
