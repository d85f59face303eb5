"""The structure estimate: what one pass of a model has to do, over what a machine can do.

    time = Σ max(read bytes / bandwidth, flop / rate of the kernel) + Σ calls · time of a call

With constants of a data sheet it is the `structure` estimate, with constants measured on this
machine the `calibrated` one; the function is the same.

flop: a multiplication and an addition are two. Counted are the matrices and the attention;
norms, activations and rotary positions are left out (under 1 % of the flop of a real model).
Operator calls are the nodes of the built graph, counted before anything is built.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import singledispatch

from harness.builder.quantize.levels import CacheLevel, Form, QuantLevel, own_cache
from harness.estimator.calibration.constants import (
    ATTENTION_CALL,
    CHOICE,
    ELEMENTWISE,
    OPERATOR_CALL,
    SESSION_CALL,
    attention_name,
    call_name,
    is_attention,
    kernel_name,
)
from harness.estimator.memory import ORT_CPU, Runtime, group_format, held_copy_bytes, row_bytes
from harness.models.specs.blocks import MIXERS
from harness.models.specs.layers import FeedForward, Layer, Mixer
from harness.models.specs.model import (
    NORM_ORDERS,
    AnySpec,
    EncoderSpec,
    ModelSpec,
    RotaryEncoderSpec,
    TextSpec,
)
from harness.models.specs.structure import (
    STATE_BYTES,
    Attention,
    ModelStructure,
    ParameterGroup,
    Recurrence,
    Role,
    Stage,
)
from harness.results.calibration import Constants

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
    table = level.table
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
    table = level.table
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
    nodes = 1 if spec.qk_norm == "none" else 0
    nodes += 2 if layer.rotary and not spec.qk_norm_after_rotary else 0
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
    table = level.table
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
    wide, table = spec.num_layers * spec.per_layer_width, level.table
    if not wide:
        return 0
    padded = table.form is Form.BLOCK and table.padded_inputs(wide) != wide
    return SIDE_TABLE_NODES + (1 if padded else 0)


def _position_nodes(spec: ModelSpec, level: QuantLevel) -> int:
    """Nodes by which attention is told positions outside its own node, once for all layers."""
    if not spec.qk_norm_after_rotary and not _queries_grow(spec):
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
        nodes += 2 if spec.all_bias and level.body.form is Form.FLOAT else 0
    elif spec.experts is not None and layer.feed_forward is FeedForward.EXPERTS:
        nodes += MIXTURE_NODES + (SHARED_NODES if spec.experts.shared_gate else 0)
        # QMoE does not scale weights that are given to it: a softmax more
        nodes += 0 if spec.experts.normalised or level.body.form is Form.FLOAT else 1
        if spec.experts.sigmoid:
            nodes += SIGMOID_NODES + (1 if spec.experts.choice_bias else 0)
        nodes += 1 if spec.experts.bias and level.body.form is Form.FLOAT else 0
    return nodes


def _attention_nodes(spec: ModelSpec, level: QuantLevel, layer: Layer) -> int:
    """Nodes of attention between its matrices, these included."""
    nodes = 3 + QK_NORM_NODES[spec.qk_norm]  # qkv, attention, out
    nodes += GATE_NODES if spec.attention_gate else 0
    nodes += 2 if spec.qk_norm_after_rotary else 0
    if _queries_grow(spec):
        nodes += 1 + (1 if spec.qk_norm == "none" else 0)  # the product, and the split before it
    if not layer.owns_cache:  # neither a split nor what is done to keys
        nodes -= 1 + (QK_NORM_NODES[spec.qk_norm] - 1) // 2
    elif spec.value_norm:
        nodes += VALUE_NORM_NODES
    nodes += any(one.cache_layer == layer.number != one.number for one in spec.layers)
    if level.body.form is Form.FLOAT:
        nodes += (1 if spec.qkv_bias else 0) + (1 if spec.all_bias or spec.out_bias else 0)
    return nodes


def _mixer_nodes(spec: ModelSpec, level: QuantLevel, layer: Layer, mixer: Mixer) -> int:
    """Nodes of one mixer, its matrices included."""
    if mixer is Mixer.ATTENTION:
        return _attention_nodes(spec, level, layer)
    nodes, casts = STATE_NODES[mixer]
    if mixer is Mixer.MAMBA and spec.mamba is not None and spec.mamba.gated_norm:
        nodes += 1 if spec.mamba.groups == 1 else 4
    parts = MIXERS[mixer].parts(spec, layer)
    matrices = len({part.stored or part.name for part in parts if part.is_matrix})
    return nodes + matrices + (casts if level.float_dtype == "float16" else 0)


def _norm_nodes(spec: ModelSpec) -> int:
    """Nodes of all norms, and of the sums along the residual stream.

    One of each between two layers' parts; an RMS norm takes one addend in as one node.
    """
    order, merges = NORM_ORDERS[spec.norm_order], spec.norm == "rmsnorm"
    nodes = waiting = 0
    for layer in spec.layers:
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


_PARTS = {Role.BODY: "body", Role.POOLED: "dense"}  # other matrices are the head's
STREAM = "stream"  # read, without a matrix kernel
MATRIX_STREAM = "matrix stream"  # read or written by one
LOGIT_BYTES = 4  # logits leave the graph as float32
# Arrays that the operators between the matrices of a layer read or write. Hidden-wide, by where the
# norms stand: a norm over a sum 4, a norm alone 2, a sum 3, one of three addends 4; of a built
# encoder split qkv (6), two sums (6) and two norms (4). Block-wide, by the activation and whether
# there is a gate to multiply with: sigmoid and two products 8, GELU 2 and a product 3.
HIDDEN_PASSES = {"before": 8, "after": 10, "around": 12, "parallel": 6}
LAYER_NORM_PASSES = {"before": 10, "after": 10, "around": 14, "parallel": 6}
BLOCK_PASSES = {
    ("silu", True): 8,
    ("silu", False): 5,
    ("gelu", True): 5,
    ("gelu", False): 2,
    ("gelu_tanh", True): 5,
    ("gelu_tanh", False): 2,
    ("relu2", True): 7,
    ("relu2", False): 5,
}
PASSES = {"bert": (16, 2)}
OTHER_PASSES = (8, 8)


@dataclass(frozen=True, slots=True)
class Work:
    """One term of a pass.

    Attributes:
        name: for people.
        kernel: whose rate bounds it: `shapes.kernel_name`, attention_name, ELEMENTWISE, CHOICE,
            STREAM or MATRIX_STREAM; of fixed costs the name of the time, see
            harness.estimator.calibration.
        rows: tokens that go through it at once, over all sequences.
        read_bytes: from memory; scales, zero points and block sums included.
        set_bytes: the working set behind them, where it is not what is read; 0: it is.
        flop: that the kernel does, masked positions included where it does not skip them.
        useful_flop: without masked positions.
        calls: how often a fixed time is spent.
    """

    name: str
    kernel: str
    rows: int
    read_bytes: float = 0.0
    flop: float = 0.0
    useful_flop: float = 0.0
    calls: float = 0.0
    set_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Pass:
    """The shape of one pass.

    Attributes:
        tokens: new ones of each sequence.
        depth_tokens: already in the cache.
        batch: sequences.
        stage: of the model.
        encoder_tokens: that cross attention sees.
        cache: how keys and values are stored; None: as the float type of the level.
    """

    tokens: int
    depth_tokens: int = 0
    batch: int = 1
    stage: Stage = Stage.DECODER
    encoder_tokens: int = 0
    cache: CacheLevel | None = None

    @property
    def rows(self) -> int:
        """New tokens of all sequences."""
        return self.tokens * self.batch


def pass_work(
    model: ModelStructure, level: QuantLevel, runtime: Runtime, shape: Pass
) -> tuple[Work, ...]:
    """Return every term of one pass; only the last token of each sequence meets the head.

    Body: every matrix once, of a mixture only the experts that some token uses. Table: one row
    per token. Tied table: rows, and all of it once as the head. Attention: see attention_work.
    """
    groups = [group for group in model.groups if group.stage is shape.stage]
    terms = [*_matrices(groups, level, runtime, shape)]
    terms.append(_look_ups(model, level, shape))
    terms += [
        attention_work(attention, level, runtime, shape)
        for attention in model.attention
        if attention.stage is shape.stage
    ]
    terms += [_recurrence(one, shape) for one in model.recurrences]
    terms += _between_matrices(model, groups, level, shape)
    terms.append(_choice(model, shape))
    terms += _calls(model, groups, level, shape)
    return tuple(term for term in terms if term.read_bytes or term.flop or term.calls)


def attention_work(attention: Attention, level: QuantLevel, runtime: Runtime, shape: Pass) -> Work:
    """Return the work of all layers that attend alike.

        useful flop = 4 · layers · heads · d · batch · pairs
        pairs = T·D + T·(T + 1) / 2 causal, T·(D + T) else; with a window w: Σ min(w, position)
        read bytes = 2 · layers · n · d · batch · (D + T) · bits of a cached value / 8

    T new tokens on D cached ones; n is the query heads where the runtime reads the cache once per
    query head, the key heads where it does not. ONNX Runtime's GroupQueryAttention multiplies all
    T·(D + T) pairs and masks afterwards.
    Source: facts measured with onnxruntime 1.31.1: the key-head count is too low by 3 to 7 times.
    """
    tokens, depth = shape.tokens, shape.depth_tokens
    cache = shape.cache or own_cache(level)
    seen = shape.encoder_tokens if attention.to_encoder else depth + tokens
    pairs = _pairs(attention, tokens, depth, seen)
    done = tokens * seen if runtime.cache_per_query_head else pairs
    heads = attention.heads if runtime.cache_per_query_head else attention.kv_heads
    window = None if runtime.cache_per_query_head else attention.window_tokens
    read = seen if window is None else min(seen, window + tokens - 1)
    width = attention.layers * attention.head_dim * shape.batch
    label = "cross attention" if attention.to_encoder else "attention"
    return Work(
        name=label if attention.window_tokens is None else f"{label}, window",
        kernel=attention_name(cache),
        rows=tokens,
        read_bytes=2.0 * width * heads * read * cache.bits / 8,
        flop=4.0 * width * attention.heads * done,
        useful_flop=4.0 * width * attention.heads * pairs,
        set_bytes=2.0 * width * attention.kv_heads * read * cache.bits / 8,
    )


def _recurrence(recurrence: Recurrence, shape: Pass) -> Work:
    """Return what the states of all layers of one kind move.

        sequential: 2 · layers · state · batch · tokens;  else 2 · layers · state · batch

    Each token reads and writes the whole of a recurrent state, one token after the other, so that
    the cost of a token in a prompt is that of a token alone. A convolution's few columns move once.
    """
    passes = shape.rows if recurrence.sequential else shape.batch
    moved = 2.0 * STATE_BYTES * recurrence.layers * recurrence.state_values * passes
    return Work(f"states, {recurrence.name}", STREAM, shape.rows, moved)


def _pairs(attention: Attention, tokens: int, depth: int, seen: int) -> int:
    """Return how many (query, key) pairs are not masked, of one head of one sequence."""
    window = attention.window_tokens
    if attention.to_encoder:
        return tokens * seen
    if not attention.causal:
        return tokens * (seen if window is None else min(seen, window))
    if window is None or depth + tokens <= window:
        return tokens * depth + tokens * (tokens + 1) // 2
    growing = max(window - depth, 0)  # tokens that still see all before them
    return growing * depth + growing * (growing + 1) // 2 + (tokens - growing) * window


def _matrices(
    groups: list[ParameterGroup], level: QuantLevel, runtime: Runtime, shape: Pass
) -> Iterator[Work]:
    """Yield one term for the body and one for the head, each with its kernel."""
    parts: dict[tuple[str, str, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for group in groups:
        form = group_format(group, level)
        if form is None or group.role is Role.TABLE:
            continue
        name = _PARTS.get(group.role, "head")
        rows = shape.rows if group.role is Role.BODY else shape.batch
        part = parts[name, kernel_name(form), rows]
        copies = group.touched_copies(rows)
        part[0] += held_copy_bytes(group, level, runtime) * copies
        part[1] += 2.0 * group.outputs * group.inputs * group.active_copies * rows
    for (name, kernel, rows), (read_bytes, flop) in parts.items():
        yield Work(name, kernel, rows, read_bytes, flop, flop)


def _look_ups(model: ModelStructure, level: QuantLevel, shape: Pass) -> Work:
    """Return the rows read from tables, and the small vectors."""
    read_bytes = 0.0
    for group in model.groups:
        # T5 reads its one embedding in both stages.
        if group.role is Role.TIED or (group.role is Role.TABLE and group.stage is shape.stage):
            read_bytes += row_bytes(group, level) * shape.rows
        elif group.role is Role.VECTOR and group.stage is shape.stage:
            read_bytes += group.parameters * level.float_bytes
    return Work("look-ups and vectors", STREAM, shape.rows, read_bytes)


def _between_matrices(
    model: ModelStructure, groups: list[ParameterGroup], level: QuantLevel, shape: Pass
) -> Iterator[Work]:
    """Yield the activations that matrices read and write, and norms and products between them.

    Where a matrix kernel was timed, its own inputs and outputs are part of its rate.
    """
    matrices = sum(
        (group.outputs + group.inputs) * group.active_copies
        for group in groups
        if group.role is Role.BODY
    )
    hidden_passes, block_passes = _passes(model)
    between = hidden_passes * model.hidden_size + block_passes * model.intermediate_size
    values = _layers(model, shape) * between
    for name, kernel, count in (
        ("matrix inputs and outputs", MATRIX_STREAM, matrices),
        ("norms and products", ELEMENTWISE, values),
    ):
        yield Work(name, kernel, shape.rows, float(count * shape.rows * level.float_bytes))


def _passes(model: ModelStructure) -> tuple[int, int]:
    """Return how many hidden-wide and block-wide arrays a layer moves between its matrices."""
    spec = model.spec
    if not isinstance(spec, ModelSpec):
        return PASSES.get(model.kind, OTHER_PASSES)
    by_order = HIDDEN_PASSES if spec.norm == "rmsnorm" else LAYER_NORM_PASSES
    return by_order[spec.norm_order], BLOCK_PASSES[spec.activation, spec.mlp_gated]


def _choice(model: ModelStructure, shape: Pass) -> Work:
    """Return the logits that are written, and read to choose the next token of each sequence."""
    logits = shape.batch * model.vocab_size * LOGIT_BYTES if shape.stage is Stage.DECODER else 0
    return Work("choice of a token", CHOICE, shape.batch, float(logits))


def _calls(
    model: ModelStructure, groups: list[ParameterGroup], level: QuantLevel, shape: Pass
) -> Iterator[Work]:
    """Yield the fixed costs: every operator, every attention on top of one, the run itself."""
    layers = _layers(model, shape)
    calls: dict[str, float] = defaultdict(float)
    for group in groups:
        form = group_format(group, level)
        if form is not None and group.role is not Role.TABLE:
            calls[kernel_name(form)] += _matrix_calls(model, group, layers)
    others = operator_calls(model, level, layers) - sum(calls.values())
    attentions = sum(a.layers for a in model.attention if a.stage is shape.stage)
    yield Work("operator calls", OPERATOR_CALL, shape.rows, calls=others)
    for kernel, count in calls.items():
        yield Work("matrix calls", call_name(kernel), shape.rows, calls=count)
    yield Work("attention calls", ATTENTION_CALL, shape.rows, calls=attentions)
    yield Work("session call", SESSION_CALL, shape.rows, calls=1.0)


def _matrix_calls(model: ModelStructure, group: ParameterGroup, layers: int) -> float:
    """Return how often the matrices of a group are multiplied in one pass.

    All experts of a layer in one grouped call; in what is built here that call is half a node: one
    multiplies gate, up and down.
    """
    if group.active is None:
        return float(group.copies)
    alike = sum(other.copies for other in model.groups if other.name == group.name)
    return layers * group.copies / alike * (1.0 if model.spec is None else 0.5)


def _layers(model: ModelStructure, shape: Pass) -> int:
    """Return the layers of a stage; those of LFM2 that do not attend count too."""
    if len({attention.stage for attention in model.attention}) == 1:
        return model.num_layers
    return sum(a.layers for a in model.attention if a.stage is shape.stage and not a.to_encoder)


# A timed kernel is bound by memory where reading alone takes at least this share of its time.
NEAR_MEMORY = 0.7


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of an estimated time.

    Attributes:
        work: what is done.
        seconds: how long it takes.
        memory_s: its bytes over the bandwidth.
        compute_s: its flop over the kernel's rate; None where no rate is known.
        bound: which of them decides: `memory`, `compute` or `overhead`.
    """

    work: Work
    seconds: float
    memory_s: float
    compute_s: float | None
    bound: str


