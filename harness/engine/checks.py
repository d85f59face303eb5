"""What every decoder and every encoder refuses before it runs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.core.errors import UsageError

Integers = ArrayLike | Sequence[Sequence[int]]


def whole_numbers(values: Integers, what: str, rows: str, example: str) -> NDArray[np.int64]:
    """Convert what a caller of a loaded model passes to int64 [rows, tokens].

    Args:
        values: anything that numpy reads as whole numbers of two dimensions.
        what: for the message, such as `token ids`.
        rows: what the first dimension counts, such as `batch`.
        example: values that would do.

    Raises:
        UsageError: lists of unlike lengths, another number of dimensions, nothing in it, or no
            whole numbers.
    """
    way_out = f"pass integers [{rows}, tokens], such as {example}"
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):  # rows of unlike lengths, numbers beyond 64 bits
        lengths = _row_lengths(values)
        raise UsageError(
            f"{what} cannot be read as one array"
            + (f": their rows have the lengths {lengths}" if lengths else ""),
            fix=f"{way_out}: every row of the same length",
        ) from None
    if array.ndim != 2 or 0 in array.shape:
        raise UsageError(
            f"{what} have the shape {list(array.shape)}; two dimensions of 1 or more are needed",
            fix=way_out,
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise UsageError(f"{what} have the type {array.dtype}, not a type of integers", fix=way_out)
    if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        raise UsageError(f"{what} hold {array.max()}, which no int64 holds", fix=way_out)
    return array.astype(np.int64)


def check_vocabulary(ids: NDArray[np.int64], vocab_size: int) -> None:
    """Refuse tokens that a graph would read beyond its tables, and say the first one.

    Raises:
        UsageError: a token outside the vocabulary.
    """
    outside = (ids < 0) | (ids >= vocab_size)
    if outside.any():
        row, column = (int(index) for index in np.argwhere(outside)[0])
        raise UsageError(
            f"token id {ids[row, column]} (row {row}, position {column}) is outside the vocabulary"
            f" of {vocab_size} tokens",
            fix=f"pass ids from 0 to {vocab_size - 1}",
        )


def _row_lengths(values: Integers) -> list[int]:
    """How long each row is; empty where that cannot be said."""
    try:
        return [len(row) for row in values][:8]  # type: ignore[arg-type, union-attr]
    except TypeError:
        return []


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
