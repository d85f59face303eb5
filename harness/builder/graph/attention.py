"""Nodes of attention over a cache: head norms, rotary positions, windows and integer caches."""

from functools import singledispatch
from typing import Any

import numpy as np

from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.mixing import AttentionInputs, Mixing
from harness.builder.graph.names import layer_name, scale_name
from harness.builder.quantize.levels import CacheLevel
from harness.models.specs.model import ModelSpec


def attend(mixing: Mixing, values: str) -> str:
    """Add attention between its matrices; returns what is added to the residual stream.

    Args:
        mixing: the layer.
        values: normalised [batch, tokens, hidden].
    """
    packed = mixing.multiply("qkv", values)
    if not mixing.spec.attention_gate:
        return mixing.multiply("o", attended(mixing.shared, mixing, packed))
    emitter, layer, name = mixing.emitter, mixing.layer, f"{mixing.prefix}.self_attn"
    if mixing.spec.attention_gate_by_head:
        given = attended(mixing.shared, mixing, packed)
        return mixing.multiply("o", _gated_heads(mixing, values, given, name))
    widths = [layer.query_width + 2 * layer.key_width, layer.query_width]
    split = (packed, emitter.constant(f"{name}.widths", widths))
    plain, gate = f"{name}.qkv", f"{name}.gate"
    emitter.add("Split", split, plain, more_outputs=(gate,), axis=-1)
    share = emitter.add("Sigmoid", (gate,), f"{name}.share")
    given = attended(mixing.shared, mixing, plain)
    return mixing.multiply("o", emitter.add("Mul", (given, share), f"{name}.gated"))


def _gated_heads(mixing: Mixing, values: str, given: str, name: str) -> str:
    """Add what each head gives times the sigmoid of its gate, one number per head and token."""
    emitter, layer = mixing.emitter, mixing.layer
    share = emitter.add("Sigmoid", (mixing.multiply("g", values),), f"{name}.share")
    by_head = emitter.constant(f"{name}.gated_heads", [0, 0, layer.num_heads, layer.head_dim])
    flat = emitter.constant(f"{name}.gated_flat", [0, 0, layer.query_width])
    axis = emitter.constant(f"{name}.gate_axis", [3])
    share = emitter.add("Unsqueeze", (share, axis), f"{name}.share_of_heads")
    heads = emitter.add("Reshape", (given, by_head), f"{name}.given_heads")
    gated = emitter.add("Mul", (heads, share), f"{name}.gated")
    return emitter.add("Reshape", (gated, flat), f"{name}.gated_rows")


@singledispatch
def attended(shared: AttentionInputs, mixing: Mixing, packed: str) -> str:
    """Add GroupQueryAttention; rotary, cache and sliding window are inside it.

    The CPU kernel of ONNX Runtime 1.31 refuses the operator's own q_norm_weight, so head norms
    are nodes before it.
    """
    emitter, spec, layer = mixing.emitter, mixing.spec, mixing.layer
    number = layer.cache_layer
    attention = f"{mixing.prefix}.self_attn"
    projected = projections(mixing, packed)
    cache, present = _cache_names(mixing) if shared.cached else (("", ""), ())
    lengths = (shared.last_index, shared.total_tokens)
    window = layer.window_tokens
    turns = () if spec.turned_apart else layer_turns(mixing)
    scales, attributes = quantized_inputs(number, shared.cache)
    sinks = f"{attention}.sinks" if spec.attention_sinks else ""
    tables = turns or ("", "")
    if spec.attention_softcap is not None:
        attributes["softcap"] = spec.attention_softcap
    return emitter.add(
        "GroupQueryAttention",
        (*projected, *cache, *lengths, *tables, "", "", sinks, *scales),
        f"{attention}.attended",
        MICROSOFT,
        more_outputs=present,
        num_heads=layer.num_heads,
        kv_num_heads=layer.num_kv_heads,
        do_rotary=int(bool(turns)),
        rotary_interleaved=int(spec.rotary_pairs),
        scale=spec.score_scale,
        local_window_size=window or -1,
        **attributes,
    )


def _cache_names(mixing: Mixing) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the keys and values that a layer reads, and those that it writes.

    A layer that reads those of another writes outputs that nobody reads: without any,
    GroupQueryAttention ignores its past (seen with onnxruntime 1.32.0).
    """
    layer, attention = mixing.layer, f"{mixing.prefix}.self_attn"
    past, present = (
        (f"{name}.{layer.cache_layer}.key", f"{name}.{layer.cache_layer}.value")
        for name in ("past_key_values", "present")
    )
    if layer.owns_cache:
        return past, present
    return present, (f"{attention}.unread_key", f"{attention}.unread_value")


def quantized_inputs(layer: int, cache: CacheLevel) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return what GroupQueryAttention takes on top for a cache of integers: inputs, attributes.

    The scales are its last inputs.
    """
    if not cache.is_integer:
        return (), {}
    scales = (scale_name(layer, "key"), scale_name(layer, "value"))
    kind = dict.fromkeys(("k_quant_type", "v_quant_type"), "PER_CHANNEL")
    return scales, {**kind, "kv_cache_bit_width": cache.bits}


