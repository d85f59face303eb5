"""A static encoder behind its bound sessions: padding, the choice of a graph, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from harness.builder.graph.static.geometry import TextShape
from harness.builder.quantize.levels import find_level
from harness.core.errors import UsageError
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.static_encoder import StaticEncoder
from harness.models.weights.seeded import SeededWeights
from harness.store.static_encoder import build_static_encoder
from tests.engine.tiny_encoder import SPEC, TinyEncoder

SHAPES = (TextShape(4, 3), TextShape(8, 1), TextShape(8, 3))


@pytest.fixture(scope="module", params=["mean", "cls"])
def pair(request, tmp_path_factory):
    """The static form, opened, and the fused one of the same weights."""
    folder = tmp_path_factory.mktemp("static")
    spec = replace(SPEC, pooling=request.param)
    level = find_level("fp32-static")
    weights = SeededWeights(spec, 0)
    geometry = build_static_encoder(spec, level, weights, folder, SHAPES, ())
    cpu = find_device("cpu")
    opened = [open_session(folder / shape.file, cpu, threads=1) for shape in geometry.shapes]
    fused = TinyEncoder(tmp_path_factory.mktemp("fused"), pooling=request.param).open()
    return StaticEncoder(opened, geometry), fused


@pytest.mark.parametrize("shape", [(3, 4), (1, 8), (2, 3), (1, 1), (3, 7)])
def test_texts_of_any_fitting_shape_give_what_the_fused_encoder_gives(pair, shape):
    static, fused = pair
    ids = np.random.default_rng(shape).integers(0, SPEC.vocab_size, shape)
    np.testing.assert_allclose(static.encode(ids), fused.encode(ids), rtol=0, atol=1e-5)


def test_hidden_tokens_change_nothing(pair):
    static, fused = pair
    ids = np.arange(6, dtype=np.int64)[None]
    mask = np.array([[1] * 4 + [0] * 2])
    np.testing.assert_allclose(static.encode(ids, mask), fused.encode(ids[:, :4]), atol=1e-5)


def test_texts_leave_nothing_behind(pair):
    """A shorter batch after a longer one, in the same graph."""
    static, _fused = pair
    short = np.arange(5, dtype=np.int64)[None]
    before = static.encode(short).copy()
    static.encode(np.full((1, 8), 7, np.int64), np.array([[1, 1, 0, 1, 1, 1, 1, 1]]))
    np.testing.assert_array_equal(static.encode(short), before)


@pytest.mark.parametrize(
    ("shape", "words"), [((4, 4), "4 texts of 4 tokens fit no graph"), ((1, 9), "9 tokens do not")]
)
def test_texts_that_fit_no_graph_are_refused(pair, shape, words):
    with pytest.raises(UsageError, match=words):
        pair[0].encode(np.zeros(shape, np.int64))
