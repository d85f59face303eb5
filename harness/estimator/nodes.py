"""How many operators one pass of a built graph runs, counted before anything is built."""

from functools import singledispatch

from harness.builder.quantize.levels import Form, QuantLevel
from harness.models.specs.blocks import MIXERS
from harness.models.specs.layers import FeedForward, Layer, Mixer
from harness.models.specs.model import (
    AnySpec,
    EncoderSpec,
    ModelSpec,
    RotaryEncoderSpec,
    TextSpec,
)
from harness.models.specs.structure import ModelStructure

MASK_NODES = 6  # lengths and total length from the attention mask
LAYER_NODES = 11  # qkv, attention, out, norm, gate, up, sigmoid, two products, down, norm
ACTIVATION_NODES = {"silu": 2, "gelu": 1, "gelu_tanh": 1, "relu2": 2}
# beside its matrices; float16 casts what enters and leaves a state
STATE_NODES = {
    Mixer.CONVOLUTION: (6, 2),  # split, two products, two transposes, convolution
    # convolution (3), unit length (5), rates, recurrence, gated norm
    Mixer.DELTA: (11, 5),
    # two splits, convolution (3), steps (3), heads and back (5), what is fed (2), recurrence, skip
    # and sum (2), gate (3); the norm is counted by its groups
    Mixer.MAMBA: (20, 2),
}
GATE_NODES = 3  # of attention's output: split, sigmoid, product
QK_NORM_NODES = {"none": 0, "per_head": 7, "full_width": 3}  # split, and norms with two reshapes
POSITION_NODES = 6  # learned: count, subtract, width, negate, slice; and the sum with the embedding
MIXTURE_NODES = 3  # router, reshape, all experts
TOTAL_NODES = 5  # of the chosen sigmoids: sum, three for its shape, product
HEAD_GATE_NODES = 6  # the same by head: matrix, sigmoid, unsqueeze, reshape, product, reshape
SHARED_GATE_NODES = 4  # multiply, sum, sigmoid, multiply
SHARED_NODES = 11  # gate, up, sigmoid, two products, down; multiply, sum, sigmoid, multiply; add
SIGMOID_NODES = 7  # sigmoid, choice, gather, logarithm, shape, constant, scatter
SIDE_TABLE_NODES = 7  # product, two reshapes, norm, look-up, sum, split
SIDE_NODES = 5  # two products, activation, multiply, norm
VALUE_NORM_NODES = 3  # a norm with two reshapes
GROWTH_NODES = 7  # divide, cast, add, logarithm, multiply, add, one axis more
CAP_NODES = 3  # divide, tanh, multiply
ENCODER_LAYER_NODES = 11  # qkv, split, attention, out, sum, norm, up, GELU, down, sum, norm
POOL_NODES = {"mean": 4, "cls": 1, "last": 6}
TEXT_MASK_NODES = 6  # of texts whose tokens see each other
WINDOW_NODES = 8  # what hides tokens that are too far off
SHARED_KEY_NODES = 6  # keys and values repeated for the query heads that share them
ROUTER_NODES = 4  # router, choice of experts, gather, scatter


def operator_calls(model: ModelStructure, level: QuantLevel, layers: int) -> float:
    """Nodes that run in one pass of the graph.

    Exact for what is built here (see built_operator_calls). Any other model: `layers` layers like
    Llama's, and where there are experts the router's calls and each matrix of all experts in one
    grouped call (assumed).
    """
    if model.spec is not None:
        return float(built_operator_calls(model.spec, level))
    around = MASK_NODES + 2 + 2  # mask, embedding and first norm, head
    has_experts = any(group.active is not None for group in model.groups)
    return around + layers * (LAYER_NODES + (ROUTER_NODES if has_experts else 0))


@singledispatch
def built_operator_calls(spec: AnySpec, level: QuantLevel) -> int:
    """Nodes of `model.onnx` that run in every pass, by the kind of an architecture."""
    raise TypeError(f"{spec!r} is no architecture")


