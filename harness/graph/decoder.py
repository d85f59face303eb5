"""Builds a decoder: two graphs over one data file, and the configuration of onnxruntime-genai.

The rules it follows are in graph/rules.py.
"""

from pathlib import Path

import onnx
from onnx import helper

from harness.graph.assembly import assemble, write_weights
from harness.graph.block import AttentionInputs, add_and_norm, add_layer, layer_name
from harness.graph.emitter import Emitter
from harness.graph.genai import TokenIds, write_genai_config
from harness.graph.geometry import geometry_of
from harness.graph.matrix import embed, head_logits
from harness.graph.rotary import inverse_frequencies
from harness.graph.rules import ALL_LOGITS_FILE, GRAPH_FILE
from harness.quantize.levels import QuantLevel
from harness.specs.model import ModelSpec
from harness.weights.store import WeightStore


def build_decoder(
    spec: ModelSpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    token_ids: TokenIds | None = None,
) -> None:
    """Write a decoder into `folder`, which exists.

    `model.onnx` gives float32 logits of the last token [batch, 1, vocab], `model_all_logits.onnx`
    of every token [batch, tokens, vocab]; both read `model.onnx.data`.

    Args:
        spec: the architecture.
        level: how weights, activations and cache are stored.
        weights: the trained tensors, by their Hugging Face names.
        folder: receives the files.
        token_ids: special tokens for onnxruntime-genai; None: those of a model without any.

    Raises:
        ModelError: the operators cannot run this architecture, or a weight is not finite.
        OSError: the files cannot be written.
    """
    geometry = geometry_of(spec, level)
    write_weights(spec, level, weights, folder)
    for name, every_position in ((GRAPH_FILE, False), (ALL_LOGITS_FILE, True)):
        model = decoder_model(spec, level, every_position)
        (folder / name).write_bytes(model.SerializeToString())
    write_genai_config(spec, geometry, folder, token_ids or TokenIds())


def decoder_model(spec: ModelSpec, level: QuantLevel, every_position: bool) -> onnx.ModelProto:
    """Return one of the two graphs; its weights lie in the data file, written or not."""
    emitter = Emitter()
    shared = _attention_inputs(emitter, spec, level)
    residual = embed(emitter, spec, level)
    norm = f"{layer_name(0)}.input_layernorm"
    stream = emitter.add(
        "SimplifiedLayerNormalization",
        (residual, f"{norm}.weight"),
        f"{norm}.normalised",
        axis=-1,
        epsilon=spec.norm_epsilon,
        stash_type=1,
    )
    for layer in range(spec.num_layers):
        addend, residual = add_layer(emitter, spec, level, layer, stream, residual, shared)
        last = layer == spec.num_layers - 1
        norm = "model.norm" if last else f"{layer_name(layer + 1)}.input_layernorm"
        stream, residual = add_and_norm(emitter, spec, addend, residual, norm)
    head_logits(emitter, spec, level, stream, every_position)
    return assemble(emitter, spec, level, *_ports(spec, level, every_position))


def _attention_inputs(emitter: Emitter, spec: ModelSpec, level: QuantLevel) -> AttentionInputs:
    """Add what every attention reads: lengths from the mask, rotary tables from frequencies."""
    one = emitter.constant("one", 1)
    axis = emitter.constant("mask.axis", [1])
    lengths = emitter.add("ReduceSum", ("attention_mask", axis), "mask.tokens", keepdims=0)
    last = emitter.add("Sub", (lengths, one), "mask.last")
    last_index = emitter.add("Cast", (last,), "mask.last_index", to=onnx.TensorProto.INT32)
    shape = emitter.add("Shape", ("attention_mask",), "mask.shape")
    longest = emitter.add("Gather", (shape, one), "mask.longest")
    total = emitter.add("Cast", (longest,), "mask.total_tokens", to=onnx.TensorProto.INT32)
    cosines, sines = _rotary_tables(emitter, spec, level)
    return AttentionInputs(last_index, total, cosines, sines)


def _rotary_tables(emitter: Emitter, spec: ModelSpec, level: QuantLevel) -> tuple[str, str]:
    """Add cosines and sines [context, head_dim / 2] of position times frequency, in float32."""
    context_tokens = geometry_of(spec, level).max_context_tokens
    frequencies = emitter.constant("rotary.frequencies", inverse_frequencies(spec), "float32")
    limits = [
        emitter.constant(f"rotary.{word}", value, "float32")
        for word, value in (("first", 0), ("context", context_tokens), ("step", 1))
    ]
    positions = emitter.add("Range", limits, "rotary.range")
    axis = emitter.constant("rotary.axis", [1])
    column = emitter.add("Unsqueeze", (positions, axis), "rotary.positions")
    angles = emitter.add("Mul", (column, frequencies), "rotary.angles")
    tables = [emitter.add(name, (angles,), f"rotary.{name.lower()}") for name in ("Cos", "Sin")]
    if level.float_dtype == "float16":
        half = onnx.TensorProto.FLOAT16
        tables = [emitter.add("Cast", (table,), f"{table}.half", to=half) for table in tables]
    return tables[0], tables[1]


def _ports(
    spec: ModelSpec, level: QuantLevel, every_position: bool
) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Return the graph's inputs and outputs, with the names onnxruntime-genai expects."""
    integers, floats = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    cache = onnx.TensorProto.FLOAT if level.float_dtype == "float32" else onnx.TensorProto.FLOAT16
    port = helper.make_tensor_value_info
    inputs = [
        port("input_ids", integers, ["batch_size", "sequence_length"]),
        port("attention_mask", integers, ["batch_size", "total_sequence_length"]),
    ]
    positions: str | int = "sequence_length" if every_position else 1
    outputs = [port("logits", floats, ["batch_size", positions, spec.vocab_size])]
    for layer in range(spec.num_layers):
        for part in ("key", "value"):
            shape: list[str | int | None]
            shape = ["batch_size", spec.num_kv_heads, "past_sequence_length", spec.head_dim]
            inputs.append(port(f"past_key_values.{layer}.{part}", cache, shape))
            shape = ["batch_size", spec.num_kv_heads, "total_sequence_length", spec.head_dim]
            outputs.append(port(f"present.{layer}.{part}", cache, shape))
    return inputs, outputs
