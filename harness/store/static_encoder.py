"""Builds a static encoder: floats first, ranges from texts that they read, then the level."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.static.emitter import EXTREMES, observe, ranges_of
from harness.builder.graph.static.encoder import static_encoder_model, write_static_encoder
from harness.builder.graph.static.feed import encoder_inputs
from harness.builder.graph.static.geometry import (
    StaticEncoderGeometry,
    TextShape,
    static_encoder_geometry,
)
from harness.builder.quantize.fixed_point import Range
from harness.builder.quantize.levels import STATIC_FLOAT, QuantLevel, find_level
from harness.core.errors import UsageError
from harness.devices.session import open_reference
from harness.models.specs.model import EncoderSpec
from harness.models.texts.tokens import Tokenization, calibration_texts, tokenization_of
from harness.models.weights.source import ModelSource
from harness.models.weights.store import WeightStore

Ids = NDArray[np.int64]
# Tokens of a calibration text: the fewer, the less an outlier is averaged away in their mean.
LENGTHS = (256, 128, 64, 32, 16, 8, 4)
TEXTS_PER_LENGTH = 4


def build_static_encoder(
    spec: EncoderSpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    shapes: Iterable[TextShape],
    texts: Sequence[Ids],
) -> StaticEncoderGeometry:
    """Write a static encoder into `folder`, which exists.

    A fixed-point level is calibrated: the float form of the same encoder is written beside it,
    reads `texts`, and is deleted. The ranges are those of the texts, whatever the shapes.

    Args:
        spec: the architecture.
        level: one of the static levels.
        weights: the trained tensors.
        folder: receives the files.
        shapes: of the graphs.
        texts: token ids [tokens] of each; a float level reads none.

    Returns:
        What a caller must know to run it.

    Raises:
        UsageError: shapes that the model does not take, or no text, or one that it does not take.
        ModelError: a weight is not finite.
        OSError: the files cannot be written.
    """
    geometry = static_encoder_geometry(spec, shapes)
    ranges: dict[str, Range] = {}
    if level.fixed_point:
        with TemporaryDirectory(dir=folder, prefix="calibration-") as floats:
            ranges = _calibrate(spec, level, weights, Path(floats), texts)
    write_static_encoder(spec, level, weights, folder, geometry, ranges)
    return geometry


def calibration_texts_of(source: ModelSource, seed: int) -> list[Ids]:
    """Return texts for `source` to take its ranges from: of its own tokens, or seeded random ids.

    Args:
        source: an encoder; one with a tokenizer reads the bundled calibration text.
        seed: of random ids.

    Raises:
        UsageError: the text cannot be read with the model's tokenizer.
    """
    spec, folder = source.spec, source.folder
    assert isinstance(spec, EncoderSpec)
    kept = sorted({min(length, spec.max_context_tokens) for length in LENGTHS}, reverse=True)
    if folder is not None and tokenization_of(folder, spec.vocab_size) is Tokenization.FILE:
        lengths = kept * TEXTS_PER_LENGTH
        texts = calibration_texts(folder, spec.vocab_size, lengths)
        return [np.array(ids, dtype=np.int64) for ids in texts]
    shapes = [(length, (seed, length)) for length in kept]
    return [
        ids
        for length, seeds in shapes
        for ids in np.random.default_rng(seeds).integers(
            0, spec.vocab_size, (TEXTS_PER_LENGTH, length), dtype=np.int64
        )
    ]


def _calibrate(
    spec: EncoderSpec, level: QuantLevel, weights: WeightStore, folder: Path, texts: Sequence[Ids]
) -> dict[str, Range]:
    """Return the range of every grid of `level`, from the float encoder that reads `texts`."""
    if not texts:
        raise UsageError("no text to take ranges from", fix="one text or more")
    floats = find_level(STATIC_FLOAT)
    shapes = static_encoder_geometry(spec, (TextShape(len(ids), 1) for ids in texts))
    write_static_encoder(spec, floats, weights, folder, shapes, {})
    sessions = {}
    for shape in shapes.shapes:
        model, observed = static_encoder_model(spec, floats, shape, {})
        observe(model, observed)
        (folder / shape.file).write_bytes(model.SerializeToString())
        sessions[shape.tokens] = open_reference(folder / shape.file)
    seen = []
    for ids in texts:
        fed = encoder_inputs(shapes, TextShape(len(ids), 1))
        fed["input_ids"][...] = ids
        seen.append(sessions[len(ids)].run([EXTREMES], fed)[0])
    return ranges_of(np.stack(seen), observed, level)
