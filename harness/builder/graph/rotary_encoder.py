"""The body of an encoder whose layers are a decoder's: their attention reads texts, no cache."""

from dataclasses import dataclass, replace

from harness.builder.graph.attention import attended, projections
from harness.builder.graph.block import Residual, add_layer, add_norm
from harness.builder.graph.decoder import attention_inputs, rotary_tables
from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.masks import hide_far, hide_unseen
from harness.builder.graph.matrix import embed
from harness.builder.graph.mixing import AttentionInputs, Mixing
from harness.builder.graph.mixture import Mixture
from harness.builder.graph.names import layer_name
from harness.builder.quantize.levels import QuantLevel, own_cache
from harness.models.specs.model import NORM_ORDERS, RotaryEncoderSpec


@dataclass(frozen=True, slots=True)
class MutualTexts(AttentionInputs):
    """What attention of all tokens of a text among each other reads.

    Attributes:
        mask: added to the scores, [batch, 1, tokens, tokens].
        windowed_mask: the same of layers with a window.
    """

    mask: str = ""
    windowed_mask: str = ""


@attended.register
def _mutual_texts(shared: MutualTexts, mixing: Mixing, packed: str) -> str:
    """Add MultiHeadAttention; it turns nothing and shares no keys, so that nodes before it do."""
    layer = mixing.layer
    query, key, value = projections(mixing, packed, apart=True)
    sides = (query, _repeat(mixing, key), _repeat(mixing, value))
    mask = shared.mask if layer.window_tokens is None else shared.windowed_mask
    return mixing.emitter.add(
        "MultiHeadAttention",
        (*sides, "", "", mask),
        f"{mixing.prefix}.self_attn.attended",
        MICROSOFT,
        num_heads=layer.num_heads,
        scale=mixing.spec.score_scale,
    )


def _repeat(mixing: Mixing, values: str) -> str:
    """Add the repetition of each key or value head for the query heads that share it."""
    emitter, layer = mixing.emitter, mixing.layer
    times = layer.num_heads // layer.num_kv_heads
    if times == 1:
        return values
    apart = emitter.constant(f"{values}.apart", [0, 0, layer.num_kv_heads, 1, layer.head_dim])
    grown = emitter.constant(f"{values}.grown", [1, 1, 1, times, 1])
    flat = emitter.constant(f"{values}.together", [0, 0, layer.query_width])
    heads = emitter.add("Reshape", (values, apart), f"{values}.heads_apart")
    repeated = emitter.add("Expand", (heads, grown), f"{values}.repeated")
    return emitter.add("Reshape", (repeated, flat), f"{values}.shared")


def add_body(emitter: Emitter, spec: RotaryEncoderSpec, level: QuantLevel) -> str:
    """Add embedding, layers and the last norm; returns the vectors [batch, tokens, hidden].

    Where tokens look back only, attention is a decoder's over an empty cache: texts are filled up
    behind their last token.
    """
    levels = Mixture(level)
    if spec.causal:
        inputs = attention_inputs(emitter, spec, level, own_cache(level))
        texts = replace(inputs, cached=False)
    else:
        texts = _mutual(emitter, spec, level)
    stream, done = embed(emitter, spec, levels), ""
    if spec.embedding_norm:
        done = f"{layer_name(0)}.{NORM_ORDERS[spec.norm_order].before_attention}"
        stream = add_norm(emitter, spec, stream, done)
    residual = Residual(emitter, spec, stream, done)
    for layer in range(spec.num_layers):
        add_layer(emitter, spec, levels, layer, residual, texts)
    return residual.read("model.norm", "")


def _mutual(emitter: Emitter, spec: RotaryEncoderSpec, level: QuantLevel) -> MutualTexts:
    """Add what attention in both directions reads."""
    mask = windowed_mask = hide_unseen(emitter, level)
    if spec.sliding_window_tokens is not None:
        windowed_mask = hide_far(emitter, level, mask, spec.sliding_window_tokens // 2)
    turns = windowed = rotary_tables(emitter, spec, level, "rotary")
    if spec.local_rope_theta is not None:
        windowed = rotary_tables(emitter, spec, level, "rotary.windowed", windowed=True)
    first = emitter.constant("rotary.position", [0])
    return MutualTexts(
        last_index="",
        total_tokens="",
        turns=turns,
        windowed_turns=windowed,
        cache=own_cache(level),
        positions=first,
        cached=False,
        mask=mask,
        windowed_mask=windowed_mask,
    )