def layer_turns(mixing: Mixing) -> tuple[str, ...]:
    """Return the tables of cosines and sines of a layer; none where it does not turn."""
    if not mixing.layer.rotary:
        return ()
    shared, thetas = mixing.shared, mixing.spec.layer_thetas
    if thetas:
        return shared.turns_by_theta[thetas[mixing.layer.number]]
    return shared.turns if mixing.layer.window_tokens is None else shared.windowed_turns


def projections(mixing: Mixing, packed: str, *, apart: bool = False) -> tuple[str, str, str]:
    """Add what stands between the packed projection and the attention node, if anything.

    Args:
        mixing: the layer.
        packed: query, key and value.
        apart: the node takes them apart only, and turns nothing.
    """
    emitter, spec, layer = mixing.emitter, mixing.spec, mixing.layer
    turns = layer_turns(mixing) if apart or spec.turned_apart else ()
    if spec.qk_norm == "none" and not mixing.shared.growth and not apart and not turns:
        return packed, "", ""
    attention, query, key = f"{mixing.prefix}.self_attn", layer.query_width, layer.key_width
    if not layer.owns_cache:
        owner = f"{layer_name(layer.cache_layer)}.self_attn"
        queries = _prepared(mixing, packed, layer.num_heads, f"{attention}.q", turns)
        return queries, f"{owner}.no_keys", f"{owner}.no_keys"
    sizes = emitter.constant(f"{attention}.sizes", [query, key, key])
    names = [f"{attention}.{letter}" for letter in "qkv"]
    emitter.add("Split", (packed, sizes), names[0], more_outputs=names[1:], axis=-1)
    queries, keys = (
        _prepared(mixing, name, heads, name, turns)
        for name, heads in zip(names[:2], (layer.num_heads, layer.num_kv_heads), strict=True)
    )
    values = names[2]
    if spec.value_norm:
        values = _normalised_values(mixing, values)
    if any(one.cache_layer == layer.number != one.number for one in spec.layers):
        zero, axis = (emitter.constant(f"{attention}.{k}", [v]) for k, v in (("0", 0), ("1", 1)))
        emitter.add("Slice", (keys, zero, zero, axis), f"{attention}.no_keys")
    if mixing.shared.growth:
        queries = emitter.add("Mul", (queries, mixing.shared.growth), f"{attention}.q_grown")
    return queries, keys, values


def _normalised_values(mixing: Mixing, name: str) -> str:
    """Add the RMS norm of values by head, which has no weights."""
    emitter, layer = mixing.emitter, mixing.layer
    ones = np.ones(layer.head_dim)
    emitter.constant(f"{name}_norm.weight", ones, mixing.levels.base.float_dtype)
    by_head = emitter.constant(f"{name}.by_head", [0, 0, layer.num_kv_heads, layer.head_dim])
    flat = emitter.constant(f"{name}.flat", [0, 0, layer.key_width])
    rows = emitter.add("Reshape", (name, by_head), f"{name}.heads")
    norm = _rms_norm(emitter, mixing.spec, rows, f"{name}_norm")
    return emitter.add("Reshape", (norm, flat), f"{name}_norm.flat")


def _prepared(mixing: Mixing, values: str, heads: int, name: str, turns: tuple[str, ...]) -> str:
    """Add norm and rotation of queries or keys [batch, tokens, heads · head_dim], where there are.

    Args:
        mixing: the layer.
        values: queries or keys.
        heads: how many.
        name: before the names of its nodes.
        turns: cosines and sines; empty: nothing is turned here.
    """
    if mixing.spec.qk_norm_after_rotary and turns:
        return _normalised(mixing, _turned(mixing, values, heads, turns), heads, name)
    values = _normalised(mixing, values, heads, name)
    return _turned(mixing, values, heads, turns) if turns else values


def _turned(mixing: Mixing, values: str, heads: int, turns: tuple[str, ...]) -> str:
    """Add the rotation of queries or keys."""
    spec = mixing.spec
    more: dict[str, Any] = {}
    if spec.rotary_dim is not None:
        more = {"rotary_embedding_dim": spec.rotary_dim, "num_heads": heads}
    return mixing.emitter.add(
        "RotaryEmbedding",
        (values, mixing.shared.positions, *turns),
        f"{values}.turned",
        MICROSOFT,
        interleaved=int(spec.rotary_pairs),
        **more,
    )


def _normalised(mixing: Mixing, values: str, heads: int, name: str) -> str:
    """Add the RMS norm of queries or keys, by head or all at once."""
    emitter, spec, head_dim = mixing.emitter, mixing.spec, mixing.layer.head_dim
    if spec.qk_norm == "none":
        return values
    if spec.qk_norm == "full_width":
        return _rms_norm(emitter, spec, values, f"{name}_norm")
    by_head = emitter.constant(f"{name}.by_head", [0, 0, heads, head_dim])
    flat = emitter.constant(f"{name}.flat", [0, 0, heads * head_dim])
    rows = emitter.add("Reshape", (values, by_head), f"{name}.heads")
    norm = _rms_norm(emitter, spec, rows, f"{name}_norm")
    return emitter.add("Reshape", (norm, flat), f"{name}_norm.flat")


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
