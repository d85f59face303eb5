"""The built encoders against torch; make_encoder_fixtures.py says how the references were made.

LEAST_COSINE bounds the mean cosine between our sentence embeddings and torch's, over three
sequences of each model; the lowest seen are 0.9999 (8 bits), 0.971 (4 bits) and 0.834 (2 bits).
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness.builder.graph.encoder import build_encoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import GRAPH_FILE
from harness.builder.quantize.levels import LEVELS
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model
from tests.builder.graph.run_graph import open_graph

FIXTURES = Path(__file__).parents[2] / "fixtures" / "encoders"
MODELS = sorted(path.name for path in FIXTURES.iterdir())
LEAST_COSINE = {
    "fp16": 0.99999,
    "int8": 0.999,
    "int8-block": 0.999,
    "int4-mixed-plus": 0.99,
    "int4-b16": 0.985,
    "int4-mixed": 0.985,
    "int4-asym": 0.98,
    "int4-kquant": 0.98,
    "int4": 0.98,
    "int4-b64": 0.98,
    "int4-b128-asym": 0.96,
    "int4-b128": 0.98,
    "int2-kquant": 0.8,
    "int2": 0.8,
}


def test_every_level_has_its_bound():
    assert {"fp32", *LEAST_COSINE} == set(LEVELS)


@cache
def built(name, level_name):
    """A fixture built at a level; the folder lives as long as the tests run."""
    folder = TemporaryDirectory()
    source = resolve_model(str(FIXTURES / name))
    build_encoder(source.spec, LEVELS[level_name], open_weights(source), Path(folder.name))
    return folder, open_graph(Path(folder.name) / GRAPH_FILE), source.spec


def outputs_of(name, level, rows=slice(None), tokens=slice(None)):
    """Our hidden states and embeddings of the reference's sequences, or of a part of them."""
    _folder, session, spec = built(name, level)
    reference = load_file(FIXTURES / name / "reference.safetensors")
    fed = {key: reference[key][rows, tokens] for key in geometry_of(spec, LEVELS[level]).inputs}
    return session.run(["last_hidden_state", "sentence_embedding"], fed), reference


@pytest.mark.parametrize("name", MODELS)
def test_fp32_is_torchs(name):
    """Every seen position's vector and every embedding within 1e-5, padding or not.

    Vectors hold values up to 20, so theirs is a share of the value as well.
    """
    (hidden, embedding), reference = outputs_of(name, "fp32")
    seen = reference["attention_mask"].astype(bool)
    theirs = reference["last_hidden_state"][seen]
    np.testing.assert_allclose(hidden[seen], theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(embedding, reference["sentence_embedding"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("level", LEAST_COSINE)
@pytest.mark.parametrize("name", MODELS)
def test_quantized_embeddings_stay_near_torchs(name, level):
    (_hidden, embedding), reference = outputs_of(name, level)
    near = (embedding * reference["sentence_embedding"]).sum(axis=-1)
    assert near.mean() >= LEAST_COSINE[level]


@pytest.mark.parametrize("level", ["fp32", "int8-block", "int4"])
@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_no_embedding(name, level):
    """The second sequence alone, 7 tokens, gives what it gives padded to 12 among others."""
    (_hidden, together), _reference = outputs_of(name, level)
    (_hidden, alone), _reference = outputs_of(name, level, slice(1, 2), slice(0, 7))
    np.testing.assert_allclose(alone[0], together[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_embeddings_have_length_one(name):
    (_hidden, embedding), _reference = outputs_of(name, "int4")
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1, rtol=1e-6)