@dataclass(frozen=True, slots=True)
class Breakdown:
    """An estimated time and the terms it is the sum of.

    Attributes:
        name: of the pass.
        terms: in the order of the pass.
        basis: of the constants.
        compute_known: whether every term that computes had a rate to be bounded by.
    """

    name: str
    terms: tuple[Term, ...]
    basis: str
    compute_known: bool

    @property
    def seconds(self) -> float:
        """The sum of the terms."""
        return sum(term.seconds for term in self.terms)

    @property
    def dominating(self) -> Term:
        """The largest term."""
        return max(self.terms, key=lambda term: term.seconds)

    @property
    def bound(self) -> str:
        """What most of the time goes to: `memory`, `compute` or `overhead`."""
        kinds = ("memory", "compute", "overhead")
        return max(kinds, key=lambda kind: sum(t.seconds for t in self.terms if t.bound == kind))

    @property
    def read_bytes(self) -> float:
        """Bytes read from memory."""
        return sum(term.work.read_bytes for term in self.terms)

    @property
    def flop(self) -> float:
        """Floating-point operations without masked positions."""
        return sum(term.work.useful_flop for term in self.terms)


def decode_step(
    model: ModelStructure,
    level: QuantLevel,
    constants: Constants,
    *,
    depth_tokens: int = 0,
    batch: int = 1,
    runtime: Runtime = ORT_CPU,
    cache: CacheLevel | None = None,
) -> Breakdown:
    """Estimate one decode step: one new token of each sequence on `depth_tokens` cached ones.

    Decode tok/s is `batch / seconds`. Choosing the token and the caller's own time are left out.
    The cache is of the level's float type where none is given.
    """
    frames = model.encoder_tokens or 0
    shape = Pass(1, depth_tokens, batch, encoder_tokens=frames, cache=cache)
    return timed("decode step", pass_work(model, level, runtime, shape), constants)


