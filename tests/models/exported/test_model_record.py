"""The record of an exported model, as it travels to another process."""

import json
from dataclasses import replace
from pathlib import Path

from harness.engine.exported.geometry import ExportedGeometry
from harness.models.catalog.catalog import load_spec
from harness.models.exported.model import (
    ExportedGraph,
    ExportedKind,
    ExportedModel,
    Role,
    Storage,
    from_json,
    to_json,
)
from harness.models.exported.ports import CacheLayout, CachePair, Port, PortNames
from harness.store.exported import ExportedArtifact, ExportedSource

SHAPE = (0, 3, 0, 64)  # 3 heads, 64 values wide
CACHE = CacheLayout(
    own=(
        CachePair(0, "key", "past_key_values.0.key", "present.0.key", SHAPE, "float16"),
        CachePair(0, "value", "past_key_values.0.value", "present.0.value", SHAPE, "float16"),
        CachePair(
            *(1, "conv", "past_conv.1", "present_conv.1", (0, 96, 3), "float32"), length_axis=None
        ),
    ),
    cross=(),
    shares_buffer=False,
)
GRAPH = ExportedGraph(
    role=Role.MODEL,
    file="model.onnx",
    inputs=(
        Port("input_ids", "int64", ("batch", "tokens")),
        Port("attention_mask", "int64", ("batch", "total")),
    ),
    outputs=(Port("logits", "float32", ("batch", "tokens", 49152)),),
    names=PortNames(ids="input_ids", mask="attention_mask", logits="logits"),
    cache=CACHE,
    parameters=1000,
    weights_bytes=500,
    opset=21,
)
MODEL = ExportedModel(
    name="tiny",
    kind=ExportedKind.DECODER,
    folder=Path("models") / "tiny",
    graphs=(GRAPH,),
    exporter="pytorch 2.8",
    parameters=1000,
    weights_bytes=500,
    storages=(Storage("int4 b32 (MatMulNBits)", 4, 1000, 500),),
    data_files=(),
    content_hash="sha256:0123456789abcdef",
    image_size=(32, 32),
)


def test_a_model_comes_back_from_json_as_it_was():
    """Every field survives the way to a worker, an architecture and missing values included."""
    spec = load_spec("smollm2-135m")
    for model in (MODEL, replace(MODEL, spec=spec, tokenizer_folder=Path("models"))):
        assert from_json(json.loads(json.dumps(to_json(model)))) == model


def test_bits_per_weight_are_stored_bits_over_parameters():
    """500 bytes for 1000 values are 4 bits each; no parameters have no bits."""
    assert MODEL.bits_per_weight == 4.0
    assert replace(MODEL, parameters=0).bits_per_weight is None


def test_a_cache_grows_by_two_halves_per_layer():
    """One layer, 3 heads of 64 values of 2 bytes, a key and a value: 2·1·3·64·2 = 768."""
    assert CACHE.bytes_per_token == 768
    assert CACHE.has_past


def test_free_dimensions_are_named_once_in_order():
    """Both inputs share `batch`; the mask adds `total`."""
    assert GRAPH.free_dimensions == ("batch", "tokens", "total")
    assert GRAPH.mask_rank == 2


def test_what_a_run_is_told_of_caches_and_states():
    """Keys and values of 3 heads of 64 halves grow; a state of 96 x 3 floats does not."""
    artifact = ExportedArtifact(ExportedSource("tiny", MODEL), "int4", ExportedGeometry(MODEL))
    assert artifact.kv_bytes_per_token == 2 * 3 * 64 * 2
    assert artifact.state_bytes == 96 * 3 * 4
    encoder = replace(MODEL, graphs=(replace(GRAPH, cache=None),))
    without = replace(artifact, source=ExportedSource("tiny", encoder))
    assert without.state_bytes == without.kv_bytes_per_token == 0
