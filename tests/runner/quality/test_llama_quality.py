"""What levels of llama.cpp lose: its logits of every position against our graph at fp32."""

import pytest

from harness.builder.quantize.levels import find_cache, find_level
from harness.models.gguf.source import GgufGeometry, gguf_geometry_from
from harness.models.weights.source import resolve_model
from harness.runner.models import find_model
from harness.runner.quality.measure import graphs, measure_quality
from harness.store.cache import ensure_artifact
from harness.store.gguf import ensure_gguf
from tests.models.gguf_files import tiny_gguf

BYTELM = resolve_model("bytelm")


def test_a_file_travels_as_both_graphs(tmp_path):
    """The child is told of it by the fields of its geometry, which no graph has."""
    model = find_model(str(tiny_gguf(tmp_path / "tiny-Q4_0.gguf"))).measured()
    level, cache = model.stored_as("q4_0")
    sent = graphs(model.build(level, cache, tmp_path).judged())
    assert sent.all_logits == sent.last_logits
    assert gguf_geometry_from(sent.geometry) == GgufGeometry(96, 128, "float16")
    assert gguf_geometry_from({**sent.geometry, "layers": 2}) is None


@pytest.fixture(scope="module")
def lost(shared_cache):
    """A call that measures a level of bytelm."""
    pytest.importorskip("gguf", reason="the extra `llamacpp` is not installed")
    pytest.importorskip("llama_cpp", reason="the extra `llamacpp` is not installed")

    def measured(name):
        level = find_level(name)
        built = ensure_gguf(BYTELM, level, find_cache("auto", level), shared_cache)
        return measure_quality(BYTELM, ensure_artifact(BYTELM, "fp32", shared_cache), built)

    return measured


def test_the_same_weights_lose_nothing(lost):
    """Both paths, every token: what is left is the rounding of a cache of float16."""
    found = lost("f32")
    assert (found.model, found.level, found.cache) == ("bytelm", "f32", "fp16")
    for path in (found.prefill, found.decode):
        assert path.kld_nats.value < 1e-5
        assert path.top1_agreement.value > 0.998


def test_fewer_bits_lose_more(lost):
    """Eight bits next to nothing, four a hundredth of a nat; both ways of reading alike."""
    eight, four = lost("q8_0"), lost("q4_0")
    assert 1e-5 < eight.prefill.kld_nats.value < 1e-3
    assert 3e-3 < four.prefill.kld_nats.value < 2e-2
    assert four.decode.kld_nats.value == pytest.approx(four.prefill.kld_nats.value, rel=0.05)
