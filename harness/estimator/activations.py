"""Bytes of the arrays that one pass makes and drops: what a prompt takes beside weights and cache.

ONNX Runtime plans a decoder's arrays ahead: of each shape it makes as many as are ever needed at
once, and keeps them to the end of the pass, so that shapes add up even where they are not needed
together. On top come what an operator takes for itself while it runs and the whole matrix of scores
where attention makes one. An encoder's arrays are freed after their last reader.

Source: every allocation of a pass (a library that logs malloc, arena switched off), onnxruntime
1.32.0 on x86: smollm2-135m, qwen2.5-0.5b, gemma-3-270m, lfm2-350m, granite-4.0-h-350m and
qwen3.5-0.8b at 512 tokens are told to 0.5 %, and nothing was fitted to how much memory they take.
"""

from dataclasses import dataclass
from functools import singledispatch

from harness.builder.quantize.levels import Form, MatrixFormat, QuantLevel
from harness.models.specs.layers import Experts, FeedForward, Layer, Mixer
from harness.models.specs.model import ModelSpec, RotaryEncoderSpec
from harness.models.specs.structure import ModelStructure

FLOAT_BYTES = 4  # scores and logits are float32 whatever the activations are
STREAM_ARRAYS = 4  # hidden-wide: the stream, its sum, its norm, and what a matrix gave
# Both projections of a gated block and the activation of one; without a gate one less.
GATED_ARRAYS, PLAIN_ARRAYS = 3, 2
# Hidden-wide arrays of an encoder at its attention: stream, output, and query, key and value as
# they come, as heads and as read.
ENCODER_ARRAYS = 10
APART_ARRAYS = 5  # query-wide, of a rotary encoder: turned, by head, and what is attended to
# Of the arena's regions a table with 8 bytes per 256 is written, and regions, each twice as large
# as the one before, are up to twice what is used.
REGION_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Shape:
    """How much is computed at once.

    Attributes:
        tokens: of each sequence.
        seen_tokens: that each sequence's attention looks at, cached ones included.
        rows: sequences that run together.
    """

    tokens: int
    seen_tokens: int
    rows: int


def activation_bytes(model: ModelStructure, level: QuantLevel, shape: Shape) -> float:
    """Bytes of a pass's arrays, and of operators' own arrays but for scores."""
    per_token = _array_bytes(model.spec, model, level) + _quantized_bytes(model, level)
    return shape.rows * shape.tokens * per_token


def score_bytes(model: ModelStructure, shape: Shape, *, written_out: int = 0) -> float:
    """Bytes of whole score matrices, heads x tokens x seen x 4; none where attention is tiled.

    GroupQueryAttention's CPU kernel goes tile by tile, unless scores are capped or have sinks.
    MultiHeadAttention's makes the matrix where a mask is added, which encoders here always do, and
    the mask is one matrix a sequence itself, two where some layers have a window. Exports that
    write attention out hold several: see harness.models.exported.scores.

    Args:
        model: which.
        shape: of the pass.
        written_out: whole matrices of scores that live at once where attention is not one
            operator, as in many exports; 0: it is.
    """
    if not (written_out or _holds_scores(model.spec)):
        return 0.0
    windowed = any(one.window_tokens is not None for one in model.attention)
    masks = 0 if model.decodes else 1 + windowed
    heads = max((one.heads for one in model.attention), default=0) * max(written_out, 1) + masks
    return float(heads * shape.rows * shape.tokens * shape.seen_tokens * FLOAT_BYTES)


@singledispatch
def _holds_scores(spec: object) -> bool:
    """Whether attention holds all scores at once: of what is not built here, assumed."""
    return True


@_holds_scores.register
def _decoder_holds(spec: ModelSpec) -> bool:
    return spec.attention_softcap is not None or spec.attention_sinks


@_holds_scores.register
def _encoder_holds(spec: RotaryEncoderSpec) -> bool:
    return not spec.causal or _decoder_holds(spec)


@singledispatch
def _array_bytes(spec: object, model: ModelStructure, level: QuantLevel) -> float:
    """Bytes per token of all arrays, but for scores and activations in eight bits."""
    return _freed_values(model, level) * _value_bytes(level)


@_array_bytes.register
def _decoder_arrays(spec: ModelSpec, model: ModelStructure, level: QuantLevel) -> float:
    own = max(_own_values(spec, layer) for layer in spec.layers)
    return _kept_values(spec) * _value_bytes(level) + own * FLOAT_BYTES


@_array_bytes.register
def _encoder_arrays(spec: RotaryEncoderSpec, model: ModelStructure, level: QuantLevel) -> float:
    if spec.causal:
        return _decoder_arrays(spec, model, level)
    one, arrays = spec.layer(0), GATED_ARRAYS if spec.mlp_gated else PLAIN_ARRAYS
    values = STREAM_ARRAYS * spec.hidden_size + one.query_width + 2 * one.key_width
    values += APART_ARRAYS * one.query_width + arrays * spec.intermediate_size
    return float(values * _value_bytes(level))


def _value_bytes(level: QuantLevel) -> int:
    """Bytes of one value of an array; of float16 with its float32 copy, in which is multiplied."""
    return FLOAT_BYTES if level.float_bytes == FLOAT_BYTES else level.float_bytes + FLOAT_BYTES


