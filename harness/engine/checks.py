"""What every decoder and every encoder refuses before it runs."""

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError


def check_ids(ids: NDArray[np.int64], batch: int, vocab_size: int) -> None:
    """Refuse tokens that a graph would read beyond its tables.

    Raises:
        UsageError: another shape or type than int64 [batch, tokens], or outside the vocabulary.
    """
    if ids.ndim != 2 or ids.shape[0] != batch or ids.shape[1] < 1 or ids.dtype != np.int64:
        raise UsageError(
            f"token ids have the shape {list(ids.shape)} and the type {ids.dtype}",
            fix=f"int64 ids of the shape [{batch}, tokens]",
        )
    if ids.min() < 0 or ids.max() >= vocab_size:
        raise UsageError(
            f"token ids {ids.min()} to {ids.max()} leave the vocabulary",
            fix=f"ids from 0 to {vocab_size - 1}",
        )


def check_texts(
    ids: NDArray[np.int64], mask: NDArray[np.int64] | None, vocab_size: int, longest_tokens: int
) -> None:
    """Refuse texts that an encoder's graph would read beyond its tables.

    Raises:
        UsageError: another shape or type than int64 [sequences, tokens], a mask of another shape,
            a token outside the vocabulary, more tokens than `longest_tokens`.
    """
    if ids.ndim != 2 or 0 in ids.shape or ids.dtype != np.int64:
        raise UsageError(
            f"token ids have the shape {list(ids.shape)} and the type {ids.dtype}",
            fix="int64 ids of the shape [sequences, tokens]",
        )
    if mask is not None and mask.shape != ids.shape:
        raise UsageError(
            f"a mask of the shape {list(mask.shape)} for ids of {list(ids.shape)}",
            fix="one 0 or 1 per token id",
        )
    if ids.min() < 0 or ids.max() >= vocab_size:
        raise UsageError(
            f"token ids {ids.min()} to {ids.max()} leave the vocabulary",
            fix=f"ids from 0 to {vocab_size - 1}",
        )
    if ids.shape[1] > longest_tokens:
        raise UsageError(
            f"{ids.shape[1]} tokens do not fit this model",
            fix=f"at most {longest_tokens} tokens a text",
        )


def check_room(depth_tokens: int, tokens: int, capacity_tokens: int) -> None:
    """Refuse more tokens than the cache has room for.

    Raises:
        UsageError: fewer than none, or beyond the capacity.
    """
    if tokens < 0 or depth_tokens + tokens > capacity_tokens:
        raise UsageError(
            f"{tokens} tokens after {depth_tokens} do not fit a cache of {capacity_tokens}",
            fix="open the decoder with more capacity, or rewind it",
        )


def check_rewind(depth_tokens: int, held_tokens: int) -> None:
    """Refuse to stand behind the last token of the cache.

    Raises:
        UsageError: the cache holds fewer.
    """
    if not 0 <= depth_tokens <= held_tokens:
        raise UsageError(
            f"the cache holds {held_tokens} tokens and cannot be cut to {depth_tokens}",
            fix="fill it first",
        )