def prefill(
    model: ModelStructure,
    level: QuantLevel,
    constants: Constants,
    *,
    prompt_tokens: int,
    depth_tokens: int = 0,
    batch: int = 1,
    runtime: Runtime = ORT_CPU,
    cache: CacheLevel | None = None,
) -> Breakdown:
    """Estimate the pass over a prompt up to the logits of its last token.

    Prefill tok/s is `batch · prompt_tokens / seconds`; TTFT is these seconds and an argmax. An
    encoder-decoder encodes the prompt (Whisper: its fixed frames) and decodes one start token; an
    encoder only encodes.
    """
    encoding = any(attention.stage is Stage.ENCODER for attention in model.attention)
    if not encoding:
        shape = Pass(prompt_tokens, depth_tokens, batch, cache=cache)
        return timed("prefill", pass_work(model, level, runtime, shape), constants)
    frames = model.encoder_tokens or prompt_tokens
    work = pass_work(model, level, runtime, Pass(frames, 0, batch, Stage.ENCODER))
    if model.decodes:
        work += pass_work(model, level, runtime, Pass(1, 0, batch, encoder_tokens=frames))
    return timed("encode", work, constants)


def timed(name: str, work: Iterable[Work], constants: Constants) -> Breakdown:
    """Give each term of a pass its time.

    The working set of a rate is all that the pass reads: nothing stays in a cache between two
    readings of a weight but what fits beside all the others.
    """
    work = tuple(item for item in work if not _is_left_out(item, constants))
    working_set_bytes = max(1.0, sum(item.read_bytes for item in work if item.flop))
    terms = tuple(_term(item, constants, working_set_bytes) for item in work)
    known = all(term.compute_s is not None for term in terms if term.work.flop)
    return Breakdown(name, terms, constants.basis, known)