def _kept_values(spec: ModelSpec) -> float:
    """Values per token that stay to the end of a pass: of each mixer and block, shapes once."""
    values = float(STREAM_ARRAYS * spec.hidden_size)
    values += sum(
        {
            _mixer_key(one, m): _mixer_values(spec, one, m)
            for one in spec.layers
            for m in one.mixers
        }.values()
    )
    blocks = {one.intermediate_size for one in spec.layers if one.feed_forward is FeedForward.MLP}
    if spec.experts is not None and spec.experts.shared_intermediate_size:
        blocks.add(spec.experts.shared_intermediate_size)
    arrays = GATED_ARRAYS if spec.mlp_gated else PLAIN_ARRAYS
    return values + arrays * sum(blocks) + 2 * spec.num_layers * spec.per_layer_width


def _mixer_key(layer: Layer, mixer: Mixer) -> tuple[object, ...]:
    """What layers share whose arrays have the same shapes."""
    if mixer is not Mixer.ATTENTION:
        return (mixer,)
    return mixer, layer.query_width, layer.key_width, layer.owns_cache


def _mixer_values(spec: ModelSpec, layer: Layer, mixer: Mixer) -> float:
    """Values per token that one mixer's own shapes take, beside those of the stream."""
    hidden = spec.hidden_size
    if mixer is Mixer.CONVOLUTION:  # packed, and channels first before and behind the operator
        return 3 * hidden + 2 * hidden
    if mixer is Mixer.DELTA and spec.delta_rule is not None:
        rule = spec.delta_rule
        # packed, turned, convolved, split; queries and keys at unit length, and apart; where values
        # are as wide as keys, what is attended, gated and normed takes their places
        wider = 0 if rule.values_width == rule.keys_width else 2 * rule.values_width
        return 4 * rule.packed_width + 4 * rule.keys_width + wider
    if mixer is Mixer.MAMBA and spec.mamba is not None:
        sizes = spec.mamba
        projected = sizes.inner_width + sizes.convolved_width + sizes.heads
        # packed and split; turned, convolved and split; what is fed and what comes out
        return 2 * projected + 3 * sizes.convolved_width + 2 * sizes.inner_width
    return _attention_values(spec, layer)


def _attention_values(spec: ModelSpec, layer: Layer) -> float:
    """Packed, split where anything stands before the operator, normed, turned, and the output."""
    query, key = layer.query_width, layer.key_width if layer.owns_cache else 0
    packed = query + 2 * key
    values = packed
    if spec.attention_gate:
        values += query + packed + query
    apart = spec.qk_norm != "none" or spec.qk_norm_after_rotary
    if apart and layer.owns_cache:
        values += packed
    if spec.qk_norm != "none":
        values += query + key
    if spec.qk_norm_after_rotary:
        values += query + key
    return values + (0 if apart or query == spec.hidden_size else query)


def _own_values(spec: ModelSpec, layer: Layer) -> float:
    """Values per token that the greediest operator of a layer takes while it runs.

    Attention: queries, keys and values by head, and those it turns once more (of packed ones it
    turns a copy of all). A mixture: its output, and what the tokens of one expert pass; so many go
    to each as there are for it in the mean.
    """
    own = 0.0
    if layer.attends:
        key = layer.key_width if layer.owns_cache else 0
        packed = layer.query_width + 2 * key
        inside = layer.rotary and not spec.qk_norm_after_rotary
        turned = packed if spec.qk_norm == "none" else layer.query_width + key
        own = packed + (turned if inside else 0)
    if spec.experts is not None and layer.feed_forward is FeedForward.EXPERTS:
        own = max(own, _expert_values(spec, spec.experts))
    return own


def _expert_values(spec: ModelSpec, experts: Experts) -> float:
    """Values per token inside the operator of a mixture: see _own_values."""
    hidden, wide = spec.hidden_size, experts.intermediate_size
    return hidden + (2 * hidden + 3 * wide) * experts.active / experts.count


def _freed_values(model: ModelStructure, level: QuantLevel) -> float:
    """Values per token at the widest moment where arrays are freed after their last reader.

    Attention of an encoder, or its block: with floats the product, its sum with the bias and the
    activation. Of a decoder that is not built here: Llama's order, arrays as built ones keep them.
    """
    hidden, wide = model.hidden_size, model.intermediate_size
    if model.decodes:
        packed = max((one.heads + 2 * one.kv_heads) * one.head_dim for one in model.attention)
        return STREAM_ARRAYS * hidden + 3 * packed + GATED_ARRAYS * wide
    width = max((one.heads * one.head_dim for one in model.attention), default=hidden)
    adds = level.body.form is Form.FLOAT
    block = 2 * hidden + (PLAIN_ARRAYS + adds) * wide
    return max(2 * hidden + (ENCODER_ARRAYS - 2) * width, block)


def _quantized_bytes(model: ModelStructure, level: QuantLevel) -> float:
    """Bytes per token of activations in eight bits, of all matrices of one layer.

    A kernel frees its copy at once, but the C library puts the next one elsewhere: small blocks
    have taken parts of the place. One byte a value; in blocks a scale and a sum of each beside.
    """
    wide, hidden = model.intermediate_size, model.hidden_size
    heads = max((a.heads * a.head_dim for a in model.attention), default=hidden)
    inputs = 3 * hidden + heads + wide
    return inputs * _copy_bytes(level.body)


def _copy_bytes(form: MatrixFormat) -> float:
    """Bytes of one activation as the kernel multiplies it, beside the float."""
    if form.form is Form.CHANNEL:
        return 1.0
    if form.form is Form.BLOCK and form.accuracy_level == 4:
        assert form.block_weights is not None
        return 1.0 + 8 / form.block_weights
    return 0.0
