"""Nodes of one decoder layer: attention over the cache, the block, and the norms around them."""

from dataclasses import replace

from harness.builder.graph.attention import AttentionInputs, attend
from harness.builder.graph.emitter import Emitter
from harness.builder.graph.experts import add_experts, expert_matrices
from harness.builder.graph.feedforward import add_block, multiply_stored
from harness.builder.graph.matrix import Matrix
from harness.builder.graph.mixture import Mixture
from harness.builder.graph.names import layer_name
from harness.builder.graph.residual import Residual, add_norm
from harness.models.specs.model import NORM_ORDERS, ModelSpec, is_sensitive


def layer_matrices(spec: ModelSpec, layer: int) -> dict[str, Matrix]:
    """Return the stored matrices of one layer: qkv packed along the outputs, then the others.

    Of a mixture the router and the shared block; its experts are stacks (see graph/experts.py).
    """
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
    if spec.experts is not None:
        matrices = {key: matrices[key] for key in ("qkv", "o")}
        matrices |= expert_matrices(spec, spec.experts, prefix)
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
    packed = multiply_stored(emitter, matrices["qkv"], values, levels)
    attended = attend(emitter, spec, layer, packed, shared)
    mixed = multiply_stored(emitter, matrices["o"], attended, levels)
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
    """Add the block, or the mixture that stands in its place."""
    if spec.experts is not None:
        return add_experts(emitter, spec, spec.experts, matrices, values, levels, prefix)
    return add_block(emitter, spec, matrices, values, levels, f"{prefix}.mlp")
