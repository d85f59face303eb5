"""Builds static encoders of the torch fixtures and reads their references' texts."""

from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from harness.builder.graph.static.feed import encoder_inputs, write_text_mask
from harness.builder.graph.static.geometry import StaticEncoderGeometry, TextShape
from harness.builder.quantize.levels import find_level
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model
from harness.store.static_encoder import build_static_encoder, calibration_texts_of
from tests.builder.graph.run_graph import open_graph
from tests.builder.graph.seeded_folder import ENCODERS, encoder_folder

MODELS = ["bert-cls", "bert-mean", "distilbert-mean", "xlmr-cls"]  # others are refused by name
# The references are 3 texts of at most 12 tokens; the second shape pads both ways.
SHAPE, LARGER = TextShape(12, 3), TextShape(16, 4)


@cache
def reference(name):
    """Texts, masks and torch's embeddings."""
    return load_file(ENCODERS / name / "reference.safetensors")


def build(name: str, level: str, folder: Path) -> StaticEncoderGeometry:
    """One fixture at one level, in both shapes."""
    source = resolve_model(str(encoder_folder(name)))
    texts, weights = calibration_texts_of(source, seed=0), open_weights(source)
    return build_static_encoder(
        source.spec, find_level(level), weights, folder, (LARGER, SHAPE), texts
    )


def inputs(name, geometry, shape, rows=slice(None)):
    """The reference's texts as a graph of `shape` reads them."""
    ids, mask = reference(name)["input_ids"][rows], reference(name)["attention_mask"][rows]
    fed = encoder_inputs(geometry, shape)
    fed["input_ids"][: ids.shape[0], : ids.shape[1]] = ids
    if geometry.token_types:
        fed["token_type_ids"][: ids.shape[0], : ids.shape[1]] = reference(name)["token_type_ids"][
            rows
        ]
    seen = np.zeros((shape.sequences, shape.tokens), bool)
    seen[: ids.shape[0], : ids.shape[1]] = mask
    shares = fed.get("token_shares", np.empty(seen.shape, np.float32))
    write_text_mask(fed["attention_mask"], shares, seen)
    return fed


def embeddings(name, folder, geometry, shape=SHAPE, rows=slice(None)):
    """Of the reference's texts [texts, hidden]."""
    session = open_graph(folder / shape.file)
    texts = len(reference(name)["input_ids"][rows])
    return session.run(None, inputs(name, geometry, shape, rows))[0][:texts]


def cosines(ours, theirs):
    """Of each row."""
    return (ours * theirs).sum(1) / np.sqrt(np.square(ours).sum(1) * np.square(theirs).sum(1))
