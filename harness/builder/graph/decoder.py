"""Builds a decoder: graphs over one data file, and the configuration of onnxruntime-genai.

The rules it follows are in graph/rules.py.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from harness.builder.graph.assembly import assemble, stored_initializers, write_weights
from harness.builder.graph.block import Residual, add_layer, add_side
from harness.builder.graph.datafile import initializer
from harness.builder.graph.emitter import Emitter
from harness.builder.graph.genai import TokenIds, write_genai_config
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.matrix import (
    embed,
    head_logits,
    head_name,
    position_numbers,
    side_inputs,
)
from harness.builder.graph.mixing import AttentionInputs
from harness.builder.graph.mixture import Mixture
from harness.builder.graph.names import scale_name
from harness.builder.graph.rules import ALL_LOGITS_FILE, GRAPH_FILE, WINDOWED_FILE
from harness.builder.graph.storage import plan_storage
from harness.builder.quantize.cache_scales import ScaledCache
from harness.builder.quantize.compensate import Shares
from harness.builder.quantize.levels import CacheLevel, QuantLevel, own_cache
from harness.models.specs.model import ModelSpec, RopeScaling
from harness.models.specs.rotary import inverse_frequencies
from harness.models.weights.store import WeightStore

SLIDES = "sliding_window_cache"


def build_decoder(
    spec: ModelSpec,
    level: QuantLevel,
    weights: WeightStore,
    folder: Path,
    token_ids: TokenIds | None = None,
    shares: Shares | None = None,
) -> None:
    """Write a decoder into `folder`, which exists.

    `model.onnx` gives float32 logits of the last token [batch, 1, vocab], `model_all_logits.onnx`
    of every token [batch, tokens, vocab]; both read `model.onnx.data`.

    Args:
        spec: the architecture.
        level: how weights and activations are stored; the cache as its float type.
        weights: the trained tensors, by their Hugging Face names.
        folder: receives the files.
        token_ids: special tokens for onnxruntime-genai; None: those of a model without any.
        shares: see harness.builder.graph.stream.stream_weight.

    Raises:
        ModelError: the operators cannot run this architecture, or a weight is not finite.
        OSError: the files cannot be written.
    """
    geometry = geometry_of(spec, level)
    write_weights(spec, level, weights, folder, shares=shares)
    write_graphs(spec, level, folder, ScaledCache(own_cache(level)))
    write_genai_config(spec, geometry, folder, token_ids or TokenIds())


def write_graphs(spec: ModelSpec, level: QuantLevel, folder: Path, cache: ScaledCache) -> None:
    """Write the graphs into `folder`, over a data file that is there or will be.

    Raises:
        OSError: they cannot be written.
    """
    for name, every_position in ((GRAPH_FILE, False), (ALL_LOGITS_FILE, True)):
        model = decoder_model(spec, level, every_position, cache)
        (folder / name).write_bytes(model.SerializeToString())
    write_windowed(geometry_of(spec, level, cache.level).sliding_layers, folder)


def write_windowed(layers: Collection[int], folder: Path) -> None:
    """Write the graph over caches of windows beside the one over whole caches.

    The same nodes; those of sliding layers evict what has left the window.

    Args:
        layers: which slide; none: nothing is written.
        folder: holds the other graphs.

    Raises:
        OSError: it cannot be written.
    """
    if not layers:
        return
    model = onnx.load(folder / GRAPH_FILE, load_external_data=False)
    pasts = {f"past_key_values.{number}.key" for number in layers}
    for node in model.graph.node:
        if node.op_type == "GroupQueryAttention" and pasts & set(node.input):
            # a graph that ONNX Runtime wrote spells the default out
            others = [one for one in node.attribute if one.name != SLIDES]
            del node.attribute[:]
            node.attribute.extend([*others, helper.make_attribute(SLIDES, 1)])
    for port in (*model.graph.input, *model.graph.output):
        layer = port.name.split(".")[1:2]
        if port.name.endswith((".key", ".value")) and int(layer[0]) in layers:
            port.type.tensor_type.shape.dim[2].dim_param = "window_rows"
    (folder / WINDOWED_FILE).write_bytes(model.SerializeToString())


def decoder_model(
    spec: ModelSpec, level: QuantLevel, every_position: bool, cache: ScaledCache | None = None
) -> onnx.ModelProto:
    """Return one of the two graphs; its weights lie in the data file, written or not.

    Args:
        spec: the architecture.
        level: how its weights are stored.
        every_position: logits of every token, not only of the last.
        cache: how keys and values are stored; None: as the float type of the level.
    """
    own = ScaledCache(own_cache(level))
    weights = stored_initializers(spec, level)
    return _model(spec, Mixture(level), every_position, cache or own, weights)


def mixed_model(
    spec: ModelSpec, levels: Mixture, base_file: str, other_file: str
) -> onnx.ModelProto:
    """Return the graph of every position's logits over the data files of two levels.

    Args:
        spec: the architecture both files were built from.
        levels: which weights are taken from which file; activations of one type at both levels.
        base_file: data file of the base level, beside the graph.
        other_file: data file of the other level, beside the graph.
    """
    other = levels.other or levels.base
    stored = ((levels.base, base_file, False), (other, other_file, True))
    initializers = [
        initializer(view, file)
        for level, file, chosen in stored
        for weight in plan_storage(spec, level)
        if (weight.name in levels.chosen) is chosen
        for view in weight.views
    ]
    return _model(spec, levels, True, ScaledCache(own_cache(levels.base)), initializers)


def _model(
    spec: ModelSpec,
    levels: Mixture,
    every_position: bool,
    cache: ScaledCache,
    initializers: list[onnx.TensorProto],
) -> onnx.ModelProto:
    """Return a decoder whose weights are `initializers`."""
    emitter, level = Emitter(), levels.base
    shared = attention_inputs(emitter, spec, level, cache.level)
    stream = embed(emitter, spec, levels)
    if spec.per_layer_width:
        shared = replace(shared, sides=side_inputs(emitter, spec, levels, stream))
    residual = Residual(emitter, spec, stream)
    for layer in range(spec.num_layers):
        add_layer(emitter, spec, levels, layer, residual, shared)
        add_side(emitter, spec, levels, layer, residual, shared)
    stream = residual.read("model.norm", "")
    head_logits(emitter, spec, levels.of(head_name(spec)), stream, every_position)
    ports = _ports(spec, level, every_position, cache.level)
    cached = [layer.number for layer in spec.layers if layer.owns_cache]
    scales = scale_initializers(cache, cached)
    return assemble(emitter, spec.name, [*initializers, *scales], *ports)


def scale_initializers(
    cache: ScaledCache, layers: Iterable[int] | None = None
) -> Iterator[onnx.TensorProto]:
    """Yield the scales of every layer, [1, kv_heads, 1, head_dim], kept in the graph itself.

    Args:
        cache: with the scales of each layer that keeps keys and values.
        layers: their numbers; None: all, from 0.
    """
    numbers = range(len(cache.scales)) if layers is None else layers
    for layer, scales in zip(numbers, cache.scales, strict=False):
        for half, values in (("key", scales.key), ("value", scales.value)):
            stored = np.ascontiguousarray(values[np.newaxis, :, np.newaxis], np.float32)
            yield numpy_helper.from_array(stored, scale_name(layer, half))


def attention_inputs(
    emitter: Emitter, spec: ModelSpec, level: QuantLevel, cache: CacheLevel
) -> AttentionInputs:
    """Add what every attention reads: lengths from the mask, rotary tables from frequencies."""
    one = emitter.constant("one", 1)
    axis = emitter.constant("mask.axis", [1])
    lengths = emitter.add("ReduceSum", ("attention_mask", axis), "mask.tokens", keepdims=0)
    last = emitter.add("Sub", (lengths, one), "mask.last")
    last_index = emitter.add("Cast", (last,), "mask.last_index", to=onnx.TensorProto.INT32)
    shape = emitter.add("Shape", ("attention_mask",), "mask.shape")
    longest = emitter.add("Gather", (shape, one), "mask.longest")
    total = emitter.add("Cast", (longest,), "mask.total_tokens", to=onnx.TensorProto.INT32)
    by_theta = {
        theta: rotary_tables(emitter, spec, level, f"rotary.{place}", theta=theta)
        for place, theta in enumerate(sorted({one for one in spec.layer_thetas if one}))
    }
    turns = () if by_theta else rotary_tables(emitter, spec, level, "rotary")
    windowed = turns
    if spec.local_rope_theta is not None or spec.full_head_dim is not None:
        windowed = rotary_tables(emitter, spec, level, "rotary.windowed", windowed=True)
    growth = spec.rope_scaling.query_growth if spec.rope_scaling else 0.0
    positions = position_numbers(emitter) if spec.turned_apart or growth else ""
    grown = _growth(emitter, spec.rope_scaling, positions, level) if growth else ""
    return AttentionInputs(
        last_index,
        total,
        turns,
        windowed,
        cache,
        positions,
        grown,
        turns_by_theta=by_theta,
    )


def _growth(
    emitter: Emitter, scaling: RopeScaling | None, positions: str, level: QuantLevel
) -> str:
    """Add 1 + growth · ln(1 + ⌊position / original context⌋) [batch, tokens, 1]."""
    if scaling is None:
        return ""
    context = emitter.constant("growth.context", scaling.original_context_tokens)
    whole = emitter.add("Div", (positions, context), "growth.contexts")
    one = emitter.constant("growth.one", 1.0, "float32")
    floats = emitter.add("Cast", (whole,), "growth.floats", to=onnx.TensorProto.FLOAT)
    log = emitter.add("Log", (emitter.add("Add", (floats, one), "growth.begun"),), "growth.log")
    beta = emitter.constant("growth.beta", scaling.query_growth, "float32")
    share = emitter.add("Mul", (log, beta), "growth.share")
    axis = emitter.constant("growth.axis", [2])
    grown = emitter.add("Add", (share, one), "growth.factor")
    grown = emitter.add("Unsqueeze", (grown, axis), "growth.by_token")
    if level.float_dtype == "float16":
        grown = emitter.add("Cast", (grown,), "growth.half", to=onnx.TensorProto.FLOAT16)
    return grown


def rotary_tables(
    emitter: Emitter,
    spec: ModelSpec,
    level: QuantLevel,
    name: str,
    *,
    windowed: bool = False,
    theta: float | None = None,
) -> tuple[str, ...]:
    """Add cosines and sines [context, rotated values / 2] of position times frequency, in float32.

    A longrope and a yarn multiply both by their amplitude. Nothing where positions are learned.
    Arguments as those of harness.builder.graph.rotary.inverse_frequencies.
    """
    if not spec.rotated_dim:
        return ()
    context_tokens = geometry_of(spec, level).max_context_tokens
    values = inverse_frequencies(spec, windowed=windowed, theta=theta)
    frequencies = emitter.constant(f"{name}.frequencies", values, "float32")
    limits = [
        emitter.constant(f"{name}.{word}", value, "float32")
        for word, value in (("first", 0), ("context", context_tokens), ("step", 1))
    ]
    positions = emitter.add("Range", limits, f"{name}.range")
    axis = emitter.constant(f"{name}.axis", [1])
    column = emitter.add("Unsqueeze", (positions, axis), f"{name}.positions")
    angles = emitter.add("Mul", (column, frequencies), f"{name}.angles")
    tables = [emitter.add(part, (angles,), f"{name}.{part.lower()}") for part in ("Cos", "Sin")]
    scaling = None if windowed else spec.rope_scaling
    amplitude = 1.0 if scaling is None else scaling.amplitude
    if amplitude != 1.0:
        factor = emitter.constant(f"{name}.amplitude", amplitude, "float32")
        tables = [emitter.add("Mul", (table, factor), f"{table}.scaled") for table in tables]
    if level.float_dtype == "float16":
        half = onnx.TensorProto.FLOAT16
        tables = [emitter.add("Cast", (table,), f"{table}.half", to=half) for table in tables]
    return tuple(tables)


def _ports(
    spec: ModelSpec, level: QuantLevel, every_position: bool, cache: CacheLevel
) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Return the graph's inputs and outputs, with the names onnxruntime-genai expects."""
    integers, floats = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    port = helper.make_tensor_value_info
    inputs = [
        port("input_ids", integers, ["batch_size", "sequence_length"]),
        port("attention_mask", integers, ["batch_size", "total_sequence_length"]),
    ]
    positions: str | int = "sequence_length" if every_position else 1
    outputs = [port("logits", floats, ["batch_size", positions, spec.vocab_size])]
    for held in geometry_of(spec, level, cache).held:
        element = helper.np_dtype_to_tensor_dtype(np.dtype(held.dtype))
        for name, ports, tokens in (
            (held.past, inputs, "past_sequence_length"),
            (held.present, outputs, "total_sequence_length"),
        ):
            behind = [tokens, held.width] if held.grows else []
            ports.append(port(name, element, ["batch_size", *held.before, *behind]))
    return inputs, outputs
