"""Micro-graphs: a few operators of a decoder and nothing else, to measure what a machine can do.

The nodes come from the emitters of real decoders and the weights from their packers, so that
ONNX Runtime runs the very kernels that a model gets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from harness.builder.graph.attention import quantized_inputs
from harness.builder.graph.decoder import scale_initializers
from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.matrix import multiply
from harness.builder.graph.micro_weights import ChainWeights, chain_weights
from harness.builder.quantize.cache_scales import (
    NORMAL_EXTREME,
    LayerScales,
    ScaledCache,
    channel_scales,
)
from harness.builder.quantize.levels import CACHES, CacheLevel, QuantLevel, own_cache

_OPSETS = (("", 21), (MICROSOFT, 1))
_IR_VERSION = 10
_FLOATS = {"float32": onnx.TensorProto.FLOAT, "float16": onnx.TensorProto.FLOAT16}
_EPSILON = 1e-5
_CAP = 50.0  # as Gemma 2 caps its scores


@dataclass(frozen=True, slots=True)
class Heads:
    """Shape of the attention of a micro-graph.

    Attributes:
        layers: attentions in a row, each with a cache of its own.
        heads: of queries.
        kv_heads: of keys and values.
        head_dim: width of one.
        capacity_tokens: positions of each cache and of the rotary tables.
        window_tokens: that a query sees, its own position too; 0: all before it.
    """

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    capacity_tokens: int
    window_tokens: int = 0


def write_matrix_chain(
    path: Path, level: QuantLevel, hidden: int, wide: int, matrices: int
) -> None:
    """Write a chain of products: hidden -> wide -> hidden -> ..., weights in `path`.data.

    Each matrix has bytes of its own, and values that differ in at least one place. Input `hidden`
    [1, tokens, hidden], output `product` of the same shape, both of the level's float type.

    Args:
        path: of the graph.
        level: whose body format every matrix takes.
        hidden: width of input and output.
        wide: width in between.
        matrices: their number, even.
    """
    shapes = [(wide, hidden), (hidden, wide)]
    emitter, weights = Emitter(), chain_weights(path, level, shapes, matrices // 2)
    product = "hidden"
    for matrix in weights.matrices:
        product = multiply(emitter, matrix, product, level)
    _write_chain(path, emitter, level, hidden, weights)


def write_operator_stack(path: Path, level: QuantLevel, width: int, matrices: int) -> int:
    """Write square matrices with the other operators of a layer after each of them.

    The operators meet what they meet in a model: their vectors and code, long since out of the
    cache when the matrices are large together. Ports as of write_matrix_chain.

    Returns:
        The operators that are no product of a matrix.
    """
    emitter, weights = Emitter(), chain_weights(path, level, [(width, width)], matrices)
    stream = residual = "hidden"
    others = 0
    for number, matrix in enumerate(weights.matrices):
        norm = emitter.constant(f"{number}.norm.weight", np.ones(width), level.float_dtype)
        before = len(emitter.nodes)
        stream, residual = _gated(emitter, f"{number}", stream, residual, norm)
        stream, residual = _normed(emitter, f"{number}.last", stream, residual, norm)
        others += len(emitter.nodes) - before
        stream = multiply(emitter, matrix, stream, level)
    _write_chain(path, emitter, level, width, weights)
    return others


def write_attention_stack(path: Path, level: QuantLevel, shape: Heads) -> None:
    """Write `layers` times: a matrix to queries, keys and values, attention, a square matrix.

    Inputs `hidden` [1, tokens, heads · head_dim] and those of write_attention but `packed`;
    outputs `product` and the caches.
    """
    width = shape.heads * shape.head_dim
    packed = width + 2 * shape.kv_heads * shape.head_dim
    weights = chain_weights(path, level, [(packed, width), (width, width)], shape.layers)
    emitter, product = Emitter(), "hidden"
    tables = _rotary_tables(emitter, shape, level.float_dtype)
    for layer in range(shape.layers):
        product = multiply(emitter, weights.matrices[2 * layer], product, level)
        product = _attend(emitter, shape, layer, product, tables, f"attended.{layer}")
        product = multiply(emitter, weights.matrices[2 * layer + 1], product, level)
    inputs, outputs = _cache_ports(shape, own_cache(level))
    _write_chain(path, emitter, level, width, weights, inputs, outputs)


def write_operator_chain(path: Path, width: int, layers: int, float_dtype: str = "float32") -> int:
    """Write what stands between the matrices of a layer, `layers` times over tiny vectors.

    A norm over a sum, a sigmoid and two products each. Input `hidden` and output `product`
    [1, tokens, width] of a float type.

    Returns:
        The operators of the chain.
    """
    emitter = Emitter()
    stream = residual = "hidden"
    weight = emitter.constant("norm.weight", np.ones(width), float_dtype)
    for layer in range(layers):
        stream, residual = _gated(emitter, f"{layer}", stream, residual, weight)
    emitter.nodes[-1].output[0] = "product"
    ports = [
        helper.make_tensor_value_info(name, _FLOATS[float_dtype], [1, "tokens", width])
        for name in ("hidden", "product")
    ]
    write_graph(path, emitter, ports[:1], ports[1:], [])
    return len(emitter.nodes) - 1


def write_attention(
    path: Path,
    shape: Heads,
    cache: CacheLevel = CACHES["fp32"],
    scores: str = "",
    float_dtype: str = "float32",
) -> None:
    """Write attentions that read one packed input of floats, each over a cache of its own.

    `scores` says what is done to them: `softcap`, `sinks`, both or nothing.

    Inputs `packed` [1, tokens, (heads + 2 kv_heads) head_dim], `last_index` int32 [1],
    `total_tokens` int32 scalar, `past.N.key` and `past.N.value`; outputs `attended.N`,
    `present.N.key` and `present.N.value`.
    """
    emitter, port = Emitter(), helper.make_tensor_value_info
    floats = _FLOATS[float_dtype]
    tables = _rotary_tables(emitter, shape, float_dtype)
    packed = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    inputs, presents = _cache_ports(shape, cache)
    attended = []
    for layer in range(shape.layers):
        output = f"attended.{layer}"
        name = _attend(emitter, shape, layer, "packed", tables, output, cache, scores)
        attended.append(port(name, floats, [1, "tokens", shape.heads * shape.head_dim]))
    inputs = [port("packed", floats, [1, "tokens", packed]), *inputs]
    scales = list(scale_initializers(_normal_cache(shape, cache)))
    write_graph(path, emitter, inputs, [*attended, *presents], scales)


def _normal_cache(shape: Heads, cache: CacheLevel) -> ScaledCache:
    """Return a cache whose scales, where it has some, suit standard normal keys and values."""
    if not cache.is_integer:
        return ScaledCache(cache)
    seen = np.full((1, shape.kv_heads, shape.head_dim), NORMAL_EXTREME, np.float32)
    scales = channel_scales(seen, cache)
    return ScaledCache(cache, (LayerScales(scales, scales),) * shape.layers)


def _gated(emitter: Emitter, name: str, stream: str, residual: str, weight: str) -> tuple[str, str]:
    """Add a norm over a sum, a sigmoid and two products; return their output and the sum."""
    norm, total = _normed(emitter, name, stream, residual, weight)
    sigmoid = emitter.add("Sigmoid", (norm,), f"sigmoid.{name}")
    silu = emitter.add("Mul", (norm, sigmoid), f"silu.{name}")
    return emitter.add("Mul", (silu, norm), f"gated.{name}"), total


def _normed(
    emitter: Emitter, name: str, stream: str, residual: str, weight: str
) -> tuple[str, str]:
    """Add a norm over a sum; return its output and the sum."""
    total = f"residual.{name}"
    norm = emitter.add(
        "SkipSimplifiedLayerNormalization",
        (stream, residual, weight),
        f"norm.{name}",
        MICROSOFT,
        more_outputs=("", "", total),
        epsilon=_EPSILON,
    )
    return norm, total


def _rotary_tables(emitter: Emitter, shape: Heads, float_dtype: str = "float32") -> tuple[str, str]:
    """Add cosines and sines of every position."""
    angles = np.outer(np.arange(shape.capacity_tokens), np.ones(shape.head_dim // 2))
    cosines = emitter.constant("cosines", np.cos(angles), float_dtype)
    return cosines, emitter.constant("sines", np.sin(angles), float_dtype)


def _attend(
    emitter: Emitter,
    shape: Heads,
    layer: int,
    packed: str,
    tables: tuple[str, str],
    output: str,
    cache: CacheLevel = CACHES["fp32"],
    scores: str = "",
) -> str:
    """Add one attention over the cache of a layer."""
    scales, attributes = quantized_inputs(layer, cache)
    sinks = ""
    if "sinks" in scores:
        sinks = emitter.constant(f"sinks.{layer}", np.zeros(shape.heads), "float32")
    if "softcap" in scores:
        attributes["softcap"] = _CAP
    halves = [f"{layer}.{half}" for half in ("key", "value")]
    past = [f"past.{half}" for half in halves]
    return emitter.add(
        "GroupQueryAttention",
        (packed, "", "", *past, "last_index", "total_tokens", *tables, "", "", sinks, *scales),
        output,
        MICROSOFT,
        more_outputs=tuple(f"present.{half}" for half in halves),
        num_heads=shape.heads,
        kv_num_heads=shape.kv_heads,
        do_rotary=1,
        rotary_interleaved=0,
        scale=shape.head_dim**-0.5,
        local_window_size=shape.window_tokens or -1,
        **attributes,
    )


def _cache_ports(
    shape: Heads, stored: CacheLevel = CACHES["fp32"]
) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Return the inputs and outputs that every graph with attentions has."""
    integers = onnx.TensorProto.INT32
    element = helper.np_dtype_to_tensor_dtype(np.dtype(stored.dtype))
    port = helper.make_tensor_value_info
    cache = [1, shape.kv_heads, shape.capacity_tokens, stored.stored_width(shape.head_dim)]
    names = [f"{layer}.{half}" for layer in range(shape.layers) for half in ("key", "value")]
    inputs = [port("last_index", integers, [1]), port("total_tokens", integers, [])]
    inputs += [port(f"past.{name}", element, cache) for name in names]
    return inputs, [port(f"present.{name}", element, cache) for name in names]


def _write_chain(
    path: Path,
    emitter: Emitter,
    level: QuantLevel,
    width: int,
    weights: ChainWeights,
    inputs: Sequence[onnx.ValueInfoProto] = (),
    outputs: Sequence[onnx.ValueInfoProto] = (),
) -> None:
    """Write a graph from `hidden` to `product`, the output of its last node."""
    emitter.nodes[-1].output[0] = "product"
    ports = [
        helper.make_tensor_value_info(name, _FLOATS[level.float_dtype], [1, "tokens", width])
        for name in ("hidden", "product")
    ]
    write_graph(path, emitter, [ports[0], *inputs], [ports[1], *outputs], weights.initializers)


def write_graph(
    path: Path,
    emitter: Emitter,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: list[onnx.TensorProto],
) -> None:
    """Write one graph."""
    graph = helper.make_graph(emitter.nodes, path.stem, inputs, outputs, initializers)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in _OPSETS],
        ir_version=_IR_VERSION,
    )
    path.write_bytes(model.SerializeToString())
