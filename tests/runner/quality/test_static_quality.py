"""Static decoders judged as any other level: both paths, against the fused fp32 reference."""

import pytest

from harness.builder.graph.static.geometry import StaticShapes
from harness.core.errors import UsageError
from harness.models.weights.source import resolve_model
from harness.runner.quality.chunks import ChunkPlan
from harness.runner.quality.measure import measure_quality
from harness.store.cache import ensure_artifact

PLAN = ChunkPlan(chunk_tokens=24, chunks=20)  # two passes, the second one padded
SHAPES = StaticShapes(prefill_tokens=16, capacity_tokens=32)


def judged(source, level, cache, plan=PLAN):
    built = ensure_artifact(source, level, cache, shapes=SHAPES)
    return measure_quality(source, ensure_artifact(source, "fp32", cache), built, plan=plan)


@pytest.fixture(scope="module")
def source(tiny_folder):
    return resolve_model(str(tiny_folder))


def test_floats_lose_nothing_on_either_path(source, shared_cache):
    """Passes, padding and cache give what one pass of the fused decoder gives."""
    found = judged(source, "fp32-static", shared_cache)
    assert found.invalid is None
    for path in (found.prefill, found.decode):
        assert path.kld_nats.value < 1e-6
        assert path.top1_agreement.value > 0.99


def test_integers_lose_something_and_much_alike_on_both_paths(source, shared_cache):
    """The ranges are fixed when it is built, so that only single roundings differ."""
    found = judged(source, "a8w8", shared_cache)
    assert 1e-6 < found.prefill.kld_nats.value < 1
    assert found.decode.kld_nats.value == pytest.approx(found.prefill.kld_nats.value, rel=0.3)


def test_chunks_beyond_the_cache_are_refused(source, shared_cache):
    with pytest.raises(UsageError, match="takes 32 at once"):
        judged(source, "a8w8", shared_cache, ChunkPlan(chunk_tokens=33, chunks=20))
