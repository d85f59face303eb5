"""What a machine can do, as the estimates need it, and the shapes that a calibration measures.

One record serves both sources: constants measured here by micro-graphs, and the numbers of a data
sheet. Nothing in it comes from timing a whole model. The shapes of the micro-graphs, and the work
in each, are chosen once.
"""

from dataclasses import dataclass, replace

from harness.builder.quantize.levels import (
    CACHES,
    HALF,
    LEVELS,
    ROUNDING,
    CacheLevel,
    Form,
    MatrixFormat,
    QuantLevel,
    Variant,
    find_level,
)
from harness.core.errors import UsageError
from harness.core.units import MIB
from harness.results.enums import CacheType

# Rows among the rates beside the matrix kernels: attention in flop/s; what stands between matrices
# and the choice of a token in bytes/s.
ATTENTION, ELEMENTWISE, CHOICE = "attention", "elementwise", "choice of a token"
# Names of fixed times; each matrix kernel has one of its own, see call_name.
OPERATOR_CALL, SESSION_CALL, ATTENTION_CALL = "operator call", "session call", "attention call"


def attention_name(cache: CacheLevel) -> str:
    """Name of the rate of an attention over a cache: plain where it holds float32.

    Half floats are made whole ones for every query head: a step over them takes 2.5 times as long.
    Source: benchmarks/attention_constants.py.
    """
    return ATTENTION if cache.name == CacheType.FP32 else f"{ATTENTION}-{cache.name}"


def is_attention(kernel: str) -> bool:
    """Whether a rate is one of attention_name."""
    return kernel == ATTENTION or kernel.startswith(f"{ATTENTION}-")


def call_name(kernel: str) -> str:
    """Name of the fixed time of one call of a matrix kernel."""
    return f"{kernel} call"


