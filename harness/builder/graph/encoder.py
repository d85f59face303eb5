"""Builds an encoder: one graph over one data file; the rules are in graph/rules.py."""

from pathlib import Path

import onnx
from onnx import helper

from harness.builder.graph.assembly import assemble, stored_initializers, write_weights
from harness.builder.graph.emitter import Emitter
from harness.builder.graph.encoder_block import add_encoder_layer, sum_and_norm
from harness.builder.graph.geometry import EMBEDDING, HIDDEN, EncoderGeometry, geometry_of
from harness.builder.graph.matrix import look_up
from harness.builder.graph.rules import GRAPH_FILE
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import EncoderSpec
from harness.models.specs.tensors import EMBED_NORM, POSITIONS, TOKENS, TYPES
from harness.models.weights.store import WeightStore

UNSEEN_SCORE = -10_000.0  # what ONNX Runtime's attention adds for a masked token; fits float16


def build_encoder(spec: EncoderSpec, level: QuantLevel, weights: WeightStore, folder: Path) -> None:
    """Write an encoder into `folder`, which exists: `model.onnx` over `model.onnx.data`.

    Inputs int64 [batch, tokens]: `input_ids`, `attention_mask` and, where the model has them,
    `token_type_ids`. Outputs float32: `last_hidden_state` [batch, tokens, hidden] and
    `sentence_embedding` [batch, hidden], pooled and of length 1.

    Args:
        spec: the architecture.
        level: how weights and activations are stored.
        weights: the trained tensors.
        folder: receives the files.

    Raises:
        ModelError: a weight is not finite.
        OSError: the files cannot be written.
    """
    write_weights(spec, level, weights, folder)
    model = encoder_model(spec, level)
    (folder / GRAPH_FILE).write_bytes(model.SerializeToString())


def encoder_model(spec: EncoderSpec, level: QuantLevel) -> onnx.ModelProto:
    """Return the graph; its weights lie in the data file, written or not."""
    emitter = Emitter()
    hides = _hide_unseen(emitter, level)
    stream = _embed(emitter, spec, level)
    for layer in range(spec.num_layers):
        stream = add_encoder_layer(emitter, spec, level, layer, stream, hides)
    if level.float_dtype == "float32":
        emitter.nodes[-1].output[0] = HIDDEN
    else:
        emitter.add("Cast", (stream,), HIDDEN, to=onnx.TensorProto.FLOAT)
    pooled = _POOL[spec.pooling](emitter)
    emitter.add("LpNormalization", (pooled,), EMBEDDING, axis=-1, p=2)
    weights = stored_initializers(spec, level)
    return assemble(emitter, spec.name, weights, *_ports(geometry_of(spec, level)))


def _hide_unseen(emitter: Emitter, level: QuantLevel) -> str:
    """Add what is added to every score: [batch, 1, tokens, tokens], 0 where a token is seen.

    The attention operator can take the mask itself, and then makes this of it in every layer, with
    the same number; but the WebGPU provider's takes none.
    """
    seen = emitter.add("Cast", ("attention_mask",), "mask.seen", to=onnx.TensorProto.BOOL)
    shown = emitter.constant("mask.shown", 0, level.float_dtype)
    hidden = emitter.constant("mask.hidden", UNSEEN_SCORE, level.float_dtype)
    scores = emitter.add("Where", (seen, shown, hidden), "mask.scores")
    axes = emitter.constant("mask.axes", [1, 2])
    row = emitter.add("Unsqueeze", (scores, axes), "mask.row")
    tokens = emitter.add("Shape", ("attention_mask",), "mask.tokens", start=1)
    one, two = emitter.constant("mask.one", [1]), emitter.constant("mask.two", [1, 1])
    shape = emitter.add("Concat", (two, tokens, one), "mask.shape", axis=0)
    return emitter.add("Expand", (row, shape), "mask")


def _embed(emitter: Emitter, spec: EncoderSpec, level: QuantLevel) -> str:
    """Add the sum of token, position and type rows and its norm: [batch, tokens, hidden]."""
    hidden = spec.hidden_size
    rows = [look_up(emitter, level, TOKENS, hidden, "input_ids", "embedding")]
    shape = emitter.add("Shape", ("input_ids",), "positions.shape")
    zero, one = emitter.constant("positions.first", 0), emitter.constant("positions.step", 1)
    tokens = emitter.add("Gather", (shape, one), "positions.tokens")
    numbers = emitter.add("Range", (zero, tokens, one), "positions.numbers")
    rows.append(look_up(emitter, level, POSITIONS, hidden, numbers, "positions", row_axis=1))
    if spec.token_types:
        rows.append(look_up(emitter, level, TYPES, hidden, "token_type_ids", "types"))
    return sum_and_norm(emitter, spec, tuple(rows), EMBED_NORM)


def _mean(emitter: Emitter) -> str:
    """Add the sum of the seen tokens' vectors: as long as it is scaled to length 1, their mean."""
    seen = emitter.add("Cast", ("attention_mask",), "pool.seen", to=onnx.TensorProto.FLOAT)
    axis = emitter.constant("pool.axis", [1])
    row = emitter.add("Unsqueeze", (seen, axis), "pool.row")
    total = emitter.add("MatMul", (row, HIDDEN), "pool.total")
    return emitter.add("Squeeze", (total, axis), "pool.vector")


def _first(emitter: Emitter) -> str:
    """Add the first token's vector."""
    first = emitter.constant("pool.first", 0)
    return emitter.add("Gather", (HIDDEN, first), "pool.vector", axis=1)


_POOL = {"mean": _mean, "cls": _first}


def _ports(
    geometry: EncoderGeometry,
) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Return the graph's inputs and outputs, with the names of exported sentence encoders."""
    port, floats = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    inputs = [
        port(name, onnx.TensorProto.INT64, ["batch_size", "sequence_length"])
        for name in geometry.inputs
    ]
    hidden = port(HIDDEN, floats, ["batch_size", "sequence_length", geometry.hidden_size])
    return inputs, [hidden, port(EMBEDDING, floats, ["batch_size", geometry.hidden_size])]
