"""What a caller of a static decoder must know: its fixed shapes, and how a key is hidden."""

from dataclasses import dataclass

from harness.errors import UsageError
from harness.graph.rules import MAX_CONTEXT_TOKENS
from harness.graph.static.limits import check_static
from harness.quantize.levels import QuantLevel
from harness.specs.model import ModelSpec

# What is added to the score of a key that may not be seen. Far below any score; not so far that
# the integers of a mask and of the scores could not be added by one operator.
HIDDEN = -1000.0
STEP_FILE = "step.onnx"  # one token
PREFILL_FILE = "prefill.onnx"  # as many as the geometry says, logits of one
ALL_POSITIONS_FILE = "prefill_all_logits.onnx"  # the same, logits of each


@dataclass(frozen=True, slots=True)
class StaticShapes:
    """What a static decoder is built for, beside model and level.

    Attributes:
        prefill_tokens: tokens that the prefill graph reads at once.
        capacity_tokens: positions of the cache, the longest sequence.
    """

    prefill_tokens: int
    capacity_tokens: int


@dataclass(frozen=True, slots=True)
class StaticGeometry:
    """Shapes and types of a static decoder's inputs and outputs.

    Attributes:
        num_layers: one input and one output for keys, and one for values, per layer.
        num_kv_heads: first dimension of a cache tensor.
        head_dim: width of one head.
        vocab_size: last dimension of the logits.
        kv_dtype: type of the cache: `float32` or `uint8`.
        prefill_tokens: tokens that the prefill graph reads at once.
        capacity_tokens: positions of the cache, the longest sequence.
        window_tokens: attention sees only this many last tokens; None: all.
    """

    num_layers: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    kv_dtype: str
    prefill_tokens: int
    capacity_tokens: int
    window_tokens: int | None = None

    @property
    def max_context_tokens(self) -> int:
        """Longest sequence, cached tokens included."""
        return self.capacity_tokens

    @property
    def key_shape(self) -> tuple[int, int, int]:
        """Shape of one layer's cached keys: each head's own matrix, as the scores need it."""
        return (self.num_kv_heads, self.head_dim, self.capacity_tokens)

    @property
    def value_shape(self) -> tuple[int, int, int]:
        """Shape of one layer's cached values."""
        return (self.num_kv_heads, self.capacity_tokens, self.head_dim)


def static_geometry(
    spec: ModelSpec, level: QuantLevel, prefill_tokens: int, capacity_tokens: int
) -> StaticGeometry:
    """Return the geometry of `spec` built at `level` with these shapes.

    Raises:
        UsageError: a shape outside what the model takes.
        ModelError: an architecture that a static decoder is not built of.
    """
    check_static(spec)
    longest = min(spec.max_context_tokens, MAX_CONTEXT_TOKENS)
    if not 2 <= prefill_tokens <= capacity_tokens <= longest:
        raise UsageError(
            f"{spec.name}: prefill of {prefill_tokens} tokens with a cache of {capacity_tokens}",
            fix=f"a prefill of 2 tokens or more, a cache of at least that and at most {longest}",
        )
    return StaticGeometry(
        num_layers=spec.num_layers,
        num_kv_heads=spec.num_kv_heads,
        head_dim=spec.head_dim,
        vocab_size=spec.vocab_size,
        kv_dtype=level.cache_dtype,
        prefill_tokens=prefill_tokens,
        capacity_tokens=capacity_tokens,
        window_tokens=spec.sliding_window_tokens,
    )
