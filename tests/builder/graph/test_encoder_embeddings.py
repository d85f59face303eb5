"""The built encoders against torch; make_encoder_fixtures.py says how the references were made.

LEAST_COSINE bounds the mean cosine between our sentence embeddings and torch's, over three
sequences of each model; the lowest seen are 0.9996 (8 bits), 0.984 (4 bits) and 0.913 (2 bits).
Norms that stand before a layer's parts damp no rounding: there the lowest are 0.9988 (8 bits) and
0.925 (4 bits). MOST_OFF bounds the scores of classifiers, as a share of the largest one.
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
from tests.builder.graph.seeded_folder import ENCODERS, encoder_folder

MODELS = sorted(path.name for path in ENCODERS.iterdir())
LEAST_COSINE = {
    "fp16": 0.99999,
    "int8": 0.999,
    "int8-block": 0.999,
    "int8-fast": 0.999,
    "int4-mixed-plus": 0.99,
    "int4-b16": 0.985,
    "int4-mixed": 0.985,
    "int4-asym": 0.98,
    "int4-kquant": 0.98,
    "int4": 0.98,
    "int4-b64": 0.98,
    "int4-fast": 0.98,
    "int4-b128-asym": 0.96,
    "int4-b128": 0.98,
    "int2-kquant": 0.85,
    "int2": 0.85,
}
# Encoders that have every level's test; the others have one of each form.
FIRST = ("bert-mean", "bert-cls", "distilbert-mean")
NORMS_BEFORE = {"fp16": 0.9999, "int8": 0.995, "int8-block": 0.998, "int4": 0.87, "int4-asym": 0.88}
MOST_OFF = {"fp16": 0.002, "int8": 0.06, "int8-block": 0.05, "int4": 0.35, "int4-asym": 0.35}
CLASSIFIERS = [name for name in MODELS if name.endswith("-scores")]
EMBEDDERS = [name for name in MODELS if name not in CLASSIFIERS]
GRID = [(name, level) for name in FIRST for level in LEAST_COSINE] + [
    (name, level) for name in EMBEDDERS if name not in FIRST for level in NORMS_BEFORE
]


def test_every_level_has_its_bound():
    assert {"fp32", *LEAST_COSINE} == set(LEVELS)
    assert NORMS_BEFORE.keys() == MOST_OFF.keys() <= LEAST_COSINE.keys()


@cache
def built(name, level_name):
    """A fixture built at a level; the folder lives as long as the tests run."""
    folder = TemporaryDirectory()
    source = resolve_model(str(encoder_folder(name)))
    build_encoder(source.spec, LEVELS[level_name], open_weights(source), Path(folder.name))
    return folder, open_graph(Path(folder.name) / GRAPH_FILE), source.spec


def outputs_of(name, level, rows=slice(None), tokens=slice(None)):
    """Our hidden states and embeddings of the reference's sequences, or of a part of them."""
    _folder, session, spec = built(name, level)
    reference = load_file(ENCODERS / name / "reference.safetensors")
    geometry = geometry_of(spec, LEVELS[level])
    fed = {key: reference[key][rows, tokens] for key in geometry.inputs}
    return session.run(["last_hidden_state", geometry.output], fed), reference


@pytest.mark.parametrize("name", MODELS)
def test_fp32_is_torchs(name):
    """Every seen position's vector and every embedding or score within 1e-5, padding or not.

    Vectors hold values up to 20, so theirs is a share of the value as well.
    """
    (hidden, given), reference = outputs_of(name, "fp32")
    seen = reference["attention_mask"].astype(bool)
    theirs = reference["last_hidden_state"][seen]
    np.testing.assert_allclose(hidden[seen], theirs, rtol=1e-5, atol=2e-5)
    wanted = reference["logits" if name in CLASSIFIERS else "sentence_embedding"]
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "level"), GRID)
def test_quantized_embeddings_stay_near_torchs(name, level):
    (_hidden, embedding), reference = outputs_of(name, level)
    near = (embedding * reference["sentence_embedding"]).sum(axis=-1)
    is_bert = name.startswith(("bert", "distilbert", "xlmr"))
    assert near.mean() >= (LEAST_COSINE if is_bert else NORMS_BEFORE)[level]


@pytest.mark.parametrize("level", MOST_OFF)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_quantized_scores_stay_near_torchs(name, level):
    (_hidden, scores), reference = outputs_of(name, level)
    off = np.abs(scores - reference["logits"]).max() / np.abs(reference["logits"]).max()
    assert off <= MOST_OFF[level]


@pytest.mark.parametrize("level", ["fp32", "int8-block", "int4"])
@pytest.mark.parametrize("name", MODELS)
def test_padding_changes_nothing(name, level):
    """The second sequence alone, 7 tokens, gives what it gives padded to 12 among others."""
    (_hidden, together), _reference = outputs_of(name, level)
    (_hidden, alone), _reference = outputs_of(name, level, slice(1, 2), slice(0, 7))
    np.testing.assert_allclose(alone[0], together[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", EMBEDDERS)
def test_embeddings_have_length_one(name):
    (_hidden, embedding), _reference = outputs_of(name, "int4")
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1, rtol=1e-6)
