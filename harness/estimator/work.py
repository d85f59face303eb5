"""The structure estimate: what one pass of a model has to do, over what a machine can do.

    time = Σ max(read bytes / bandwidth, flop / rate of the kernel) + Σ calls · time of a call

With constants of a data sheet it is the `structure` estimate, with constants measured on this
machine the `calibrated` one; the function is the same.

flop: a multiplication and an addition are two. Counted are the matrices and the attention;
norms, activations and rotary positions are left out (under 1 % of the flop of a real model).
Operator calls are counted in harness.estimator.nodes.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.builder.quantize.levels import CacheLevel, Form, MatrixFormat, QuantLevel, own_cache
from harness.estimator.calibration.constants import (
    ATTENTION_CALL,
    CHOICE,
    ELEMENTWISE,
    OPERATOR_CALL,
    SESSION_CALL,
    call_name,
    kernel_name,
)
from harness.estimator.calibration.operators import (
    experts_name,
    scored_name,
    stand_in,
)
from harness.estimator.memory import ORT_CPU, Runtime, group_format, held_copy_bytes, row_bytes
from harness.estimator.nodes import operator_calls
from harness.models.specs.layers import cache_rows
from harness.models.specs.model import ModelSpec
from harness.models.specs.structure import (
    STATE_BYTES,
    Attention,
    ModelStructure,
    ParameterGroup,
    Recurrence,
    Role,
    Stage,
)

EXPERTS = "experts"
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
# Columns of a matrix of blocks that are multiplied at once, and how much longer those beyond take,
# by the bits of a weight.
# Source: benchmarks/prefill_shapes.py, onnxruntime 1.32.0, AVX-512: int4 of 576 inputs multiplies
# at 0.82 of the rate of 512, 960 at 0.93; int8-block of 576 at 0.95.
TAIL_WIDTH = 128
TAIL_SLOWER = {4: 3.0, 8: 1.5}
# A window costs a pass over all scores, and of a prompt as long again for each that it hides.
# Source: benchmarks/attention_constants.py, onnxruntime 1.32.0: a prompt of 512 takes 1.12 with a
# window of 512, 1.24 with one of 256 and 1.46 with one of 64; a step 1.07.
WINDOW_SHARE, HIDDEN_SHARE = 0.1, 0.9
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
        sequential: its tokens are taken one after the other, however many there are.
        flop: that the kernel does, masked positions included where it does not skip them.
        useful_flop: without masked positions.
        calls: how often a fixed time is spent.
        values: that its matrices take in, over all tokens.
        past_flop: of `flop`, of a prompt's attention to what was cached before it.
        tail_flop: of a prompt, that the kernel would have done meanwhile in the time that the last
            columns of its matrices take longer than others.
    """

    name: str
    kernel: str
    rows: int
    read_bytes: float = 0.0
    flop: float = 0.0
    useful_flop: float = 0.0
    calls: float = 0.0
    set_bytes: float = 0.0
    sequential: bool = False
    values: float = 0.0
    past_flop: float = 0.0
    tail_flop: float = 0.0


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


def needed_operators(
    model: ModelStructure, level: QuantLevel, cache: CacheLevel | None = None
) -> tuple[str, ...]:
    """Return the rates that a model needs and most others do not, in the order of its terms."""
    if not model.decodes:
        return ()
    terms = pass_work(model, level, ORT_CPU, Pass(1, cache=cache))
    kernels = dict.fromkeys(term.kernel for term in terms if not term.calls)
    return tuple(name for name in kernels if stand_in(name) != name)


def attention_work(attention: Attention, level: QuantLevel, runtime: Runtime, shape: Pass) -> Work:
    """Return the work of all layers that attend alike.

        useful flop = 4 · layers · heads · d · batch · pairs
        pairs = T·D + T·(T + 1) / 2 causal, T·(D + T) else; with a window w: Σ min(w, position)
        read bytes = 2 · layers · n · d · batch · (D + T) · bits of a cached value / 8

    T new tokens on D cached ones; n is the query heads where the runtime reads the cache once per
    query head, the key heads where it does not. ONNX Runtime multiplies all T·(D + T) pairs and
    masks afterwards, those outside a window too, in one direction and in both: a window saves
    nothing but where the cache itself holds little more than it. A step then reads what such a
    cache holds on average, and moves it to its beginning each time that it is full. Once per query
    head it is read from the processor's cache, and from memory once per key head (`set_bytes`):
    see harness.estimator.timing.
    Source: benchmarks/attention_constants.py, onnxruntime 1.31.1 and 1.32.0.
    """
    tokens, depth = shape.tokens, shape.depth_tokens
    cache = shape.cache or own_cache(level)
    kept = min(depth, attention.cache_window_tokens or depth)
    seen = shape.encoder_tokens if attention.to_encoder else kept + tokens
    is_step = tokens == 1 and runtime.cache_per_query_head and not attention.to_encoder
    held = _held_rows(attention, depth + tokens) if is_step else seen
    pairs = _pairs(attention, tokens, depth, seen)
    done = float(pairs)
    if runtime.cache_per_query_head:
        done = tokens * held + _window_pairs(attention, tokens, depth, seen, held)
    heads = attention.heads if runtime.cache_per_query_head else attention.kv_heads
    window = None if runtime.cache_per_query_head else attention.window_tokens
    read = held if window is None else min(seen, window + tokens - 1)
    width = attention.layers * attention.head_dim * shape.batch
    past = tokens * (held - tokens) if tokens > 1 and not attention.to_encoder else 0
    label = "cross attention" if attention.to_encoder else "attention"
    return Work(
        name=label if attention.window_tokens is None else f"{label}, window",
        kernel=scored_name(cache, attention.scores),
        rows=tokens,
        read_bytes=2.0 * width * heads * read * cache.bits / 8,
        flop=4.0 * width * attention.heads * done,
        useful_flop=4.0 * width * attention.heads * pairs,
        past_flop=4.0 * width * attention.heads * past,
        set_bytes=2.0 * width * attention.kv_heads * read * cache.bits / 8,
    )