STACK_LEVEL = "int4"  # of the matrices between which a layer's other operators are timed
STACK_CAPACITY = 16  # positions of the caches in the stack of attentions
BLOCK_SUM_BYTES = 4  # one float32 per block, kept beside the packed bytes (accuracy level 4)
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """Every size of one calibration.

    Attributes:
        rounds: fresh processes, each of which measures every constant once.
        warm_seconds: that one shape is run for before it is timed, at least.
        seconds: that one shape is timed for, at least.
        passes: of one shape, at least.
        bandwidth_bytes: working sets that are read.
        hidden: width of the matrix chains.
        wide: their other width.
        chain_bytes: of the long chains, as the kernel holds them: beyond most last-level caches.
        far_bytes: of chains beyond this machine's, where that is larger; 0: it is not.
        rows: tokens multiplied at once by the pair of matrices.
        small: both widths of small matrices, by which calls are told from weights.
        few: how many of them stay in a cache, even.
        stack_bytes: of the small matrices between which a layer's other operators stand.
        operator_width: of the vector that the operator chains run on.
        operator_layers: lengths of these chains.
        operator_rows: tokens that the middle one also runs on.
        cache_layers: attentions of one token in one run: with the greatest depth beyond the cache.
        attention_layers: attentions of a prompt in one run.
        heads: of queries.
        kv_heads: of keys and values.
        head_dim: width of one.
        depths: cached tokens at which one token attends, rising; the first is next to none and
            gives the fixed time of an attention.
        prompts: lengths of prompts that attend to themselves.
        logits: among which a token is chosen.
        state_rows: tokens that go through a recurrence or a convolution at once.
        state_bytes: of the recurrent states of the long chain.
        delta: heads, keys and values of a state of the delta rule.
        mamba: heads, state and values of one of Mamba-2.
        channels: of a convolution.
        taps: of a convolution.
        convolutions: in the long chain of them.
        experts: of a mixture; each token takes all of them.
        expert_width: of one, in the chains whose stream is `hidden` wide.
        expert_rows: tokens that meet each expert of two mixtures.
    """

    rounds: int = 4
    warm_seconds: float = 0.02
    seconds: float = 0.02
    passes: int = 3
    bandwidth_bytes: tuple[int, ...] = (MIB, 4 * MIB, 16 * MIB, 64 * MIB, 128 * MIB)
    hidden: int = 1024
    wide: int = 2048
    chain_bytes: int = 96 * MIB
    far_bytes: int = 0
    rows: tuple[int, ...] = (1, 16, 64, 128, 512)
    small: int = 384
    few: int = 8
    stack_bytes: int = 64 * MIB
    operator_width: int = 576
    operator_layers: tuple[int, ...] = (8, 32, 96)
    operator_rows: int = 128
    cache_layers: int = 8
    attention_layers: int = 2
    heads: int = 16
    kv_heads: int = 8
    head_dim: int = 64
    depths: tuple[int, ...] = (1, 128, 512, 2048)
    prompts: tuple[int, ...] = (64, 128, 512)
    logits: int = 65_536
    state_rows: tuple[int, ...] = (1, 16, 64)
    state_bytes: int = 64 * MIB
    delta: tuple[int, int, int] = (16, 128, 128)
    mamba: tuple[int, int, int] = (24, 128, 64)
    channels: int = 2048
    taps: int = 4
    convolutions: int = 96
    experts: int = 4
    expert_width: int = 512
    expert_rows: tuple[int, ...] = (1, 4, 16, 64)

    @property
    def cache_tokens(self) -> int:
        """Positions of each cache of a single token: the deepest one and its own."""
        return self.depths[-1] + 1

    @property
    def stack_heads(self) -> int:
        """Query heads as wide as a small matrix."""
        return self.small // self.head_dim

    @property
    def stack_kv_heads(self) -> int:
        """A third of them, as the smallest of models have."""
        return max(1, self.stack_heads // 3)

    @property
    def read_bytes(self) -> tuple[int, ...]:
        """Working sets that are read, one beyond the last-level cache among them."""
        return tuple(sorted({*self.bandwidth_bytes, *([self.far_bytes] if self.far_bytes else ())}))

    @property
    def long_chains(self) -> dict[str, int]:
        """Bytes of the chains that are read from memory, or from a large cache."""
        return {"chain": self.chain_bytes} | ({"far": self.far_bytes} if self.far_bytes else {})

    def chain_matrices(self, level: QuantLevel, graph: str = "chain") -> int:
        """Matrices of a long chain: as many pairs as hold its bytes, at least two."""
        pairs = -(-self.long_chains[graph] // held_bytes(self, level, 2))
        return 2 * max(2, pairs)

    def small_matrices(self, level: QuantLevel) -> int:
        """Small matrices that hold as much, an even number."""
        return 2 * max(2, -(-self.chain_bytes // small_bytes(self, level, 2)))

    def expert_widths(self, graph: str) -> tuple[int, int]:
        """Widths of the stream and of one expert: next to none in `few`."""
        least = 128
        return (least, least) if graph == "few" else (self.hidden, self.expert_width)

    def expert_layers(self, graph: str, level: QuantLevel | None = None) -> int:
        """Mixtures of a graph: `few`, `pair`, or as many as hold `chain_bytes` of a level."""
        if graph != "chain" or level is None:
            return {"few": 4, "pair": 2}.get(graph, 2)
        return max(2, -(-self.chain_bytes // (self.expert_bytes(level, "pair") // 2)))

    def expert_bytes(self, level: QuantLevel, graph: str) -> int:
        """Weights of all experts of a graph, as the kernel holds them."""
        hidden, wide = self.expert_widths(graph)
        each = _matrix_bytes(level.body, 2 * wide, hidden) + _matrix_bytes(level.body, hidden, wide)
        return self.expert_layers(graph, level) * self.experts * each

    @property
    def stack_matrices(self) -> int:
        """Small matrices with operators between them."""
        level = find_level(STACK_LEVEL)
        return max(2, -(-self.stack_bytes // small_bytes(self, level, 1)))

    @property
    def stack_layers(self) -> int:
        """Attentions, each with a matrix before and a small one behind it."""
        return max(1, -(-self.stack_bytes // self.stack_layer_bytes))

    @property
    def stack_layer_bytes(self) -> int:
        """Weights around one attention, as the kernel holds them."""
        level = find_level(STACK_LEVEL)
        packed = (self.stack_heads + 2 * self.stack_kv_heads) * self.head_dim
        return _matrix_bytes(level.body, packed, self.small) + small_bytes(self, level, 1)

    @property
    def stack_layer_weights(self) -> int:
        """The same, counted."""
        packed = (self.stack_heads + 2 * self.stack_kv_heads) * self.head_dim
        return self.small * (packed + self.small)


FAR_FACTOR = 1.5  # of the last-level cache: what is left of a chain in it is little
MOST_FAR_BYTES = 512 * MIB


def beyond_cache(sizes: Sizes, cache_bytes: int | None) -> Sizes:
    """Return sizes with chains beyond a last-level cache that would hold the usual ones.

    A virtual machine sees the cache of a whole server, and gets what its neighbours leave it.

    Args:
        sizes: of a calibration.
        cache_bytes: of the last-level cache; None: nothing tells.
    """
    wanted = int(FAR_FACTOR * (cache_bytes or 0))
    if wanted <= sizes.chain_bytes:
        return sizes
    return replace(sizes, far_bytes=max(2 * sizes.chain_bytes, min(wanted, MOST_FAR_BYTES)))


def calibrated_flop_per_byte(kernel: str) -> float:
    """Return the flop for each byte of the cache that a rate of attention was measured with.

        4 · heads · head_dim · seen / (2 · kv_heads · head_dim · seen · bits / 8)

    Args:
        kernel: a name of attention_name, scores behind it or not.
    """
    bits = next(
        (one.bits for one in CACHES.values() if kernel.startswith(f"{ATTENTION}-{one.name}")),
        CACHES["fp32"].bits,
    )
    return 16.0 * QUICK.heads / QUICK.kv_heads / bits


QUICK = Sizes()
FULL = Sizes(rounds=7, warm_seconds=0.025, seconds=0.05)


def kernel_name(form: MatrixFormat) -> str:
    """Name of the kernel that multiplies by a matrix of this format, such as `block-4-32-asym`."""
    block = f"-{form.block_weights}" if form.form is Form.BLOCK else ""
    zeros = "-asym" if form.zero_points else ""
    exact = "-exact" if form.form is Form.BLOCK and form.accuracy_level != ROUNDING else ""
    half = HALF if form.scale_dtype == "float16" else ""
    return f"{form.form}-{form.bits}{block}{zeros}{exact}{half}"


def kernel_levels(levels: tuple[str, ...]) -> dict[str, QuantLevel]:
    """Kernels that run in models of these levels, each with a level whose layers use it.

    That of STACK_LEVEL is always among them: fixed costs are measured between its matrices.

    Raises:
        UsageError: no level has this name, or its kernels are no fused decoder's.
    """
    for name in levels:
        if find_level(name).variant is not Variant.FUSED:
            raise UsageError(
                f"{name} has no kernels that can be calibrated: its decoder is built for NPUs",
                fix=f"one of: {', '.join(LEVELS)}",
            )
    bodies = {kernel_name(level.body): level for level in reversed(LEVELS.values())}
    chosen = [find_level(name) for name in (*levels, STACK_LEVEL)]
    forms = {
        kernel_name(fitted): fitted
        for level in chosen
        for form in level.formats
        for fitted in form.fitting
    }
    return {
        name: bodies.get(name) or QuantLevel(name, name, form, form, form.scale_bytes)
        for name, form in sorted(forms.items())
    }


def caches_apart(names: tuple[str, ...]) -> dict[str, CacheLevel]:
    """Attentions over caches with a rate of their own, by its name.

    float32 has the rate that every calibration takes, whatever is asked for.
    """
    chosen = (attention_name(CACHES[name]) for name in names)
    found = {attention_name(cache): cache for cache in CACHES.values()}
    return {name: found[name] for name in chosen if name != ATTENTION}


def held_bytes(sizes: Sizes, level: QuantLevel, matrices: int) -> int:
    """Bytes of a chain as its kernel reads them: prepacked, with scales and block sums."""
    shapes = ((sizes.wide, sizes.hidden), (sizes.hidden, sizes.wide))
    return sum(_matrix_bytes(level.body, *shape) for shape in shapes) * matrices // 2


def small_bytes(sizes: Sizes, level: QuantLevel, matrices: int) -> int:
    """The same of small matrices."""
    return _matrix_bytes(level.body, sizes.small, sizes.small) * matrices


def matrix_flop(sizes: Sizes, matrices: int, rows: int) -> float:
    """Operations of a chain: 2 · rows · hidden · wide each."""
    return 2.0 * matrices * rows * sizes.hidden * sizes.wide


def chain_values(sizes: Sizes, matrices: int, rows: int) -> float:
    """Values that the matrices of a chain take in: rows · (hidden + wide) a pair."""
    return matrices / 2 * rows * (sizes.hidden + sizes.wide)


def values_per_flop(sizes: Sizes) -> float:
    """Return the values that a chain's matrices take in for each of its operations.

    (hidden + wide) / (4 · hidden · wide)
    """
    return chain_values(sizes, 2, 1) / matrix_flop(sizes, 2, 1)


def attention_flop(sizes: Sizes, layers: int, tokens: int, seen: int) -> float:
    """Operations of one run, masked ones too: 4 · layers · heads · head_dim · tokens · seen."""
    return 4.0 * layers * sizes.heads * sizes.head_dim * tokens * seen


def cache_bytes(sizes: Sizes, layers: int, seen: int, cache: CacheLevel = CACHES["fp32"]) -> int:
    """Cached keys and values of all layers: 2 · layers · kv_heads · head_dim · seen · bits / 8."""
    return cache.stored_bytes(2 * layers * sizes.kv_heads * sizes.head_dim * seen)


def elementwise_bytes(operators: int, rows: int, width: int) -> float:
    """Bytes that a chain of operators reads and writes.

    A norm over a sum (2 arrays read, 2 written), a sigmoid (1, 1) and two products (2, 1 each):
    12 arrays for 4 operators.
    """
    return 12 / 4 * operators * rows * width * FLOAT_BYTES


def _matrix_bytes(form: MatrixFormat, outputs: int, inputs: int) -> int:
    """Bytes of one matrix as the kernel holds it.

    The same counts as the estimates make: 4 bytes of a float weight, float16 included.
    """
    if form.form is Form.FLOAT:
        return FLOAT_BYTES * outputs * inputs
    if form.form is Form.CHANNEL:
        return outputs * (inputs + FLOAT_BYTES)
    form = form.fitted(inputs)
    stored = form.padded_inputs(inputs) * form.bits // 8 + form.zero_point_bytes(inputs)
    sums = BLOCK_SUM_BYTES if form.accuracy_level == 4 else 0
    return outputs * (stored + form.blocks(inputs) * (form.scale_bytes + sums))
