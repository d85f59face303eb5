"""Encoders and rerankers called from Python: padding on either side, scores, what is refused."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness.builder.graph.encoder import build_encoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import GRAPH_FILE
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import UsageError
from harness.devices.device import find_device
from harness.engine.loaded_encoder import LoadedTextEncoder
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model
from tests.builder.graph.seeded_folder import encoder_folder


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Build a fixture at fp32 and open it, with torch's reference."""

    def load(name):
        source, folder = resolve_model(str(encoder_folder(name))), tmp_path_factory.mktemp(name)
        build_encoder(source.spec, LEVELS["fp32"], open_weights(source), folder)
        geometry = geometry_of(source.spec, LEVELS["fp32"])
        model = LoadedTextEncoder(folder / GRAPH_FILE, geometry, find_device("cpu"), 1)
        return model, load_file(encoder_folder(name) / "reference.safetensors")

    return load


@pytest.mark.parametrize("name", ["qwen3-last", "gemma3-dense", "eurobert-mean"])
def test_rotary_encoders_take_texts_filled_up_before_or_behind(opened, name):
    """Tokenizers of decoders fill up before the text; distances between its tokens stay."""
    model, reference = opened(name)
    ids, mask = reference["input_ids"], reference["attention_mask"]
    behind = model.embed(ids, mask)
    np.testing.assert_allclose(behind, reference["sentence_embedding"], rtol=0, atol=1e-5)
    before = model.embed(ids[:, ::-1], mask[:, ::-1])  # other texts: each word order turned
    moved = np.argsort(mask[:, ::-1] == 0, axis=1, kind="stable")
    turned = np.take_along_axis(ids[:, ::-1], moved, 1)
    np.testing.assert_allclose(before, model.embed(turned, mask), rtol=0, atol=1e-5)


def test_a_reranker_scores_pairs_with_their_types(opened):
    model, reference = opened("bert-scores")
    ids, mask, types = (
        reference[name] for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    scores = model.score(ids, mask, types)
    np.testing.assert_allclose(scores, reference["logits"], rtol=0, atol=1e-5)
    assert np.abs(model.score(ids, mask) - scores).max() > 1e-3  # without types: another pair


def test_what_a_model_does_not_give_is_refused_with_the_way_out(opened):
    reranker, _reference = opened("xlmr-scores")
    with pytest.raises(UsageError, match=r"scores of texts, not embeddings\n  try: model.score"):
        reranker.embed([[2, 3]])
    encoder, _reference = opened("xlmr-cls")
    with pytest.raises(UsageError, match=r"embeddings, not scores\n  try: model.embed"):
        encoder.score([[2, 3]])


@pytest.mark.parametrize(
    ("types", "words"),
    [([[0, 2]], "hold 0 to 2"), ([[0]], r"have the shape \[1, 1\]"), ([[0, -1]], "hold -1 to 0")],
)
def test_wrong_token_types_are_refused(opened, types, words):
    model, _reference = opened("bert-scores")
    with pytest.raises(UsageError, match=words):
        model.score([[2, 3]], None, types)
