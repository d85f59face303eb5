"""Nodes of one layer of a static decoder: standard operators, ranks of 3 and below.

Shapes in the comments: T new tokens, C positions of the cache, H query heads, K key heads,
G = H / K query heads per key head, d their width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.builder.graph.block import separate_matrices
from harness.builder.graph.matrix import Matrix
from harness.builder.graph.names import layer_name
from harness.builder.graph.static.emitter import StaticEmitter
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import ModelSpec


class Norm(StrEnum):
    """How a norm is written.

    `operator`: RMSNormalization. `parts`: the six operators it is made of, for providers that do
    not know it; at fixed point each of the five values between is rounded, and the mean square of
    a quiet token lies low on the grid of a loud one.
    """

    OPERATOR = "operator"
    PARTS = "parts"


def add_norm(emitter: StaticEmitter, spec: ModelSpec, values: str, name: str, norm: Norm) -> str:
    """Add the RMS norm over the last dimension, times the vector `name.weight`."""
    return _NORMS[norm](emitter, spec, values, name)


def _operator(emitter: StaticEmitter, spec: ModelSpec, values: str, name: str) -> str:
    """Add ONNX's own operator, of opset 23."""
    inputs = (values, emitter.vector(f"{name}.weight"))
    epsilon = spec.norm_epsilon
    return emitter.compute(
        "RMSNormalization", inputs, f"{name}.normalised", axis=-1, epsilon=epsilon
    )


def _parts(emitter: StaticEmitter, spec: ModelSpec, values: str, name: str) -> str:
    """Add x / sqrt(mean(x²) + epsilon), times the weight."""
    squares = emitter.compute("Mul", (values, values), f"{name}.squares")
    axis = emitter.constant(f"{name}.axis", [-1])
    mean = emitter.compute("ReduceMean", (squares, axis), f"{name}.mean", keepdims=1)
    epsilon = emitter.scalar(f"{name}.epsilon", spec.norm_epsilon)
    shifted = emitter.compute("Add", (mean, epsilon), f"{name}.shifted")
    root = emitter.compute("Sqrt", (shifted,), f"{name}.root")
    divided = emitter.compute("Div", (values, root), f"{name}.divided")
    weight = emitter.vector(f"{name}.weight")
    return emitter.compute("Mul", (divided, weight), f"{name}.normalised")


_NORMS: dict[Norm, Callable[[StaticEmitter, ModelSpec, str, str], str]] = {
    Norm.OPERATOR: _operator,
    Norm.PARTS: _parts,
}


SIGMOID, PROBABILITY = "sigmoid", "probability"  # grids that no calibration has to find


@dataclass(frozen=True, slots=True)
class Turn:
    """Names of cosines and sines [T, d] by which one side of attention is rotated.

    The sines of the first half are negative: x · cos + swap(x) · sin turns every pair, where swap
    exchanges the halves of a head.
    """

    cosines: str
    sines: str


@dataclass(frozen=True, slots=True)
class Shared:
    """What every layer reads.

    Attributes:
        tokens: T.
        capacity: C.
        mask: [T, C + T], added to the scores.
        query: turns queries and divides them by the root of d.
        key: turns keys.
        norm: how norms are written.
    """

    tokens: int
    capacity: int
    mask: str
    query: Turn
    key: Turn
    norm: Norm


def add_layer(
    emitter: StaticEmitter,
    spec: ModelSpec,
    level: QuantLevel,
    layer: int,
    residual: str,
    shared: Shared,
) -> str:
    """Add one layer; takes and returns the residual stream [T, hidden]."""
    prefix = layer_name(layer)
    matrices = separate_matrices(spec, layer)
    normalised = add_norm(emitter, spec, residual, f"{prefix}.input_layernorm", shared.norm)
    attended = _attend(emitter, spec, level, layer, normalised, shared)
    mixed = multiply(emitter, matrices["o"], attended, level)
    residual = emitter.compute("Add", (residual, mixed), f"{prefix}.after_attention")
    name = f"{prefix}.post_attention_layernorm"
    normalised = add_norm(emitter, spec, residual, name, shared.norm)
    gate = multiply(emitter, matrices["gate"], normalised, level)
    up = multiply(emitter, matrices["up"], normalised, level)
    sigmoid = emitter.compute("Sigmoid", (gate,), f"{prefix}.mlp.sigmoid", SIGMOID)
    silu = emitter.compute("Mul", (gate, sigmoid), f"{prefix}.mlp.silu")
    product = emitter.compute("Mul", (silu, up), f"{prefix}.mlp.gated")
    down = multiply(emitter, matrices["down"], product, level)
    return emitter.compute("Add", (residual, down), f"{prefix}.output")


def multiply(
    emitter: StaticEmitter, matrix: Matrix, values: str, level: QuantLevel, port: str = ""
) -> str:
    """Add the product of `values` [T, inputs] and a matrix, and its bias; cached as `port`."""
    name = matrix.name
    weights = emitter.matrix(name, level.body_format(sensitive=matrix.sensitive))
    inputs = values, weights
    if not matrix.has_bias:
        return _cache_as(emitter, port, "Gemm", inputs, f"{name}.product", transB=1)
    product = emitter.compute("Gemm", inputs, f"{name}.product", transB=1)
    inputs = product, emitter.vector(f"{name}.bias")
    return _cache_as(emitter, port, "Add", inputs, f"{name}.sum")


def _cache_as(
    emitter: StaticEmitter,
    port: str,
    operator: str,
    inputs: tuple[str, str],
    output: str,
    **attributes: Any,
) -> str:
    """Add a node whose values are cached as `port`, or where that is empty are not."""
    if port:
        return emitter.compute_cached(operator, inputs, port, **attributes)
    return emitter.compute(operator, inputs, output, **attributes)