@built_operator_calls.register
def _encoder_calls(spec: EncoderSpec, level: QuantLevel) -> int:
    """Nodes of a built encoder that run in every pass.

        6 mask + 3 positions [+ 1 offset] + tables · (1 or 2) + 2 sum and norm + what follows the
        tokens [+ 1 where float16 leaves as float32] + layers · (11 [+ 4 where float matrices add
        biases])

    A layer: four matrices, split, attention, GELU, two sums and two norms. A look-up takes a second
    node where its padded rows are cut.
    Source: harness.builder.graph.encoder, whose nodes a test counts.
    """
    layer = ENCODER_LAYER_NODES + (4 if level.body.form is Form.FLOAT else 0)
    table = level.table.fitted(spec.hidden_size)
    padded = table.form is Form.BLOCK and table.padded_inputs(spec.hidden_size) != spec.hidden_size
    tables = (3 if spec.token_types else 2) * (2 if padded else 1)
    around = TEXT_MASK_NODES + 3 + (1 if spec.first_position else 0) + tables + 2
    return around + _vector_nodes(spec, level) + spec.num_layers * layer


def _vector_nodes(spec: TextSpec, level: QuantLevel) -> int:
    """Nodes behind the last norm: pooling, dense layers, and the scaling to length 1.

    4 mean, 1 first or 6 last token [+ 2 a true mean before dense layers]
    + dense layers · (1 [+ 1 bias of a float matrix] [+ 1 activation] [+ 1 norm])
    [+ 1 scaling] [+ 1 where float16 leaves as float32, 2 more around dense layers]
    """
    is_float = level.body.form is Form.FLOAT
    nodes = POOL_NODES[spec.pooling] + (0 if spec.scores else 1)
    nodes += 2 if spec.dense and spec.pooling == "mean" else 0
    for dense in spec.dense:
        parts = (dense.bias and is_float, dense.activation != "identity", dense.norm)
        nodes += 1 + sum(parts)
    if level.float_dtype == "float16":
        nodes += 3 if spec.dense else 1
    return nodes


@built_operator_calls.register
def _rotary_encoder_calls(spec: RotaryEncoderSpec, level: QuantLevel) -> int:
    """Nodes of a built encoder with a decoder's layers.

        6 mask [+ 8 window] + table · (1 or 2) [+ 1 scaled] + norms and sums + what follows the
        tokens + layers · (those of a decoder [+ split] [+ 2 turned] [+ 6 shared keys and values])

    Causal attention turns and shares by itself, and splits only for the norms of its heads.
    """
    table = level.table.fitted(spec.hidden_size)
    padded = table.form is Form.BLOCK and table.padded_inputs(spec.hidden_size) != spec.hidden_size
    nodes = sum(_layer_nodes(spec, level, layer) for layer in spec.layers)
    nodes += _position_nodes(spec, level) if spec.causal else 0
    nodes += MASK_NODES if spec.causal else TEXT_MASK_NODES
    if not spec.causal:
        nodes += sum(_mutual_nodes(spec, layer) for layer in spec.layers)
        nodes += 0 if spec.sliding_window_tokens is None else WINDOW_NODES
    nodes += 1 if spec.scaled_embedding or spec.embedding_multiplier != 1 else 0
    nodes += 2 if padded else 1
    return nodes + _norm_nodes(spec) + _vector_nodes(spec, level)


def _mutual_nodes(spec: RotaryEncoderSpec, layer: Layer) -> int:
    """Nodes before attention in both directions that a decoder's does inside: see the sum above."""
    turned = spec.turned_apart and layer.rotary
    nodes = 1 if spec.qk_norm == "none" and not turned else 0
    nodes += 2 if layer.rotary and not turned else 0
    return nodes + (0 if layer.num_heads == layer.num_kv_heads else SHARED_KEY_NODES)