def _window_pairs(attention: Attention, tokens: int, depth: int, seen: int, held: float) -> float:
    """Return pairs that take as long as what a causal window costs ONNX Runtime on top.

    WINDOW_SHARE of all, and of a prompt HIDDEN_SHARE of those that it hides.
    """
    if attention.window_tokens is None or not attention.causal:
        return 0.0
    more = WINDOW_SHARE * tokens * held
    if tokens > 1:
        whole = replace(attention, window_tokens=None)
        hidden = _pairs(whole, tokens, depth, seen) - _pairs(attention, tokens, depth, seen)
        more += HIDDEN_SHARE * hidden
    return more


def _held_rows(attention: Attention, seen: int) -> float:
    """Return how many rows a step reads of a cache, moves of a full one to its beginning included.

    rows = W + (C - W) / 2,  and as many again every C - W + 1 steps;  C: rows of the cache
    """
    window = attention.cache_window_tokens
    rows = cache_rows(window, seen)
    if window is None or rows == seen:
        return seen
    return (window + (rows - window) / 2) * (1 + 1 / (rows - window + 1))


def _recurrence(recurrence: Recurrence, shape: Pass) -> Work:
    """Return the work of all layers that keep a state in the same way.

        flop = layers · flop of a token · batch · tokens
        read bytes = 2 · layers · state · batch [· tokens where sequential]

    Each token reads and writes the whole of a recurrent state, one token after the other, so that
    the cost of a token in a prompt does not fall with its length. A convolution's few columns move
    once. Where the operator's rate is not known, the bytes alone tell.
    """
    passes = shape.rows if recurrence.sequential else shape.batch
    in_turn = recurrence.sequential and shape.tokens > 1
    flop = float(recurrence.layers * recurrence.flop_per_token * shape.rows)
    return Work(
        name=f"{recurrence.name}, token by token" if in_turn else recurrence.name,
        kernel=recurrence.name,
        rows=shape.tokens,
        read_bytes=2.0 * STATE_BYTES * recurrence.layers * recurrence.state_values * passes,
        flop=flop,
        useful_flop=flop,
        sequential=in_turn,
    )


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
    """Yield terms of body, experts and head, each with its kernel.

    An expert meets only the tokens that chose it, which are the rows of its product:
    tokens · active / touched.
    """
    parts: dict[tuple[str, str, int], list[float]] = defaultdict(lambda: [0.0] * 4)
    for group in groups:
        form = group_format(group, level)
        if form is None or group.role is Role.TABLE:
            continue
        name, kernel = _PARTS.get(group.role, "head"), kernel_name(form)
        tokens = shape.rows if group.role is Role.BODY else shape.batch
        copies, rows = group.touched_copies(tokens), tokens
        if group.active is not None:
            name, kernel = EXPERTS, experts_name(kernel)
            rows = max(1, round(tokens * group.active / copies))
        part = parts[name, kernel, rows]
        part[0] += held_copy_bytes(group, level, runtime) * copies * group.repeats
        values = group.outputs * group.inputs * group.repeats
        part[1] += 2.0 * values * group.active_copies * tokens
        part[2] += group.inputs * group.repeats * group.active_copies * tokens
        part[3] += 2.0 * values * group.active_copies * tokens * _tail_share(form, group.inputs)
    for (name, kernel, rows), (read_bytes, flop, taken, tail) in parts.items():
        yield Work(name, kernel, rows, read_bytes, flop, flop, values=taken, tail_flop=tail)


def _tail_share(form: MatrixFormat, inputs: int) -> float:
    """Return how much longer a row of a prompt takes over matrices of blocks, for their last ones.

        (TAIL_SLOWER - 1) · inputs beyond a multiple of TAIL_WIDTH / inputs

    Their kernels multiply TAIL_WIDTH columns of the input at once, and what is left block by block:
    of 576 inputs the last 64. A step waits for its weights meanwhile.
    """
    if form.form is not Form.BLOCK:
        return 0.0
    width = form.padded_inputs(inputs)
    return (TAIL_SLOWER.get(form.bits, 1.0) - 1) * (width % TAIL_WIDTH) / width


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
        (group.outputs + group.inputs) * group.active_copies * group.repeats
        for group in groups
        if group.role is Role.BODY
    )
    hidden_passes, block_passes = _passes(model)
    between = hidden_passes * model.hidden_size + block_passes * model.intermediate_size
    values = _layers(model, shape) * between
    values += sum(one.layers * one.values_between for one in model.recurrences)
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
            kernel = kernel_name(form)
            name = kernel if group.active is None else experts_name(kernel)
            calls[name] += _matrix_calls(model, group, layers)
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
        return float(group.copies * group.repeats)
    alike = sum(other.copies for other in model.groups if other.name == group.name)
    return layers * group.copies / alike * (1.0 if model.spec is None else 0.5)


def _layers(model: ModelStructure, shape: Pass) -> int:
    """Return the layers of a stage; those of LFM2 that do not attend count too."""
    if len({attention.stage for attention in model.attention}) == 1:
        return model.num_layers
    return sum(a.layers for a in model.attention if a.stage is shape.stage and not a.to_encoder)