def _attend(
    emitter: StaticEmitter,
    spec: ModelSpec,
    level: QuantLevel,
    layer: int,
    normalised: str,
    shared: Shared,
) -> str:
    """Add attention over the cache and the new tokens; returns [T, H · d].

    The cache is only read. Scores of cached and of new keys are two products, joined before the
    softmax and parted after it: joining scores costs less than joining the keys and values
    themselves, which would copy the whole cache in every step.
    """
    name, tokens = f"{layer_name(layer)}.self_attn", shared.tokens
    heads, key_heads, width = spec.num_heads, spec.num_kv_heads, spec.head_dim
    query, keys, values = _project(emitter, spec, level, layer, normalised, shared)
    rows = [key_heads, heads // key_heads * tokens, width]
    grouped = reshape(emitter, query, f"{name}.grouped", rows)  # [K, G·T, d]
    joined = _scores(emitter, name, grouped, keys, layer)  # [K, G·T, C + T]
    every = shared.capacity + tokens
    scores = reshape(emitter, joined, f"{name}.by_head", [heads, tokens, every])
    masked = emitter.compute("Add", (scores, shared.mask), f"{name}.masked", is_score=True)
    weights = emitter.compute("Softmax", (masked,), f"{name}.weights", PROBABILITY, axis=-1)
    weights = reshape(emitter, weights, f"{name}.by_group", [*rows[:2], every])
    parts = [f"{name}.weights_{word}" for word in ("past", "new")]
    emitter.split(weights, parts, (shared.capacity, tokens), axis=-1)
    past = emitter.cached(f"past_values.{layer}", f"new_values.{layer}")
    sums = [
        emitter.compute("MatMul", pair, f"{name}.sum_{word}")
        for word, pair in (("past", (parts[0], past)), ("new", (parts[1], values)))
    ]
    attended = emitter.compute("Add", sums, f"{name}.attended")  # [K, G·T, d]
    attended = reshape(emitter, attended, f"{name}.heads", [heads, tokens, width])
    turned = emitter.move("Transpose", (attended,), f"{name}.by_token", perm=[1, 0, 2])
    return reshape(emitter, turned, f"{name}.flat", [tokens, heads * width])


def _scores(emitter: StaticEmitter, name: str, grouped: str, keys: str, layer: int) -> str:
    """Add the scores of cached and of new keys, side by side on one grid."""
    grid = f"{name}.scores"
    past = emitter.cached(f"past_keys.{layer}", f"new_keys.{layer}")
    parts = [
        emitter.compute("MatMul", (grouped, side), f"{name}.scores_{word}", grid)
        for word, side in (("past", past), ("new", keys))
    ]
    return emitter.move("Concat", parts, f"{name}.joined", axis=-1)


def _project(
    emitter: StaticEmitter,
    spec: ModelSpec,
    level: QuantLevel,
    layer: int,
    normalised: str,
    shared: Shared,
) -> tuple[str, str, str]:
    """Add queries [H, T, d], new keys [K, d, T] and new values [K, T, d].

    What is cached leaves the graph before it is turned into these shapes: new keys [K, T, d], new
    values [T, K · d].
    """
    name, matrices = f"{layer_name(layer)}.self_attn", separate_matrices(spec, layer)
    sides = {}
    for letter, heads, turn, port in (
        ("q", spec.num_heads, shared.query, ""),
        ("k", spec.num_kv_heads, shared.key, f"new_keys.{layer}"),
    ):
        product = multiply(emitter, matrices[letter], normalised, level)
        shape = [shared.tokens, heads, spec.head_dim]
        by_token = reshape(emitter, product, f"{name}.{letter}_heads", shape)
        if spec.qk_norm == "per_head":
            by_token = add_norm(emitter, spec, by_token, f"{name}.{letter}_norm", shared.norm)
        rows = emitter.move("Transpose", (by_token,), f"{name}.{letter}_rows", perm=[1, 0, 2])
        sides[letter] = _turn(emitter, rows, f"{name}.{letter}", turn, spec.head_dim, port)
    keys = emitter.move("Transpose", (sides["k"],), f"{name}.k_columns", perm=[0, 2, 1])
    product = multiply(emitter, matrices["v"], normalised, level, f"new_values.{layer}")
    shape = [shared.tokens, spec.num_kv_heads, spec.head_dim]
    values = reshape(emitter, product, f"{name}.v_heads", shape)
    values = emitter.move("Transpose", (values,), f"{name}.v_rows", perm=[1, 0, 2])
    return sides["q"], keys, values


def _turn(emitter: StaticEmitter, heads: str, name: str, turn: Turn, width: int, port: str) -> str:
    """Add the rotation of pairs (i, i + d/2) of every head [heads, T, d]; cached as `port`."""
    halves = [f"{name}_first", f"{name}_second"]
    emitter.split(heads, halves, (width // 2, width // 2), axis=-1)
    swapped = emitter.move("Concat", halves[::-1], f"{name}_swapped", axis=-1)
    parts = (
        emitter.compute("Mul", (heads, turn.cosines), f"{name}_straight"),
        emitter.compute("Mul", (swapped, turn.sines), f"{name}_crossed"),
    )
    return _cache_as(emitter, port, "Add", parts, f"{name}_turned")


def reshape(emitter: StaticEmitter, values: str, output: str, shape: list[int]) -> str:
    """Add a Reshape to a fixed shape."""
    return emitter.move("Reshape", (values, emitter.constant(f"{output}.shape", shape)), output)
