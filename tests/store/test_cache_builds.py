"""Models with another KV cache: graphs of their own over the data of the same weights."""

import onnx
import pytest
from onnx import numpy_helper

from harness.builder.graph.geometry import geometry_of
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import UsageError
from harness.models.specs.tensors import kv_values_per_token
from harness.models.texts.tokens import BUNDLED, OWN_TEXT, bundled_text
from harness.models.weights.source import resolve_model, weights_identity
from harness.store.artifact import read_artifact
from harness.store.cache import ensure_artifact
from harness.store.hashes import content_hash
from harness.store.links import link_file
from harness.store.scales import CHUNK_TOKENS, calibration_ids
from tests.tiny import ONE_LAYER as SPEC
from tests.tiny import ONE_LAYER_SOURCE as TINY

FILES = ["genai_config.json", "model.onnx", "model.onnx.data", "model_all_logits.onnx"]
BYTELM = resolve_model("bytelm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def built(folder):
    """TINY at int4 with each of its caches."""
    names = ("auto", "int8", "int4")
    return {name: ensure_artifact(TINY, "int4", folder, kv_cache=name) for name in names}


def scales_of(artifact):
    """The scales inside a graph, by name."""
    model = onnx.load(artifact.graph, load_external_data=False)
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_location != onnx.TensorProto.EXTERNAL
    }


def test_all_caches_share_one_data_file(built):
    inodes = {one.folder.joinpath("model.onnx.data").stat().st_ino for one in built.values()}
    assert len(inodes) == 1
    assert len({one.folder for one in built.values()}) == 3
    for one in built.values():
        assert sorted(path.name for path in one.folder.iterdir()) == ["artifact.json", *FILES]


def test_a_disk_without_hard_links_gets_a_copy(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "no hard links here")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    data = tmp_path / "data"
    data.write_bytes(b"weights")
    link_file(data, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"weights"
    assert (tmp_path / "copy").stat().st_ino != data.stat().st_ino


def test_an_artifact_knows_its_cache(built):
    """2 halves · 1 layer · 1 head · 16 values: 32 of 4, 1 and half a byte; weights as ever."""
    assert [one.cache.name for one in built.values()] == ["fp32", "int8", "int4"]
    assert [one.kv_bytes_per_token for one in built.values()] == [128, 32, 16]
    assert {one.weights_bytes for one in built.values()} == {stored_bytes(SPEC, LEVELS["int4"])}
    for one in built.values():
        read = read_artifact(one.folder)
        assert (read.cache, read.geometry) == (one.cache, one.geometry)


def test_the_level_s_own_cache_has_the_hash_it_always_had(built, folder):
    """And the name of its folder; naming its cache is the same build."""
    identity = weights_identity(TINY, 0)
    assert built["auto"].content_hash == content_hash(SPEC, "int4", identity)
    assert built["auto"].folder.name == f"tiny-int4-{built['auto'].content_hash}"
    assert ensure_artifact(TINY, "int4", folder, kv_cache="fp32") == built["auto"]
    assert len({one.content_hash for one in built.values()}) == 3


def test_scales_are_the_graph_s_own_and_both_graphs_have_them(built):
    assert scales_of(built["auto"]) == {}
    scales = scales_of(built["int8"])
    assert set(scales) == {f"past_key_values.0.{half}_scale" for half in ("key", "value")}
    for name, values in scales.items():
        assert values.shape == (1, SPEC.num_kv_heads, 1, SPEC.head_dim)
        assert (values > 0).all()
        # the same extremes: 8 bits reach 1.5 of them in 127 steps, 4 bits 0.85 in 7
        ratio = scales_of(built["int4"])[name] / values
        assert ratio == pytest.approx((0.85 / 7) / (1.5 / 127), rel=1e-5)
    graphs = (built["int8"].graph, built["int8"].all_logits_graph)
    names = [
        {tensor.name for tensor in onnx.load(graph, load_external_data=False).graph.initializer}
        for graph in graphs
    ]
    assert names[0] == names[1]


def test_a_float_cache_beside_other_floats_needs_no_scales(folder):
    """fp16 weights, fp32 cache: twice the bytes of its own."""
    artifact = ensure_artifact(TINY, "fp16", folder, kv_cache="fp32")
    assert scales_of(artifact) == {}
    assert artifact.kv_bytes_per_token == 4 * kv_values_per_token(SPEC)


def test_a_cache_that_does_not_go_with_the_level_builds_nothing(tmp_path):
    with pytest.raises(UsageError, match="takes no fp16 cache"):
        ensure_artifact(TINY, "int4", tmp_path, kv_cache="fp16")
    assert list(tmp_path.iterdir()) == []


def test_scales_come_from_a_text_that_nothing_is_measured_on():
    """A model of bytes reads them: every chunk stands in calibration.txt and in no other text."""
    chunks = calibration_ids(BYTELM, geometry_of(BYTELM.spec, LEVELS["fp32"]), seed=0)
    assert [chunk.shape for chunk in chunks] == [(1, CHUNK_TOKENS)] * 4
    measured = [bundled_text(name) for name in BUNDLED]
    measured.append((BYTELM.folder / OWN_TEXT).read_text(encoding="utf-8"))
    for chunk in chunks:
        content = bytes(chunk[0].tolist())
        assert content in bundled_text("calibration").encode()
        for text in measured:
            assert content[:64] not in text.encode()


def test_a_model_without_a_tokenizer_reads_seeded_tokens():
    """TINY takes 32 tokens at once; another seed is another text."""
    geometry = geometry_of(SPEC, LEVELS["fp32"])
    chunks = calibration_ids(TINY, geometry, seed=0)
    assert [chunk.shape for chunk in chunks] == [(1, 32)] * 4
    assert all(chunk.min() >= 0 and chunk.max() < SPEC.vocab_size for chunk in chunks)
    other = calibration_ids(TINY, geometry, seed=1)
    assert any((one != two).any() for one, two in zip(chunks, other, strict=True))
