"""Integers between floats of 16 bits: graphs that processors of graphics take whole."""

import numpy as np
import onnx
import pytest

from harness.builder.graph.decoder import build_decoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import DATA_FILE, GRAPH_FILE
from harness.builder.graph.storage import PAGE_BYTES
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import find_level
from tests.builder.graph.random_weights import RandomWeights
from tests.builder.graph.run_graph import GraphRun, open_graph
from tests.tiny import SPECS

IDS = np.arange(24, dtype=np.int64).reshape(2, 12) * 5 % 150


def logits(spec, name, folder):
    folder.mkdir()
    level = find_level(name)
    build_decoder(spec, level, RandomWeights(spec), folder)
    run = GraphRun(open_graph(folder / GRAPH_FILE), geometry_of(spec, level), 2, 12)
    return run.run(IDS)


@pytest.mark.parametrize("level", ["int4", "int4-asym", "int8-block"])
@pytest.mark.parametrize("name", ["llama", "untied", "qwen2", "gemma2"])
def test_smaller_floats_move_logits_by_their_rounding_alone(name, level, tmp_path):
    """Eleven bits of a float16: the cosine of logits is above 0.99."""
    spec = SPECS[name]
    whole, half = (logits(spec, word, tmp_path / word) for word in (level, f"{level}-half"))
    assert half.dtype == np.float32
    cosine = np.sum(whole * half) / np.linalg.norm(whole) / np.linalg.norm(half)
    assert cosine > 0.99


def test_no_float_of_32_bits_reaches_the_attention(tmp_path):
    """CUDA's kernel of GroupQueryAttention takes 16 bits alone."""
    spec, level = SPECS["llama"], find_level("int4-half")
    build_decoder(spec, level, RandomWeights(spec), tmp_path)
    graph = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / GRAPH_FILE)).graph
    kinds = {port.name: port.type.tensor_type.elem_type for port in graph.input}
    past = {name: kind for name, kind in kinds.items() if name.startswith("past")}
    assert set(past.values()) == {onnx.TensorProto.FLOAT16}


def test_the_file_holds_the_bytes_that_are_counted(tmp_path):
    """Two bytes less for each block; a page of padding at most behind every array."""
    spec, level = SPECS["untied"], find_level("int4-half")
    build_decoder(spec, level, RandomWeights(spec), tmp_path)
    held, counted = (tmp_path / DATA_FILE).stat().st_size, stored_bytes(spec, level)
    arrays = onnx.load(tmp_path / GRAPH_FILE, load_external_data=False).graph.initializer
    assert counted <= held <= counted + len(arrays) * PAGE_BYTES
    assert counted < stored_bytes(spec, find_level("int4"))
