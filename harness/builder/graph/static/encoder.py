"""Builds a static encoder: one graph per shape of a batch, all over one data file."""

from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import helper

from harness.builder.graph.assembly import assemble, stored_initializers, write_weights
from harness.builder.graph.geometry import EMBEDDING
from harness.builder.graph.static.block import PROBABILITY, reshape
from harness.builder.graph.static.emitter import Observed, Ranges, StaticEmitter
from harness.builder.graph.static.encoder_block import (
    NARROW,
    EncoderShared,
    add_and_norm,
    add_static_layer,
)
from harness.builder.graph.static.geometry import (
    HIDDEN,
    StaticEncoderGeometry,
    TextShape,
    type_inputs,
)
from harness.builder.quantize.fixed_point import Range
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import EncoderSpec
from harness.models.specs.tensors import EMBED_NORM, POSITIONS, TOKENS, TYPES
from harness.models.weights.store import WeightStore

OPSETS = (("", 21),)  # the first whose grids have 16 bits
MASK, SHARES = "attention_mask", "token_shares"
# Of everything behind the last norm, at every fixed-point level: an embedding's values are small
# beside 1, their bound, and a mean's beside those of the vectors. Tighter grids would not do:
# Qualcomm's LpNormalization does not stop at the ends of its grid, its 16-bit integers overflow.
WIDE = "uint16"
KNOWN = {
    PROBABILITY: Range(0.0, 1.0),
    MASK: Range(HIDDEN, 0.0),
    SHARES: Range(0.0, 1.0),
    EMBEDDING: Range(-1.0, 1.0),
}


def write_static_encoder(
    spec: EncoderSpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    geometry: StaticEncoderGeometry,
    ranges: Ranges,
) -> None:
    """Write the data file and a graph for every shape into `folder`, which exists.

    Inputs of a graph: `input_ids` and, where the model has them, `token_type_ids`, int32
    [texts, tokens]; `attention_mask` and `token_shares`, float32 of the same shape, see
    graph.static.feed. Output: `sentence_embedding` float32 [texts, hidden], pooled and of length 1.

    Args:
        spec: the architecture.
        level: a static one.
        weights: the trained tensors.
        folder: receives the files.
        geometry: the fixed shapes.
        ranges: of every grid; none at a float level. They hold for every shape.

    Raises:
        ModelError: a weight is not finite.
        OSError: the files cannot be written.
    """
    write_weights(spec, level, weights, folder, ranges)
    for shape in geometry.shapes:
        model, _observed = static_encoder_model(spec, level, shape, ranges)
        (folder / shape.file).write_bytes(model.SerializeToString())


def static_encoder_model(
    spec: EncoderSpec, level: QuantLevel, shape: TextShape, ranges: Ranges
) -> tuple[onnx.ModelProto, list[Observed]]:
    """Return the graph of one shape, and the tensors whose ranges are not known yet."""
    emitter = StaticEmitter(level, {**KNOWN, **ranges})
    shared = _shared(emitter, spec, shape)
    stream = _embed(emitter, spec, level, shape)
    for layer in range(spec.num_layers):
        stream = add_static_layer(emitter, spec, level, layer, stream, shared)
    wide = emitter.convert(stream, "pool.wide", WIDE)
    texts = [shape.sequences, shape.tokens, spec.hidden_size]
    vectors = reshape(emitter, wide, "pool.texts", texts)
    grid = f"model.layers.{spec.num_layers - 1}.mlp_norm.normalised"
    pooled = _POOL[spec.pooling](emitter, vectors, grid, shape)
    flat = reshape(emitter, pooled, "pool.vector", [shape.sequences, spec.hidden_size])
    emitter.compute("LpNormalization", (flat,), EMBEDDING, dtype=WIDE, axis=-1, p=2)
    weights = stored_initializers(spec, level)
    model = assemble(emitter, spec.name, weights, *_ports(spec, shape), opsets=OPSETS)
    return model, emitter.observed


def _shared(emitter: StaticEmitter, spec: EncoderSpec, shape: TextShape) -> EncoderShared:
    """Add what every layer reads."""
    axes = [shape.sequences, 1, 1, shape.tokens]
    mask = reshape(emitter, emitter.floats(MASK), "mask.by_head", axes)
    scale = emitter.scalar("query.scale", spec.head_dim**-0.5)
    return EncoderShared(shape.sequences, shape.tokens, mask, scale)


def _embed(emitter: StaticEmitter, spec: EncoderSpec, level: QuantLevel, shape: TextShape) -> str:
    """Add the sum of token, type and position rows and its norm: [texts · tokens, hidden].

    Ids become one row before anything is looked up: one reshape of integers, none of vectors.
    """
    count = emitter.constant("ids.shape", [shape.sequences * shape.tokens])
    ids = emitter.add("Reshape", ("input_ids", count), "ids.flat")
    rows = emitter.look_up(TOKENS, ids, level.table, "embedding")
    if spec.token_types:
        types = _types(emitter, spec, shape, count)
        types = emitter.look_up(TYPES, types, level.table, "types")
        rows = emitter.compute("Add", (rows, types), "embedding.typed")
    first = spec.first_position
    numbers = [*range(first, first + shape.tokens)] * shape.sequences
    places = emitter.constant("positions.numbers", numbers, "int32")
    positions = emitter.look_up(POSITIONS, places, level.table, "positions")
    return add_and_norm(emitter, spec, (rows, positions), EMBED_NORM, len(numbers))


def _types(emitter: StaticEmitter, spec: EncoderSpec, shape: TextShape, count: str) -> str:
    """Add the type of every token, in one row: those that are fed, or the only one there is."""
    if type_inputs(spec):
        return emitter.add("Reshape", ("token_type_ids", count), "types.flat")
    return emitter.constant("types.only", [0] * (shape.sequences * shape.tokens), "int32")


def _mean(emitter: StaticEmitter, texts: str, grid: str, shape: TextShape) -> str:
    """Add the weighted sum of the tokens' vectors, on their grid: a mean lies between them.

    The vectors come first: the second operand of a product has 8 bits, and what those do to the
    shares of one text is a common factor, which is gone when the embedding has its length.
    """
    columns = emitter.move("Transpose", (texts,), "pool.columns", perm=[0, 2, 1])
    shares = emitter.floats(SHARES, NARROW)
    shares = reshape(emitter, shares, "pool.shares", [shape.sequences, shape.tokens, 1])
    return emitter.compute("MatMul", (columns, shares), "pool.mean", grid, dtype=WIDE)


def _first(emitter: StaticEmitter, texts: str, _grid: str, _shape: TextShape) -> str:
    """Add the first token's vector."""
    first = emitter.constant("pool.place", [0], "int32")
    return emitter.move("Gather", (texts, first), "pool.first", axis=1)


_POOL: dict[str, Callable[[StaticEmitter, str, str, TextShape], str]] = {
    "mean": _mean,
    "cls": _first,
}


def _ports(
    spec: EncoderSpec, shape: TextShape
) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Return the graph's inputs and outputs; no dimension has a name instead of a number."""
    port, floats = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    texts = [shape.sequences, shape.tokens]
    ids = ["input_ids", *(["token_type_ids"] if type_inputs(spec) else [])]
    inputs = [port(name, onnx.TensorProto.INT32, texts) for name in ids]
    masks = [MASK, *([SHARES] if spec.pooling == "mean" else [])]
    inputs += [port(name, floats, texts) for name in masks]
    return inputs, [port(EMBEDDING, floats, [shape.sequences, spec.hidden_size])]