def _term(work: Work, constants: Constants, working_set_bytes: float) -> Term:
    """Bound one term by memory, compute or the calls it makes."""
    if work.calls:
        call_s = _call_s(work.kernel, constants, working_set_bytes)
        return Term(work, work.calls * call_s, 0.0, None, "overhead")
    if not work.flop:
        return _moved(work, constants)
    memory_s = work.read_bytes / constants.bytes_per_s(working_set_bytes)
    size_bytes = work.set_bytes or working_set_bytes
    rate = constants.rate_per_s(work.kernel, work.rows, size_bytes)
    if rate is None:
        return Term(work, memory_s, memory_s, None, "memory")
    compute_s = work.flop / rate
    bound = "compute" if compute_s > memory_s else "memory"
    if constants.measured and (work.rows == 1 or is_attention(work.kernel)):
        # The rate was taken while the kernel read as much: reading is inside it.
        bound = "memory" if memory_s > NEAR_MEMORY * compute_s else "compute"
        return Term(work, compute_s, memory_s, compute_s, bound)
    return Term(work, max(memory_s, compute_s), memory_s, compute_s, bound)


def _moved(work: Work, constants: Constants) -> Term:
    """Time bytes that are only moved: at a rate of their own where one was measured."""
    rate = constants.rate_per_s(work.kernel, work.rows, work.read_bytes)
    seconds = work.read_bytes / (rate or constants.bytes_per_s(work.read_bytes))
    return Term(work, seconds, seconds, None, "memory")


def _is_left_out(work: Work, constants: Constants) -> bool:
    """Whether a term is a fixed cost that is not known, or is inside the rate of another."""
    if work.kernel in (ATTENTION_CALL, SESSION_CALL):
        return work.kernel not in constants.times and work.kernel not in constants.rates
    return work.kernel == MATRIX_STREAM and constants.measured


def _call_s(name: str, constants: Constants, working_set_bytes: float) -> float:
    """Return the time of one call; of a kernel without one that of any operator."""
    calls_per_s = constants.rate_per_s(name, 1, working_set_bytes)
    if calls_per_s is not None:
        return 1.0 / calls_per_s
    time = constants.times.get(name)
    return (constants.operator_s or 0.0) if time is None else time.seconds
