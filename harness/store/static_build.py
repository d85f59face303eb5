"""Builds a static decoder: floats first, ranges from running them, then the level itself."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.static.block import Norm
from harness.builder.graph.static.decoder import static_model, write_static_decoder
from harness.builder.graph.static.emitter import EXTREMES, observe, ranges_of
from harness.builder.graph.static.feed import write_cache, write_mask
from harness.builder.graph.static.geometry import (
    ALL_POSITIONS_FILE,
    StaticGeometry,
    static_geometry,
)
from harness.builder.quantize.fixed_point import Range
from harness.builder.quantize.levels import STATIC_FLOAT, QuantLevel, find_level
from harness.core.errors import UsageError
from harness.devices.session import open_reference
from harness.models.specs.model import ModelSpec
from harness.models.texts.tokens import Tokenization, calibration_tokens, tokenization_of
from harness.models.weights.source import ModelSource
from harness.models.weights.store import WeightStore

Ids = NDArray[np.int64]
SEQUENCES = 8  # of a seeded calibration
CALIBRATION_TOKENS = 512  # of each of them, where the cache holds so many


def build_static_decoder(
    spec: ModelSpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    prefill_tokens: int,
    capacity_tokens: int,
    calibration_ids: Ids,
    norm: Norm = Norm.OPERATOR,
) -> StaticGeometry:
    """Write a static decoder into `folder`, which exists.

    A fixed-point level is calibrated: the float form of the same decoder is written beside it,
    run over `calibration_ids`, and deleted. Of the disk that takes 4 bytes per parameter more; of
    memory what one pass of the float form needs beside its weights, which stay in their file.

    Args:
        spec: the architecture.
        level: one of the static levels.
        weights: the trained tensors.
        folder: receives the files.
        prefill_tokens: that the prefill graph reads at once.
        capacity_tokens: positions of the cache.
        calibration_ids: [sequences, tokens], each read from an empty cache in whole passes of
            `prefill_tokens`; a float level reads none.
        norm: how norms are written.

    Returns:
        What a caller must know to run it.

    Raises:
        UsageError: shapes that the model does not take, or sequences that are shorter than a pass
            or longer than the cache.
        ModelError: a weight is not finite.
        OSError: the files cannot be written.
    """
    geometry = static_geometry(spec, level, prefill_tokens, capacity_tokens)
    ranges: dict[str, Range] = {}
    if level.fixed_point:
        _check_length(calibration_ids, geometry)
        with TemporaryDirectory(dir=folder, prefix="calibration-") as floats:
            place = Path(floats)
            ranges = _calibrate(spec, level, weights, place, geometry, calibration_ids, norm)
    write_static_decoder(spec, level, weights, folder, geometry, ranges, norm)
    return geometry


def static_calibration(source: ModelSource, geometry: StaticGeometry, seed: int) -> Ids:
    """Return what the ranges of a model are found with: [sequences, tokens], in whole passes.

    Pieces spread evenly over the calibration text, as many as seeded_calibration has tokens, every
    second one with the token that begins a text; or that for a model without a tokenizer.

    Raises:
        UsageError, ModelError: as calibration_tokens.
    """
    assert isinstance(source.spec, ModelSpec)  # encoders read texts of their own
    seeded = seeded_calibration(source.spec, geometry, seed)
    folder, vocab = source.folder, geometry.vocab_size
    if folder is None or tokenization_of(folder, vocab) is Tokenization.NONE:
        return seeded
    text = calibration_tokens(folder, vocab)
    ids = np.array(text.ids, dtype=np.int64)
    tokens = seeded.shape[1]
    pieces = -(-SEQUENCES * CALIBRATION_TOKENS // tokens)
    starts = np.linspace(0, max(0, len(ids) - tokens), pieces).astype(int)
    found = np.stack([ids[start : start + tokens] for start in dict.fromkeys(starts.tolist())])
    if text.begin_id is not None:  # its activations may be far larger than those of any text
        found[::2, 0] = text.begin_id
    return found


def seeded_calibration(spec: ModelSpec, geometry: StaticGeometry, seed: int) -> Ids:
    """Return ids for weights that know no text: [SEQUENCES, tokens], in whole passes."""
    longest = min(CALIBRATION_TOKENS, geometry.capacity_tokens)
    passes = max(1, longest // geometry.prefill_tokens)
    shape = (SEQUENCES, passes * geometry.prefill_tokens)
    return np.random.default_rng(seed).integers(0, spec.vocab_size, shape, dtype=np.int64)


def _check_length(ids: Ids, geometry: StaticGeometry) -> None:
    """Refuse sequences without a whole pass, and those that outgrow the cache."""
    tokens = ids.shape[1]
    if not geometry.prefill_tokens <= tokens <= geometry.capacity_tokens:
        raise UsageError(
            f"calibration sequences are {tokens} tokens long",
            fix=f"from {geometry.prefill_tokens} (one pass) to {geometry.capacity_tokens} tokens"
            " (the cache)",
        )


def _calibrate(
    spec: ModelSpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    geometry: StaticGeometry,
    ids: Ids,
    norm: Norm,
) -> dict[str, Range]:
    """Return the range of every grid of `level`, from the float decoder run over `ids`."""
    floats = find_level(STATIC_FLOAT)
    shapes = static_geometry(spec, floats, geometry.prefill_tokens, geometry.capacity_tokens)
    write_static_decoder(spec, floats, weights, folder, shapes, {}, norm)
    model, observed = static_model(spec, floats, shapes, {}, ALL_POSITIONS_FILE, norm)
    observe(model, observed)
    graph = folder / "calibration.onnx"
    graph.write_bytes(model.SerializeToString())
    session = open_reference(graph)
    seen = [extremes for sequence in ids for extremes in _passes(session, shapes, sequence)]
    return ranges_of(np.stack(seen), observed, level)


def _passes(
    session: Any, geometry: StaticGeometry, ids: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    """Read one sequence [tokens] in whole passes; yields the extremes of each."""
    tokens = geometry.prefill_tokens
    cache = [
        (np.zeros(geometry.key_shape, np.float32), np.zeros(geometry.value_shape, np.float32))
        for _ in range(geometry.num_layers)
    ]
    mask = np.empty((tokens, geometry.capacity_tokens + tokens), np.float32)
    names = [port.name for port in session.get_outputs()]
    for depth in range(0, len(ids) - tokens + 1, tokens):
        write_mask(mask, geometry, depth)
        fed = {
            "input_ids": ids[depth : depth + tokens].astype(np.int32),
            "positions": np.arange(depth, depth + tokens, dtype=np.int32),
            "attention_mask": mask,
        }
        for layer, (keys, values) in enumerate(cache):
            fed |= {f"past_keys.{layer}": keys, f"past_values.{layer}": values}
        given = dict(zip(names, session.run(None, fed), strict=True))
        for layer, halves in enumerate(cache):
            new = given[f"new_keys.{layer}"], given[f"new_values.{layer}"]
            write_cache(*halves, *new, depth, tokens)
        yield given[EXTREMES]
