"""Decoders of every family, taken apart."""

from collections.abc import Iterator
from functools import singledispatch

from harness.models.catalog.bert import bert_structure
from harness.models.catalog.shapes import DecoderShape
from harness.models.specs.model import (
    NORM_ORDERS,
    NORM_VECTORS,
    AnySpec,
    EncoderSpec,
    Experts,
    ModelSpec,
)
from harness.models.specs.structure import Attention, ModelStructure, ParameterGroup, Role, by_need


@singledispatch
def spec_structure(spec: AnySpec) -> ModelStructure:
    """Take apart an architecture that is built here."""
    raise TypeError(f"{spec!r} is no architecture")


spec_structure.register(EncoderSpec, bert_structure)


@spec_structure.register
def _decoder_spec_anatomy(spec: ModelSpec) -> ModelStructure:
    shape = DecoderShape(
        vocab_size=spec.vocab_size,
        hidden_size=spec.hidden_size,
        num_layers=spec.num_layers,
        num_heads=spec.num_heads,
        num_kv_heads=spec.num_kv_heads,
        head_dim=spec.head_dim,
        intermediate_size=spec.intermediate_size,
        tied_embeddings=spec.tied_embeddings,
        max_context_tokens=spec.max_context_tokens,
        rope_theta=spec.rope_theta,
        activation=spec.activation,
        norm=spec.norm,
        norms_per_layer=len(NORM_ORDERS[spec.norm_order].names),
        mlp_gated=spec.mlp_gated,
        qkv_bias=spec.qkv_bias,
        all_bias=spec.all_bias,
        head_bias=spec.head_bias,
        qk_norm=spec.qk_norm,
        sliding_window_tokens=spec.sliding_window_tokens,
        full_attention_layers=spec.full_attention_layers,
        learned_positions=spec.positions == "learned",
        experts=spec.experts,
    )
    return decoder_structure(spec.name, shape, spec)


def decoder_structure(
    name: str, shape: DecoderShape, spec: ModelSpec | None = None
) -> ModelStructure:
    """Take apart a decoder.

        total = V·h·(1 if tied else 2) [+ V head bias] [+ context·h positions] + Σ layers + norm
        layer = norms + (attention | convolution) + (block | experts)
        attention = 2·h·q + 2·h·k [+ q + 2k qkv bias] [+ h output bias]
                    [+ 2·d per-head norms | + q + k full-width norms]
        convolution = 3·h² + h² + h·kernel
        block = 3·h·i gated, 2·h·i [+ i + h biases] without gate
        experts = E·3·h·e + E·h router [+ 3·h·s shared [+ h gate]]

    with q = heads·d and k = kv_heads·d. Rotary tables are computed, not trained.
    Source: the transformers class of each family; every catalog count is checked against a
    published one.
    """
    experts, block = shape.experts, shape.intermediate_size
    if experts is not None:
        block = experts.active * experts.intermediate_size + experts.shared_intermediate_size
    return ModelStructure(
        name=name,
        kind="decoder",
        groups=tuple(_groups(shape)),
        attention=tuple(_attention(shape)),
        hidden_size=shape.hidden_size,
        intermediate_size=block,
        num_layers=shape.num_layers,
        vocab_size=shape.vocab_size,
        max_context_tokens=shape.max_context_tokens,
        spec=spec,
    )


def _attending_layers(shape: DecoderShape) -> int:
    """Layers that attend: all, or those without a convolution."""
    return shape.num_layers - (shape.convolution.layers if shape.convolution else 0)


def _attention(shape: DecoderShape) -> Iterator[Attention]:
    """Yield the layers that see everything, then those with a window."""
    layers, window = _attending_layers(shape), shape.sliding_window_tokens
    heads = (shape.num_heads, shape.num_kv_heads, shape.head_dim)
    everything = layers if window is None else shape.full_attention_layers
    if everything:
        yield Attention(everything, *heads)
    if layers > everything:
        yield Attention(layers - everything, *heads, window_tokens=window)


