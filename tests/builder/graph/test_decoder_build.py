"""The built files: what they hold and how the two graphs agree."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from harness.builder.graph.decoder import build_decoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import ALL_LOGITS_FILE, DATA_FILE, GRAPH_FILE
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import LEVELS
from harness.models.specs.tensors import parameters
from tests.builder.graph.random_weights import RandomWeights
from tests.builder.graph.run_graph import GraphRun, open_graph
from tests.builder.graph.stored_values import place
from tests.tiny import GRID, SPECS


def unique_initializers(path: Path) -> dict[int, onnx.TensorProto]:
    """The stored arrays of a graph by their offset: two views of the same bytes count once."""
    model = onnx.load(path, load_external_data=False)
    return {place(tensor)[0]: tensor for tensor in model.graph.initializer}


@pytest.fixture(scope="module", params=GRID, ids="-".join)
def built(request, tmp_path_factory):
    """Every tiny architecture at a level of each form, some at every level; built once."""
    name, level = request.param
    folder = tmp_path_factory.mktemp(f"{name}-{level}")
    build_decoder(SPECS[name], LEVELS[level], RandomWeights(SPECS[name]), folder)
    return SPECS[name], LEVELS[level], folder


def test_stored_bytes_are_the_bytes_of_the_initializers(built):
    """The formula from the architecture alone is what both graphs hold, exactly."""
    spec, level, folder = built
    for graph in (GRAPH_FILE, ALL_LOGITS_FILE):
        arrays = unique_initializers(folder / graph)
        assert sum(place(array)[1] for array in arrays.values()) == stored_bytes(spec, level)


def test_data_file_holds_every_array_on_a_page_and_nothing_else(built):
    """Offsets are multiples of 4096, arrays do not overlap, and the last one ends the file."""
    _spec, _level, folder = built
    end_bytes = 0
    for offset, array in sorted(unique_initializers(folder / GRAPH_FILE).items()):
        assert offset % 4096 == 0
        assert 0 <= offset - end_bytes < 4096
        end_bytes = offset + place(array)[1]
    assert (folder / DATA_FILE).stat().st_size == end_bytes


def test_both_graphs_and_both_caches_agree(built):
    """Prefill of 7 tokens and 3 steps: the same last logits; in place and growing bit for bit."""
    spec, level, folder = built
    ids = np.random.default_rng(5).integers(0, spec.vocab_size, (2, 7))
    geometry = geometry_of(spec, level)
    last, every = (open_graph(folder / name) for name in (GRAPH_FILE, ALL_LOGITS_FILE))
    runs = (
        GraphRun(last, geometry, 2, 12),
        GraphRun(last, geometry, 2),
        GraphRun(every, geometry, 2),
    )
    for piece in (ids, ids[:, 3:4], ids[:, 1:2], ids[:, 6:7]):
        in_place, growing, positions = (run.run(piece) for run in runs)
        assert np.isfinite(positions).all()
        assert in_place.shape == (2, 1, spec.vocab_size)
        assert positions.shape == (*piece.shape, spec.vocab_size)
        np.testing.assert_array_equal(in_place, growing)
        np.testing.assert_allclose(positions[:, -1:], in_place, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", SPECS)
def test_float_initializers_hold_every_parameter_once(name, tmp_path):
    """At fp32 the elements of the initializers are the trained values: a tied head counts once."""
    build_decoder(SPECS[name], LEVELS["fp32"], RandomWeights(SPECS[name]), tmp_path)
    arrays = unique_initializers(tmp_path / GRAPH_FILE).values()
    assert sum(int(np.prod(array.dims)) for array in arrays) == parameters(SPECS[name])


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_build_gives_the_same_bytes(level, tmp_path):
    """A content-addressed cache may hold either of two builds."""
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
        build_decoder(SPECS["qwen2"], LEVELS[level], RandomWeights(SPECS["qwen2"]), folder)
    first, second = ({path.name: path.read_bytes() for path in f.iterdir()} for f in folders)
    assert first == second
    assert set(first) == {GRAPH_FILE, ALL_LOGITS_FILE, DATA_FILE, "genai_config.json"}


def test_genai_config_names_what_the_graph_has(tmp_path):
    """The templates give exactly the inputs and outputs of model.onnx."""
    build_decoder(SPECS["llama"], LEVELS["int4"], RandomWeights(SPECS["llama"]), tmp_path)
    graph = onnx.load(tmp_path / GRAPH_FILE, load_external_data=False).graph
    model = json.loads((tmp_path / "genai_config.json").read_text())["model"]
    decoder = model["decoder"]
    assert decoder["filename"] == GRAPH_FILE
    assert {port.name for port in graph.input} == spelled(decoder["inputs"], layers=2)
    assert {port.name for port in graph.output} == spelled(decoder["outputs"], layers=2)
    assert (model["context_length"], model["vocab_size"]) == (64, 150)


def spelled(templates, layers):
    """Names of a genai table, `%d` replaced by each layer."""
    return {
        template.replace("%d", str(layer))
        for template in templates.values()
        for layer in range(layers)
    }
