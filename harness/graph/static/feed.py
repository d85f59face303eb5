"""What a caller of a static decoder writes between two runs: its mask and its cache."""

import numpy as np
import numpy.typing as npt

from harness.graph.static.geometry import HIDDEN, StaticGeometry


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
