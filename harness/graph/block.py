"""Nodes of one decoder layer: attention over the cache, the block, and the norms around them."""

from dataclasses import replace

from harness.graph.attention import AttentionInputs, attend
from harness.graph.emitter import Emitter
from harness.graph.matrix import Matrix, multiply
from harness.graph.mixture import Mixture
from harness.graph.names import layer_name
from harness.graph.residual import Residual, add_norm
from harness.specs.model import ModelSpec
from harness.specs.norms import NORM_ORDERS
from harness.specs.sensitive import is_sensitive


def layer_matrices(spec: ModelSpec, layer: int) -> dict[str, Matrix]:
    """Return the stored matrices of one layer: qkv packed along the outputs, then the others."""
    prefix, hidden, wide = layer_name(layer), spec.hidden_size, spec.intermediate_size
    query = spec.num_heads * spec.head_dim
    packed = query + 2 * spec.num_kv_heads * spec.head_dim
    attention, block = f"{prefix}.self_attn", f"{prefix}.mlp"
    matrices = {
        "qkv": Matrix(f"{attention}.qkv_proj", packed, hidden, spec.qkv_bias),
        "o": Matrix(f"{attention}.o_proj", hidden, query, spec.all_bias),
        "gate": Matrix(f"{block}.gate_proj", wide, hidden),
        "up": Matrix(f"{block}.up_proj", wide, hidden, spec.all_bias),
        "down": Matrix(f"{block}.down_proj", hidden, wide, spec.all_bias),
    }
    if not spec.mlp_gated:
        del matrices["gate"]
    return {
        key: replace(matrix, sensitive=is_sensitive(matrix.name, spec.num_layers))
        for key, matrix in matrices.items()
    }


def separate_matrices(spec: ModelSpec, layer: int) -> dict[str, Matrix]:
    """Return the same with query, key and value apart, each with a range of its own."""
    attention = f"{layer_name(layer)}.self_attn"
    matrices = layer_matrices(spec, layer)
    packed = matrices.pop("qkv")
    key_width = spec.num_kv_heads * spec.head_dim
    widths = {"q": spec.num_heads * spec.head_dim, "k": key_width, "v": key_width}
    return {
        letter: replace(packed, name=f"{attention}.{letter}_proj", outputs=width)
        for letter, width in widths.items()
    } | matrices


def add_layer(
    emitter: Emitter,
    spec: ModelSpec,
    levels: Mixture,
    layer: int,
    residual: Residual,
    shared: AttentionInputs,
) -> None:
    """Add one layer; what it gives waits in the residual stream.

    Args:
        emitter: takes the nodes.
        spec: the architecture.
        levels: how each of its matrices is stored.
        layer: its index.
        residual: the stream it reads and adds to.
        shared: what every attention reads.
    """
    order, prefix = NORM_ORDERS[spec.norm_order], layer_name(layer)
    matrices = layer_matrices(spec, layer)
    values = residual.read(_full(prefix, order.before_attention), f"{prefix}.self_attn.residual")
    packed = _multiply(emitter, matrices["qkv"], values, levels)
    attended = attend(emitter, spec, layer, packed, shared)
    mixed = _multiply(emitter, matrices["o"], attended, levels)
    if order.parallel:
        residual.add(mixed, _block(emitter, spec, matrices, values, levels, prefix))
        return
    if order.after_attention:
        mixed = add_norm(emitter, spec, mixed, f"{prefix}.{order.after_attention}")
    residual.add(mixed)
    values = residual.read(_full(prefix, order.before_block), f"{prefix}.mlp.residual")
    given = _block(emitter, spec, matrices, values, levels, prefix)
    if order.after_block:
        given = add_norm(emitter, spec, given, f"{prefix}.{order.after_block}")
    residual.add(given)


def _full(prefix: str, norm: str) -> str:
    """Return the full name of a norm, or nothing where there is none."""
    return f"{prefix}.{norm}" if norm else ""


def _block(
    emitter: Emitter,
    spec: ModelSpec,
    matrices: dict[str, Matrix],
    values: str,
    levels: Mixture,
    prefix: str,
) -> str:
    """Add the block: up and down around the activation, with a gate beside up where it has one."""
    if not spec.mlp_gated:
        up = _multiply(emitter, matrices["up"], values, levels)
        active = _ACTIVATIONS[spec.activation](emitter, up, f"{prefix}.mlp")
        return _multiply(emitter, matrices["down"], active, levels)
    gate = _multiply(emitter, matrices["gate"], values, levels)
    up = _multiply(emitter, matrices["up"], values, levels)
    active = _ACTIVATIONS[spec.activation](emitter, gate, f"{prefix}.mlp")
    product = emitter.add("Mul", (active, up), f"{prefix}.mlp.gated")
    return _multiply(emitter, matrices["down"], product, levels)


def _silu(emitter: Emitter, values: str, block: str) -> str:
    """Add x · sigmoid(x)."""
    sigmoid = emitter.add("Sigmoid", (values,), f"{block}.sigmoid")
    return emitter.add("Mul", (values, sigmoid), f"{block}.silu")


def _gelu_tanh(emitter: Emitter, values: str, block: str) -> str:
    """Add the tanh approximation of GELU."""
    return emitter.add("Gelu", (values,), f"{block}.gelu", approximate="tanh")


_ACTIVATIONS = {"silu": _silu, "gelu_tanh": _gelu_tanh}


def _multiply(emitter: Emitter, matrix: Matrix, activations: str, levels: Mixture) -> str:
    """Add the product with a matrix, as it is stored."""
    return multiply(emitter, matrix, activations, levels.of(matrix.name))
