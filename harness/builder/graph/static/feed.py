"""What a caller of a static model writes between two runs: masks, and a decoder's cache."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.builder.graph.static.geometry import (
    HIDDEN,
    StaticEncoderGeometry,
    StaticGeometry,
    TextShape,
)

SHARE_STEPS = 255


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


def write_text_mask(
    mask: npt.NDArray[np.float32],
    shares: npt.NDArray[np.float32],
    seen: npt.NDArray[np.bool_],
) -> None:
    """Write which tokens of a batch of texts are seen, and what each counts in their mean.

    A share is about 1 / tokens, in whole SHARE_STEPS and at least one: shares of 8 bits are exact.
    All shares of a text are alike, so that its embedding, which has length 1, is the mean's.

    Args:
        mask: [texts, tokens]; 0 for what is seen, HIDDEN for padding.
        shares: likewise.
        seen: likewise. A text of which nothing is seen counts its first token: its embedding means
            nothing, and is a number.
    """
    seen = seen.copy()
    seen[~seen.any(axis=1), 0] = True
    mask[...] = np.where(seen, np.float32(0), np.float32(HIDDEN))
    counts = seen.sum(axis=1, keepdims=True)
    steps = np.maximum(np.rint(SHARE_STEPS / counts), 1)
    shares[...] = np.where(seen, steps / SHARE_STEPS, 0)


def encoder_inputs(
    geometry: StaticEncoderGeometry, shape: TextShape
) -> dict[str, npt.NDArray[Any]]:
    """Return the inputs of an encoder's graph by name: ids 0, every token seen."""
    texts = (shape.sequences, shape.tokens)
    names = ["input_ids", *(["token_type_ids"] if geometry.token_types else [])]
    inputs: dict[str, npt.NDArray[Any]] = {name: np.zeros(texts, np.int32) for name in names}
    mask, shares = np.empty(texts, np.float32), np.empty(texts, np.float32)
    write_text_mask(mask, shares, np.ones(texts, np.bool_))
    inputs |= {"attention_mask": mask}
    return inputs | ({"token_shares": shares} if geometry.pooling == "mean" else {})
