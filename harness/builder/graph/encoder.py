"""Builds an encoder: one graph over one data file; the rules are in graph/rules.py."""

from functools import singledispatch
from pathlib import Path

import onnx
from onnx import helper

from harness.builder.graph.assembly import assemble, stored_initializers, write_weights
from harness.builder.graph.emitter import Emitter
from harness.builder.graph.encoder_block import add_encoder_layer, sum_and_norm
from harness.builder.graph.geometry import HIDDEN, EncoderGeometry, geometry_of
from harness.builder.graph.masks import hide_unseen
from harness.builder.graph.matrix import look_up
from harness.builder.graph.pooling import add_pooling
from harness.builder.graph.rotary_encoder import add_body
from harness.builder.graph.rules import GRAPH_FILE
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import EncoderSpec, RotaryEncoderSpec, TextSpec
from harness.models.specs.tensors import EMBED_NORM, POSITIONS, TOKENS, TYPES
from harness.models.weights.store import WeightStore


def build_encoder(spec: TextSpec, level: QuantLevel, weights: WeightStore, folder: Path) -> None:
    """Write an encoder into `folder`, which exists: `model.onnx` over `model.onnx.data`.

    Inputs int64 [batch, tokens]: `input_ids`, `attention_mask` and, where the model has them,
    `token_type_ids`. Outputs float32: `last_hidden_state` [batch, tokens, hidden] and
    `sentence_embedding` [batch, width], pooled and of length 1; or `logits` [batch, scores].

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


def encoder_model(spec: TextSpec, level: QuantLevel) -> onnx.ModelProto:
    """Return the graph; its weights lie in the data file, written or not."""
    emitter = Emitter()
    stream = _body(spec, emitter, level)
    if level.float_dtype == "float32":
        emitter.nodes[-1].output[0] = HIDDEN
    else:
        emitter.add("Cast", (stream,), HIDDEN, to=onnx.TensorProto.FLOAT)
    add_pooling(emitter, spec, level)
    weights = stored_initializers(spec, level)
    return assemble(emitter, spec.name, weights, *_ports(geometry_of(spec, level)))


@singledispatch
def _body(spec: TextSpec, emitter: Emitter, level: QuantLevel) -> str:
    """Add everything up to the vectors of the tokens [batch, tokens, hidden], by kind."""
    raise TypeError(f"{spec!r} is no encoder")


@_body.register
def _learned(spec: EncoderSpec, emitter: Emitter, level: QuantLevel) -> str:
    hides = hide_unseen(emitter, level)
    stream = _embed(emitter, spec, level)
    for layer in range(spec.num_layers):
        stream = add_encoder_layer(emitter, spec, level, layer, stream, hides)
    return stream


@_body.register
def _rotary(spec: RotaryEncoderSpec, emitter: Emitter, level: QuantLevel) -> str:
    return add_body(emitter, spec, level)


def _embed(emitter: Emitter, spec: EncoderSpec, level: QuantLevel) -> str:
    """Add the sum of token, position and type rows and its norm: [batch, tokens, hidden]."""
    hidden = spec.hidden_size
    rows = [look_up(emitter, level, TOKENS, hidden, "input_ids", "embedding")]
    shape = emitter.add("Shape", ("input_ids",), "positions.shape")
    zero, one = emitter.constant("positions.first", 0), emitter.constant("positions.step", 1)
    tokens = emitter.add("Gather", (shape, one), "positions.tokens")
    numbers = emitter.add("Range", (zero, tokens, one), "positions.numbers")
    if spec.first_position:
        offset = emitter.constant("positions.offset", spec.first_position)
        numbers = emitter.add("Add", (numbers, offset), "positions.rows")
    rows.append(look_up(emitter, level, POSITIONS, hidden, numbers, "positions", row_axis=1))
    if spec.token_types == 1:
        only = emitter.constant("types.only", [0])
        rows.append(look_up(emitter, level, TYPES, hidden, only, "types", row_axis=1))
    elif spec.token_types:
        rows.append(look_up(emitter, level, TYPES, hidden, "token_type_ids", "types"))
    return sum_and_norm(emitter, spec, tuple(rows), EMBED_NORM)


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
    return inputs, [hidden, port(geometry.output, floats, ["batch_size", geometry.vector_size])]
