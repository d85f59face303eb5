"""What a caller of a static decoder must know: its fixed shapes, its ports, its mask."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.errors import UsageError
from harness.graph.rules import MAX_CONTEXT_TOKENS
from harness.quantize.levels import QuantLevel
from harness.specs.model import ModelSpec

# What is added to the score of a key that may not be seen. Far below any score; not so far that
# the integers of a mask and of the scores could not be added by one operator.
HIDDEN = -1000.0


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
    """
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


def write_mask(mask: npt.NDArray[np.float32], geometry: StaticGeometry, depth_tokens: int) -> None:
    """Write which keys the tokens after `depth_tokens` see: 0 for those, HIDDEN for all others.

    A token sees itself and what is before it, at most the window. Keys are the whole cache, then
    the new tokens themselves.

    Args:
        mask: [tokens, capacity + tokens].
        geometry: the fixed shapes.
        depth_tokens: positions of the cache in use.
    """
    tokens, capacity = len(mask), geometry.capacity_tokens
    window = geometry.window_tokens or capacity + tokens
    if tokens == 1:  # on the path of every step
        first = max(0, depth_tokens + 1 - window)
        mask[...] = HIDDEN
        mask[0, first:depth_tokens] = 0
        mask[0, capacity] = 0
        return
    positions = depth_tokens + np.arange(tokens)
    cached = np.arange(capacity)
    keys = np.concatenate([np.where(cached < depth_tokens, cached, capacity + tokens), positions])
    behind = positions[:, None] - keys[None, :]
    mask[...] = np.where((behind >= 0) & (behind < window), np.float32(0), np.float32(HIDDEN))


def write_cache(
    keys: npt.NDArray[np.generic],
    values: npt.NDArray[np.generic],
    new_keys: npt.NDArray[np.generic],
    new_values: npt.NDArray[np.generic],
    depth_tokens: int,
    count: int,
) -> None:
    """Write the first `count` new tokens of one layer behind `depth_tokens` of its cache.

    Args:
        keys: [kv_heads, head_dim, capacity].
        values: [kv_heads, capacity, head_dim].
        new_keys: [kv_heads, tokens, head_dim], as the graph gives them.
        new_values: [tokens, kv_heads · head_dim], likewise.
        depth_tokens: positions in use.
        count: tokens that are no padding.
    """
    heads, width, _capacity = keys.shape
    end = depth_tokens + count
    keys[:, :, depth_tokens:end] = new_keys[:, :count].transpose(0, 2, 1)
    by_head = new_values.reshape(-1, heads, width).transpose(1, 0, 2)
    values[:, depth_tokens:end] = by_head[:, :count]
