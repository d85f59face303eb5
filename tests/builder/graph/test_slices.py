"""A head in slices of its outputs: as large as other matrices, and the same logits to the bit."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from harness.builder.graph.decoder import build_decoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import ALL_LOGITS_FILE, GRAPH_FILE
from harness.builder.graph.slices import sliced_model
from harness.builder.quantize import layout
from harness.builder.quantize.layout import slice_rows
from harness.builder.quantize.levels import LEVELS
from tests.builder.graph.random_weights import RandomWeights
from tests.builder.graph.run_graph import GraphRun
from tests.builder.graph.stored_values import place
from tests.tiny import ONE_OF_EACH_FORM, SPECS

MIB = 2**20
# Tied, of its own, with a bias, capped: every head that is built, over rows that end in a slice.
HEADS = ("llama", "untied", "phi", "gemma2")


@pytest.fixture(
    scope="module", params=[(n, v) for n in HEADS for v in ONE_OF_EACH_FORM], ids="-".join
)
def built(request, tmp_path_factory):
    """A decoder whose head is several times as large as the largest matrix of its layers."""
    name, level = request.param
    spec = replace(SPECS[name], vocab_size=1000)
    folder = tmp_path_factory.mktemp(f"{name}-{level}")
    build_decoder(spec, LEVELS[level], RandomWeights(spec), folder)
    return geometry_of(spec, LEVELS[level]), folder


@pytest.fixture(autouse=True)
def slices_of_any_size(monkeypatch):
    monkeypatch.setattr(layout, "LEAST_SLICE_BYTES", 1)


def logits(graph, geometry, threads):
    """Of two sequences: a prompt of 7 tokens, and 2 steps."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    run = GraphRun(session, geometry, batch=2, capacity_tokens=16)
    ids = np.random.default_rng(5).integers(0, 1000, (2, 9))
    return [run.run(part) for part in (ids[:, :7], ids[:, 7:8], ids[:, 8:])]


@pytest.mark.parametrize("file", [GRAPH_FILE, ALL_LOGITS_FILE])
@pytest.mark.parametrize("threads", [1, 2])
def test_logits_are_the_same_to_the_bit(built, file, threads):
    geometry, folder = built
    graph = folder / f"sliced-{file}"
    graph.write_bytes(sliced_model(folder / file))
    whole, sliced = logits(folder / file, geometry, threads), logits(graph, geometry, threads)
    for one, other in zip(whole, sliced, strict=True):
        assert np.array_equal(one, other)


def test_slices_are_no_larger_than_other_matrices_and_cover_the_head(built):
    """They lie one behind the other where the whole head lies, in arrays of its own kind."""
    _, folder = built
    whole = onnx.load(folder / GRAPH_FILE, load_external_data=False).graph
    sliced = onnx.load_from_string(sliced_model(folder / GRAPH_FILE)).graph
    sizes = {one.name: place(one)[1] for one in (*whole.initializer, *sliced.initializer)}
    products = [node for node in whole.node if "MatMul" in node.op_type or node.op_type == "Gemm"]
    head, body = products[-1], max(sizes.get(node.input[1], 0) for node in products[:-1])
    parts = [node for node in sliced.node if node.name.startswith(f"{head.output[0]}.slice.")]
    assert len(parts) > 1
    step_bytes = 128 * sizes[head.input[1]] / 1000
    assert max(sizes[part.input[1]] for part in parts) <= body + step_bytes
    where = {one.name: place(one) for one in (*whole.initializer, *sliced.initializer)}
    for index, name in enumerate(head.input):
        if name in where:
            offset, size = where[name][:2]
            for part in parts:
                assert where[part.input[index]][0] == offset
                offset += where[part.input[index]][1]
                size -= where[part.input[index]][1]
            assert size == 0


def test_a_head_that_is_not_the_largest_stays_whole(tmp_path):
    spec = SPECS["llama"]
    build_decoder(spec, LEVELS["int4"], RandomWeights(spec), tmp_path)
    nodes = onnx.load(tmp_path / GRAPH_FILE, load_external_data=False).graph.node
    assert len(onnx.load_from_string(sliced_model(tmp_path / GRAPH_FILE)).graph.node) == len(nodes)


@pytest.mark.parametrize(
    ("outputs", "weight", "other", "rows"),
    [
        (49_152, 13.5, 0.4, 16_384),  # 6 MiB at least: three
        (49_152, 108, 3.4, 2_816),  # eighteen, of whole steps of 128
        (128_256, 1_002, 64, 8_064),  # sixteen, as large as a matrix of a layer
        (1_000, 4, 0.1, 1_000),  # below 6 MiB: whole
        (32_000, 20, 30, 32_000),  # not the largest: whole
        (0, 0, 0, 0),  # another operator is the largest, or no weight lies in a file
    ],
)
def test_slices_follow_from_sizes(monkeypatch, outputs, weight, other, rows):
    """As few as none is larger than 6 MiB, or than the next largest matrix."""
    monkeypatch.undo()
    assert slice_rows(outputs, round(weight * MIB), round(other * MIB)) == rows