@built_operator_calls.register
def _decoder_calls(spec: ModelSpec, level: QuantLevel) -> int:
    """Nodes of a built decoder that run in every pass.

        6 mask + tables · (1 or 2) [+ 1 scaled] [+ 6 learned positions] + norms and sums + head
        + layers · (qkv, attention, out, [gate,] up, activation [, product], down)

    A matrix takes a second node where a float one adds a bias; query and key norms 7 per head, 3 of
    full width; a table a second one where its padded rows are cut; the head 3 nodes in float, 2 in
    blocks, one more where float16 logits are cast, 3 where they are capped. Left out: constants and
    the rotary tables, which ONNX Runtime folds when a session loads, and the fusions it makes then.
    Source: harness.builder.graph.decoder, whose nodes a test counts.
    """
    table = level.table.fitted(spec.hidden_size)
    padded = table.form is Form.BLOCK and table.padded_inputs(spec.hidden_size) != spec.hidden_size
    learned = spec.positions == "learned"
    around = (2 if padded else 1) * (2 if learned else 1) + (POSITION_NODES if learned else 0)
    around += 1 if spec.scaled_embedding or spec.embedding_multiplier != 1 else 0
    around += _position_nodes(spec, level)
    around += _side_table_nodes(spec, level)
    around += 3 if table.form is Form.FLOAT else 2
    around += 1 if level.float_dtype == "float16" else 0
    around += CAP_NODES if spec.logit_softcap is not None else 0
    layers = sum(_layer_nodes(spec, level, layer) for layer in spec.layers)
    return MASK_NODES + around + _norm_nodes(spec) + layers


def _side_table_nodes(spec: ModelSpec, level: QuantLevel) -> int:
    """Nodes that look up a second embedding, and make of the first one what is added to it."""
    wide = spec.num_layers * spec.per_layer_width
    table = level.table.fitted(wide)
    if not wide:
        return 0
    padded = table.form is Form.BLOCK and table.padded_inputs(wide) != wide
    return SIDE_TABLE_NODES + (1 if padded else 0)


def _position_nodes(spec: ModelSpec, level: QuantLevel) -> int:
    """Nodes by which attention is told positions outside its own node, once for all layers."""
    if not spec.turned_apart and not _queries_grow(spec):
        return 0
    grown = GROWTH_NODES + (1 if level.float_dtype == "float16" else 0)
    return POSITION_NODES - 1 + (grown if _queries_grow(spec) else 0)


def _queries_grow(spec: ModelSpec) -> bool:
    """Whether queries are multiplied by what their position says."""
    return spec.rope_scaling is not None and spec.rope_scaling.query_growth > 0


def _layer_nodes(spec: ModelSpec, level: QuantLevel, layer: Layer) -> int:
    """Nodes of one layer without its norms and sums."""
    nodes = sum(_mixer_nodes(spec, level, layer, mixer) for mixer in layer.mixers)
    if spec.per_layer_width:
        nodes += SIDE_NODES - 1 + ACTIVATION_NODES[spec.activation]
    nodes += 1 if spec.layer_scalars else 0
    if layer.feed_forward is FeedForward.MLP:
        nodes += 2 + (2 if spec.mlp_gated else 0) + ACTIVATION_NODES[spec.activation]
        if level.body.form is Form.FLOAT:
            nodes += 2 if spec.all_bias else 0
            nodes += (3 if spec.mlp_gated else 2) if spec.block_bias else 0
    elif spec.experts is not None and layer.feed_forward is FeedForward.EXPERTS:
        nodes += MIXTURE_NODES
        if spec.experts.shared_intermediate_size:
            nodes += SHARED_NODES - (0 if spec.experts.shared_gate else SHARED_GATE_NODES)
        # QMoE does not scale weights that are given to it: a softmax more
        if not spec.experts.normalised and not spec.experts.sigmoid:
            nodes += 0 if level.body.form is Form.FLOAT else 1
        if spec.experts.sigmoid:
            nodes += SIGMOID_NODES + (1 if spec.experts.choice_bias else 0)
            nodes += 0 if spec.experts.normalised else TOTAL_NODES
        nodes += 1 if spec.experts.bias and level.body.form is Form.FLOAT else 0
    return nodes


