"""Nodes of attention over a cache: head norms, rotary positions, windows and integer caches."""

from typing import Any

from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.mixing import Mixing
from harness.builder.graph.names import layer_name, scale_name
from harness.builder.quantize.levels import CacheLevel
from harness.models.specs.layers import Layer
from harness.models.specs.model import ModelSpec


def attend(mixing: Mixing, values: str) -> str:
    """Add attention between its matrices; returns what is added to the residual stream.

    Args:
        mixing: the layer.
        values: normalised [batch, tokens, hidden].
    """
    packed = mixing.multiply("qkv", values)
    return mixing.multiply("o", _attended(mixing, packed))


def _attended(mixing: Mixing, packed: str) -> str:
    """Add GroupQueryAttention; rotary, cache and sliding window are inside it.

    The CPU kernel of ONNX Runtime 1.31 refuses the operator's own q_norm_weight, so head norms
    are nodes before it.
    """
    emitter, spec, layer, shared = mixing.emitter, mixing.spec, mixing.layer, mixing.shared
    number = layer.number
    attention = f"{layer_name(number)}.self_attn"
    projected = (packed, "", "")
    if spec.qk_norm != "none":
        projected = _split_and_norm(emitter, spec, layer, attention, packed)
    cache = (f"past_key_values.{number}.key", f"past_key_values.{number}.value")
    lengths = (shared.last_index, shared.total_tokens)
    window = layer.window_tokens
    turns = shared.turns if window is None else shared.windowed_turns
    scales, attributes = quantized_inputs(number, shared.cache)
    if spec.attention_softcap is not None:
        attributes["softcap"] = spec.attention_softcap
    return emitter.add(
        "GroupQueryAttention",
        (*projected, *cache, *lengths, *turns, *scales),
        f"{attention}.attended",
        MICROSOFT,
        more_outputs=(f"present.{number}.key", f"present.{number}.value"),
        num_heads=layer.num_heads,
        kv_num_heads=layer.num_kv_heads,
        do_rotary=int(layer.rotary),
        rotary_interleaved=0,
        scale=spec.score_scale,
        local_window_size=window or -1,
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
    emitter: Emitter, spec: ModelSpec, layer: Layer, attention: str, packed: str
) -> tuple[str, str, str]:
    """Add the split of packed qkv and the RMS norm of queries and keys: by head, or all at once."""
    query, key = layer.query_width, layer.key_width
    sizes = emitter.constant(f"{attention}.sizes", [query, key, key])
    names = [f"{attention}.{letter}" for letter in "qkv"]
    emitter.add("Split", (packed, sizes), names[0], more_outputs=names[1:], axis=-1)
    normalised = []
    for name, heads in zip(names[:2], (layer.num_heads, layer.num_kv_heads), strict=True):
        if spec.qk_norm == "full_width":
            normalised.append(_rms_norm(emitter, spec, name, f"{name}_norm"))
            continue
        by_head = emitter.constant(f"{name}.by_head", [0, 0, heads, layer.head_dim])
        flat = emitter.constant(f"{name}.flat", [0, 0, heads * layer.head_dim])
        rows = emitter.add("Reshape", (name, by_head), f"{name}.heads")
        norm = _rms_norm(emitter, spec, rows, f"{name}_norm")
        normalised.append(emitter.add("Reshape", (norm, flat), f"{name}_norm.flat"))
    return normalised[0], normalised[1], names[2]


def _rms_norm(emitter: Emitter, spec: ModelSpec, values: str, norm: str) -> str:
    """Add the RMS norm of the last axis."""
    return emitter.add(
        "SimplifiedLayerNormalization",
        (values, f"{norm}.weight"),
        f"{norm}.normalised",
        axis=-1,
        epsilon=spec.norm_epsilon,
        stash_type=1,
    )
