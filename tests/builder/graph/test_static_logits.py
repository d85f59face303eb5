"""Static decoders against the fused ones, and fixed-point ones against the float form.

Lowest cosine seen over the six tiny architectures, 30 tokens each: a16w8 0.9983, a8w8 0.9950.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from harness.builder.graph.decoder import build_decoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import ALL_LOGITS_FILE
from harness.builder.graph.static.block import Norm
from harness.builder.quantize.levels import find_level
from tests.builder.graph.random_weights import RandomWeights
from tests.builder.graph.run_graph import GraphRun, open_graph
from tests.builder.graph.run_static import CAPACITY_TOKENS, StaticRun, build
from tests.tiny import LLAMA_LIKE

# A prompt of more than two passes, its last one padded; steps; a prompt on a filled cache.
PIECES = (19, 1, 1, 9)
LEAST_COSINE = {"a16w8": 0.998, "a8w8": 0.993}


def ids_of(name):
    """30 tokens, in the pieces they are read in."""
    ids = np.random.default_rng(1).integers(0, LLAMA_LIKE[name].vocab_size, sum(PIECES))
    return np.split(ids, np.cumsum(PIECES)[:-1])


@cache
def static_logits(name, level, norm=Norm.OPERATOR):
    with TemporaryDirectory() as folder:
        run = StaticRun(Path(folder), build(name, level, Path(folder), norm))
        return np.concatenate([run.run(piece) for piece in ids_of(name)])


@cache
def fused_logits(name):
    spec, level = LLAMA_LIKE[name], find_level("fp32")
    with TemporaryDirectory() as folder:
        build_decoder(spec, level, RandomWeights(spec), Path(folder))
        session = open_graph(Path(folder) / ALL_LOGITS_FILE)
        run = GraphRun(session, geometry_of(spec, level), 1, CAPACITY_TOKENS)
        return np.concatenate([run.run(piece[None])[0] for piece in ids_of(name)])


@pytest.mark.parametrize("norm", Norm)
@pytest.mark.parametrize("name", LLAMA_LIKE)
def test_float_form_is_the_fused_decoder(name, norm):
    """Padding, several passes, steps, a window, head norms, biases, stretched and tied."""
    logits = static_logits(name, "fp32-static", norm)
    np.testing.assert_allclose(logits, fused_logits(name), rtol=0, atol=1e-4)


@pytest.mark.parametrize("level", LEAST_COSINE)
@pytest.mark.parametrize("name", LLAMA_LIKE)
def test_fixed_point_stays_near_the_floats(name, level):
    ours, exact = static_logits(name, level), static_logits(name, "fp32-static")
    cosine = (ours * exact).sum() / np.sqrt(np.square(ours).sum() * np.square(exact).sum())
    assert LEAST_COSINE[level] < cosine < 1


@pytest.mark.parametrize("name", LLAMA_LIKE)
def test_sixteen_bits_are_nearer_than_eight(name):
    exact = static_logits(name, "fp32-static")
    wide, narrow = (
        np.square(static_logits(name, level) - exact).mean() for level in ("a16w8", "a8w8")
    )
    assert wide < narrow / 2


def test_what_a_window_hides_changes_nothing(tmp_path):
    """Two layers, a window of 4: the seventh token reads back 6 positions and no further."""
    geometry = build("mistral", "fp32-static", tmp_path)
    ids = np.arange(9)
    logits = []
    for first in (0, 77):
        run = StaticRun(tmp_path, geometry)
        run.run(np.concatenate([[first], ids[1:8]]))
        logits.append(run.run(ids[8:]))
    np.testing.assert_array_equal(logits[0], logits[1])