def _attention_nodes(spec: ModelSpec, level: QuantLevel, layer: Layer) -> int:
    """Nodes of attention between its matrices, these included."""
    nodes = 3 + QK_NORM_NODES[spec.qk_norm]  # qkv, attention, out
    by_head = spec.attention_gate_by_head
    nodes += (HEAD_GATE_NODES if by_head else GATE_NODES) if spec.attention_gate else 0
    turned = spec.turned_apart and layer.rotary
    nodes += (2 if layer.owns_cache else 1) if turned else 0
    nodes += 1 if _queries_grow(spec) else 0
    if spec.qk_norm == "none" and layer.owns_cache and (turned or _queries_grow(spec)):
        nodes += 1  # the split before them
    if not layer.owns_cache:  # neither a split nor what is done to keys
        nodes -= 1 + (QK_NORM_NODES[spec.qk_norm] - 1) // 2
    elif spec.value_norm:
        nodes += VALUE_NORM_NODES
    if spec.shared_cache_layers:  # else nobody reads another's
        nodes += any(one.cache_layer == layer.number != one.number for one in spec.layers)
    if level.body.form is Form.FLOAT:
        nodes += (1 if spec.qkv_bias else 0) + (1 if spec.all_bias or spec.out_bias else 0)
    return nodes


def _mixer_nodes(spec: ModelSpec, level: QuantLevel, layer: Layer, mixer: Mixer) -> int:
    """Nodes of one mixer, its matrices included."""
    if mixer is Mixer.ATTENTION:
        return _attention_nodes(spec, level, layer)
    nodes, casts = STATE_NODES[mixer]
    if mixer is Mixer.DELTA and spec.delta_rule is not None:
        nodes += 0 if spec.delta_rule.rate_scale == 1 else 1
    if mixer is Mixer.MAMBA and spec.mamba is not None and spec.mamba.gated_norm:
        nodes += 1 if spec.mamba.groups == 1 else 4
    parts = tuple(MIXERS[mixer].parts(spec, layer))
    matrices = len({part.stored or part.name for part in parts if part.is_matrix})
    if level.body.form is Form.FLOAT:
        matrices += len({part.stored or part.name for part in parts if part.has_bias})
    return nodes + matrices + (casts if level.float_dtype == "float16" else 0)


def _norm_nodes(spec: ModelSpec) -> int:
    """Nodes of all norms, and of the sums along the residual stream.

    One of each between two layers' parts; an RMS norm takes one addend in as one node.
    """
    merges = spec.norm == "rmsnorm"
    nodes = waiting = 0
    for layer in spec.layers:
        order = spec.norms_of(layer)
        parts = [(len(layer.mixers), order.before_attention, order.after_attention)]
        if order.parallel:
            parts = [(len(layer.mixers) + 1, order.before_attention, "")]
        elif layer.feed_forward is not FeedForward.NONE:
            parts.append((1, order.before_block, order.after_block))
        for addends, before, after in parts:
            if addends:
                nodes += _read_nodes(waiting, bool(before), merges) + (addends if after else 0)
                waiting = addends
        if spec.per_layer_width:
            nodes, waiting = nodes + _read_nodes(waiting, False, merges), 1
        if spec.layer_scalars:
            nodes, waiting = nodes + _read_nodes(waiting, False, merges), 0
    return nodes + _read_nodes(waiting, True, merges)


def _read_nodes(waiting: int, has_norm: bool, merges: bool) -> int:
    """Nodes that read the stream with so many addends waiting."""
    if not has_norm:
        return 1 if waiting else 0
    return 2 if waiting and not (merges and waiting == 1) else 1
