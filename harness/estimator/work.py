"""The structure estimate: what one pass of a model has to do, over what a machine can do.

    time = Σ max(read bytes / bandwidth, flop / rate of the kernel) + Σ calls · time of a call

With constants of a data sheet it is the `structure` estimate, with constants measured on this
machine the `calibrated` one; the function is the same.

flop: a multiplication and an addition are two. Counted are the matrices and the attention;
norms, activations and rotary positions are left out (under 1 % of the flop of a real model).
Operator calls are counted in harness.estimator.nodes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.builder.quantize.levels import CacheLevel, QuantLevel, own_cache
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
from harness.estimator.nodes import operator_calls
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
from harness.results.calibration import Constants

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

    T new tokens on D cached ones, at most a window of them where the cache keeps no more; n is the
    query heads where the runtime reads the cache once per query head, the key heads where it does
    not. ONNX Runtime's GroupQueryAttention multiplies all
    T·(D + T) pairs and masks afterwards.
    Source: facts measured with onnxruntime 1.31.1: the key-head count is too low by 3 to 7 times.
    """
    tokens, depth = shape.tokens, shape.depth_tokens
    cache = shape.cache or own_cache(level)
    kept = min(depth, attention.cache_window_tokens or depth)
    seen = shape.encoder_tokens if attention.to_encoder else kept + tokens
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


def in_turn(passes: Sequence[Breakdown]) -> Breakdown:
    """Return one breakdown of passes that run one after the other: terms of one name are added."""
    first, *others = passes
    if not others:
        return first
    terms: dict[tuple[str, str], list[Term]] = defaultdict(list)
    for one in passes:
        for term in one.terms:
            terms[term.work.name, term.work.kernel].append(term)
    return replace(first, terms=tuple(_added(alike) for alike in terms.values()))


def _added(terms: Sequence[Term]) -> Term:
    """Return the sum of terms of one name; what bounds it is what bounds most of its time."""
    longest = max(terms, key=lambda term: term.seconds)
    works = [term.work for term in terms]
    work = replace(
        longest.work,
        read_bytes=sum(work.read_bytes for work in works),
        flop=sum(work.flop for work in works),
        useful_flop=sum(work.useful_flop for work in works),
        calls=sum(work.calls for work in works),
    )
    rates = [term.compute_s for term in terms if term.compute_s is not None]
    return replace(
        longest,
        work=work,
        seconds=sum(term.seconds for term in terms),
        memory_s=sum(term.memory_s for term in terms),
        compute_s=sum(rates) if rates else None,
    )


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