def _groups(shape: DecoderShape) -> Iterator[ParameterGroup]:
    """Yield every trained array."""
    vocab, hidden, layers = shape.vocab_size, shape.hidden_size, shape.num_layers
    yield ParameterGroup(
        "embedding", Role.TIED if shape.tied_embeddings else Role.TABLE, vocab, hidden
    )
    if shape.learned_positions:
        yield ParameterGroup("positions", Role.TABLE, shape.max_context_tokens, hidden)
    yield from _attention_groups(shape, _attending_layers(shape))
    if shape.convolution is not None:
        count = shape.convolution.layers
        yield ParameterGroup("convolution in", Role.BODY, 3 * hidden, hidden, count)
        yield ParameterGroup("convolution out", Role.BODY, hidden, hidden, count)
        yield ParameterGroup(
            "convolution taps", Role.VECTOR, hidden * shape.convolution.kernel, 1, count
        )
    if shape.experts is None:
        yield from _block_groups(shape)
    else:
        yield from _expert_groups(hidden, layers, shape.experts)
    norm_values = NORM_VECTORS[shape.norm] * hidden
    if norm_values:
        yield ParameterGroup(
            "norms", Role.VECTOR, norm_values, 1, layers * shape.norms_per_layer + 1
        )
    if not shape.tied_embeddings:
        yield ParameterGroup("head", Role.HEAD, vocab, hidden)
    if shape.head_bias:
        yield ParameterGroup("head bias", Role.VECTOR, vocab)


def _attention_groups(shape: DecoderShape, layers: int) -> Iterator[ParameterGroup]:
    """Yield what attention trains; query, key and value lie in one matrix."""
    hidden, head = shape.hidden_size, shape.head_dim
    query, key = shape.num_heads * head, shape.num_kv_heads * head
    yield from by_need(
        ParameterGroup("attention qkv", Role.BODY, query + 2 * key, hidden, layers), layers
    )
    yield ParameterGroup("attention out", Role.BODY, hidden, query, layers)
    if shape.qkv_bias:
        yield ParameterGroup("attention qkv bias", Role.VECTOR, query + 2 * key, 1, layers)
    if shape.all_bias:
        yield ParameterGroup("attention out bias", Role.VECTOR, hidden, 1, layers)
    width = {"none": 0, "per_head": 2 * head, "full_width": query + key}[shape.qk_norm]
    if width:
        yield ParameterGroup("query and key norms", Role.VECTOR, width, 1, layers)


def _block_groups(shape: DecoderShape) -> Iterator[ParameterGroup]:
    """Yield the matrices of the block after attention."""
    hidden, wide, layers = shape.hidden_size, shape.intermediate_size, shape.num_layers
    if shape.mlp_gated:
        yield ParameterGroup("block gate", Role.BODY, wide, hidden, layers)
    yield ParameterGroup("block up", Role.BODY, wide, hidden, layers)
    yield from by_need(ParameterGroup("block down", Role.BODY, hidden, wide, layers), layers)
    if shape.all_bias:
        yield ParameterGroup("block biases", Role.VECTOR, wide + hidden, 1, layers)


def _expert_groups(hidden: int, layers: int, experts: Experts) -> Iterator[ParameterGroup]:
    """Yield router, experts and the shared block of every layer."""
    count, active, wide = experts.count, experts.active, experts.intermediate_size
    yield ParameterGroup("router", Role.BODY, count, hidden, layers)
    stored, used = layers * count, layers * active
    yield ParameterGroup("experts gate and up", Role.BODY, wide, hidden, 2 * stored, 2 * used)
    down = ParameterGroup("experts down", Role.BODY, hidden, wide, stored, used)
    yield from by_need(down, layers)
    shared = experts.shared_intermediate_size
    if shared:
        yield ParameterGroup("shared gate and up", Role.BODY, shared, hidden, 2 * layers)
        yield from by_need(ParameterGroup("shared down", Role.BODY, hidden, shared, layers), layers)
    if experts.shared_gate:
        yield ParameterGroup("shared gate", Role.VECTOR, hidden, 1, layers)
