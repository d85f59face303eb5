"""What a calibration measures: shapes of its micro-graphs, chosen once, and the work in each."""

from dataclasses import dataclass

from harness.quantize.levels import LEVELS, Form, MatrixFormat, QuantLevel, find_level
from harness.units import MIB

BLOCK_SUM_BYTES = 4  # one float32 per block, kept beside the packed bytes (accuracy level 4)
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """Every size of one calibration.

    Attributes:
        rounds: fresh processes per constant.
        seconds: that one shape is timed for, at least.
        passes: of one shape, at least.
        bandwidth_bytes: working sets that are read.
        hidden: width of the matrix chains.
        wide: their other width.
        chain_bytes: of the long chain, as the kernel holds it: beyond the last-level cache.
        rows: tokens multiplied at once by the pair of matrices.
        operator_width: of the vector that the operator chains run on.
        operator_layers: lengths of these chains.
        attention_layers: attentions in one run.
        heads: of queries.
        kv_heads: of keys and values.
        head_dim: width of one.
        depths: cached tokens at which one token attends, rising; the first is next to none and
            gives the fixed time of an attention.
        prompts: lengths of prompts that attend to themselves.
    """

    rounds: int = 3
    seconds: float = 0.05
    passes: int = 3
    bandwidth_bytes: tuple[int, ...] = (MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB)
    hidden: int = 1024
    wide: int = 2048
    chain_bytes: int = 64 * MIB
    rows: tuple[int, ...] = (1, 16, 64, 128, 512)
    operator_width: int = 576
    operator_layers: tuple[int, ...] = (8, 32, 96)
    attention_layers: int = 2
    heads: int = 16
    kv_heads: int = 8
    head_dim: int = 64
    depths: tuple[int, ...] = (1, 128, 512, 2048)
    prompts: tuple[int, ...] = (64, 128, 512)

    @property
    def capacity_tokens(self) -> int:
        """Positions of each cache: the deepest one and its new token, or the longest prompt."""
        return max(self.depths[-1] + 1, *self.prompts)

    def chain_matrices(self, level: QuantLevel) -> int:
        """Matrices of the long chain: as many pairs as hold `chain_bytes`, at least two."""
        pairs = -(-self.chain_bytes // held_bytes(self, level, 2))
        return 2 * max(2, pairs)


QUICK = Sizes()
FULL = Sizes(rounds=5, seconds=0.2)


def kernel_name(form: MatrixFormat) -> str:
    """Name of the kernel that multiplies by a matrix of this format, such as `block-4-32-asym`."""
    block = f"-{form.block_weights}" if form.form is Form.BLOCK else ""
    zeros = "-asym" if form.zero_points else ""
    return f"{form.form}-{form.bits}{block}{zeros}"


def kernel_levels(levels: tuple[str, ...]) -> dict[str, QuantLevel]:
    """Kernels that run in models of these levels, each with a level whose layers use it.

    Raises:
        UsageError: no level has this name.
    """
    bodies = {kernel_name(level.body): level for level in reversed(LEVELS.values())}
    chosen = [find_level(name) for name in levels]
    names = {kernel_name(form) for level in chosen for form in level.formats}
    return {name: bodies[name] for name in sorted(names)}


def held_bytes(sizes: Sizes, level: QuantLevel, matrices: int) -> int:
    """Bytes of a chain as its kernel reads them: prepacked, with scales and block sums.

    The same counts as the estimates make: 4 bytes of a float weight, float16 included.
    """
    form, outputs_of = level.body, ((sizes.wide, sizes.hidden), (sizes.hidden, sizes.wide))
    pair = 0
    for outputs, inputs in outputs_of:
        if form.form is Form.FLOAT:
            pair += FLOAT_BYTES * outputs * inputs
        elif form.form is Form.CHANNEL:
            pair += outputs * (inputs + FLOAT_BYTES)
        else:
            stored = form.padded_inputs(inputs) * form.bits // 8
            sums = BLOCK_SUM_BYTES if form.accuracy_level == 4 else 0
            stored += form.zero_point_bytes(inputs)
            pair += outputs * (stored + form.blocks(inputs) * (FLOAT_BYTES + sums))
    return pair * matrices // 2


def matrix_flop(sizes: Sizes, matrices: int, rows: int) -> float:
    """Operations of a chain: 2 · rows · hidden · wide each."""
    return 2.0 * matrices * rows * sizes.hidden * sizes.wide


def attention_flop(sizes: Sizes, tokens: int, seen: int) -> float:
    """Operations of one run, masked ones too: 4 · layers · heads · head_dim · tokens · seen."""
    return 4.0 * sizes.attention_layers * sizes.heads * sizes.head_dim * tokens * seen


def cache_bytes(sizes: Sizes, seen: int) -> int:
    """Cached keys and values of all layers: 2 · layers · kv_heads · head_dim · seen · 4."""
    return 2 * sizes.attention_layers * sizes.kv_heads * sizes.head_dim * seen * FLOAT_BYTES
