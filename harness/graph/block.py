"""Nodes of one decoder layer: attention over the cache, then the gated block."""

from dataclasses import dataclass, replace
from typing import Any

from harness.graph.emitter import MICROSOFT, Emitter
from harness.graph.matrix import Matrix, multiply
from harness.graph.mixture import Mixture
from harness.quantize.cache import CacheLevel
from harness.specs.model import ModelSpec
from harness.specs.sensitive import is_sensitive


@dataclass(frozen=True, slots=True)
class AttentionInputs:
    """Names of the tensors that every layer's attention shares.

    Attributes:
        last_index: int32 [batch], tokens of each sequence, cached ones included, minus one.
        total_tokens: int32 scalar, the longest of them.
        cosines: [context, head_dim / 2].
        sines: [context, head_dim / 2].
        cache: how keys and values are stored; integers come with scales, see scale_name.
    """

    last_index: str
    total_tokens: str
    cosines: str
    sines: str
    cache: CacheLevel


def layer_name(layer: int) -> str:
    """Return the prefix of a layer's tensors, as in a Hugging Face checkpoint."""
    return f"model.layers.{layer}"


def scale_name(layer: int, half: str) -> str:
    """Return the name of the scales [1, kv_heads, 1, head_dim] of a layer's `key` or `value`."""
    return f"past_key_values.{layer}.{half}_scale"


def layer_matrices(spec: ModelSpec, layer: int) -> dict[str, Matrix]:
    """Return the stored matrices of one layer: qkv packed along the outputs, then the others."""
    prefix, hidden, wide = layer_name(layer), spec.hidden_size, spec.intermediate_size
    query = spec.num_heads * spec.head_dim
    packed = query + 2 * spec.num_kv_heads * spec.head_dim
    attention, gated = f"{prefix}.self_attn", f"{prefix}.mlp"
    matrices = {
        "qkv": Matrix(f"{attention}.qkv_proj", packed, hidden, spec.qkv_bias),
        "o": Matrix(f"{attention}.o_proj", hidden, query),
        "gate": Matrix(f"{gated}.gate_proj", wide, hidden),
        "up": Matrix(f"{gated}.up_proj", wide, hidden),
        "down": Matrix(f"{gated}.down_proj", hidden, wide),
    }
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
    normalised: str,
    residual: str,
    shared: AttentionInputs,
) -> tuple[str, str]:
    """Add one layer.

    Args:
        emitter: takes the nodes.
        spec: the architecture.
        levels: how each of its matrices is stored.
        layer: its index.
        normalised: the layer's input after its first norm, [batch, tokens, hidden].
        residual: the same input before the norm.
        shared: what every attention reads.

    Returns:
        The block's output, not yet added, and the residual stream it is to be added to.
    """
    prefix = layer_name(layer)
    matrices = layer_matrices(spec, layer)
    packed = _multiply(emitter, matrices["qkv"], normalised, levels)
    attended = _attend(emitter, spec, layer, packed, shared)
    mixed = _multiply(emitter, matrices["o"], attended, levels)
    norm = f"{prefix}.post_attention_layernorm"
    normalised, residual = add_and_norm(emitter, spec, mixed, residual, norm)
    gate = _multiply(emitter, matrices["gate"], normalised, levels)
    up = _multiply(emitter, matrices["up"], normalised, levels)
    sigmoid = emitter.add("Sigmoid", (gate,), f"{prefix}.mlp.sigmoid")
    silu = emitter.add("Mul", (gate, sigmoid), f"{prefix}.mlp.silu")
    product = emitter.add("Mul", (silu, up), f"{prefix}.mlp.gated")
    return _multiply(emitter, matrices["down"], product, levels), residual


def _multiply(emitter: Emitter, matrix: Matrix, activations: str, levels: Mixture) -> str:
    """Add the product with a matrix, as it is stored."""
    return multiply(emitter, matrix, activations, levels.of(matrix.name))


def add_and_norm(
    emitter: Emitter, spec: ModelSpec, addend: str, residual: str, norm: str
) -> tuple[str, str]:
    """Add `addend` to the residual stream and normalise: returns the norm and the new stream."""
    stream = f"{norm}.residual"
    normalised = emitter.add(
        "SkipSimplifiedLayerNormalization",
        (addend, residual, f"{norm}.weight"),
        f"{norm}.normalised",
        MICROSOFT,
        more_outputs=("", "", stream),
        epsilon=spec.norm_epsilon,
    )
    return normalised, stream


def _attend(
    emitter: Emitter, spec: ModelSpec, layer: int, packed: str, shared: AttentionInputs
) -> str:
    """Add GroupQueryAttention; rotary, cache and sliding window are inside it.

    The CPU kernel of ONNX Runtime 1.31 refuses the operator's own q_norm_weight, so head norms
    are nodes before it.
    """
    attention = f"{layer_name(layer)}.self_attn"
    projected = (packed, "", "")
    if spec.qk_norm:
        projected = _split_and_norm(emitter, spec, attention, packed)
    cache = (f"past_key_values.{layer}.key", f"past_key_values.{layer}.value")
    lengths = (shared.last_index, shared.total_tokens)
    scales, attributes = quantized_inputs(layer, shared.cache)
    return emitter.add(
        "GroupQueryAttention",
        (*projected, *cache, *lengths, shared.cosines, shared.sines, *scales),
        f"{attention}.attended",
        MICROSOFT,
        more_outputs=(f"present.{layer}.key", f"present.{layer}.value"),
        num_heads=spec.num_heads,
        kv_num_heads=spec.num_kv_heads,
        do_rotary=1,
        rotary_interleaved=0,
        scale=spec.head_dim**-0.5,
        local_window_size=spec.sliding_window_tokens or -1,
        **attributes,
    )


def quantized_inputs(layer: int, cache: CacheLevel) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return what GroupQueryAttention takes on top for a cache of integers: inputs, attributes.

    Its inputs between sines and scales (positions, bias, sink) are left out.
    """
    if not cache.is_integer:
        return (), {}
    scales = ("", "", "", scale_name(layer, "key"), scale_name(layer, "value"))
    kind = dict.fromkeys(("k_quant_type", "v_quant_type"), "PER_CHANNEL")
    return scales, {**kind, "kv_cache_bit_width": cache.bits}


def _split_and_norm(
    emitter: Emitter, spec: ModelSpec, attention: str, packed: str
) -> tuple[str, str, str]:
    """Add the split of packed qkv and the RMS norm of every query and key head."""
    query, key = spec.num_heads * spec.head_dim, spec.num_kv_heads * spec.head_dim
    sizes = emitter.constant(f"{attention}.sizes", [query, key, key])
    names = [f"{attention}.{letter}" for letter in "qkv"]
    emitter.add("Split", (packed, sizes), names[0], more_outputs=names[1:], axis=-1)
    normalised = []
    for name, heads in zip(names[:2], (spec.num_heads, spec.num_kv_heads), strict=True):
        by_head = emitter.constant(f"{name}.by_head", [0, 0, heads, spec.head_dim])
        flat = emitter.constant(f"{name}.flat", [0, 0, heads * spec.head_dim])
        rows = emitter.add("Reshape", (name, by_head), f"{name}.heads")
        norm = emitter.add(
            "SimplifiedLayerNormalization",
            (rows, f"{name}_norm.weight"),
            f"{name}_norm.normalised",
            axis=-1,
            epsilon=spec.norm_epsilon,
            stash_type=1,
        )
        normalised.append(emitter.add("Reshape", (norm, flat), f"{name}_norm.flat"))
    return normalised[0], normalised[1], names[2]
