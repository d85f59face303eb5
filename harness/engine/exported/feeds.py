"""What an exported decoder reads beside its cache: tokens, mask, positions, and how many logits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.core.errors import ModelError
from harness.engine.exported.values import dtype_of, value_of
from harness.models.exported.model import ExportedGraph
from harness.models.exported.ports import Port

Feeds = dict[str, ort.OrtValue]
# from (port, tokens [batch, n], positions before them)
Maker = Callable[[Port, NDArray[np.int64], int], NDArray[Any]]


def feeds_of(graph: ExportedGraph, ids: NDArray[np.int64], held_tokens: int) -> Feeds:
    """Everything but the cache and what comes from an encoder, for one run.

    Args:
        graph: that is run.
        ids: [batch, tokens], contiguous; shared with the run where the type is the same.
        held_tokens: positions before them.
    """
    return {name: value_of(array) for name, array in arrays_of(graph, ids, held_tokens).items()}


def arrays_of(
    graph: ExportedGraph, ids: NDArray[np.int64], held_tokens: int
) -> dict[str, NDArray[Any]]:
    """The same as arrays, by the names of the inputs."""
    return {
        name: maker(graph.port(name), ids, held_tokens) for name, maker in _makers(graph).items()
    }


def refuse_unknown(graph: ExportedGraph, what: str = "decoder") -> None:
    """Refuse a graph with an input that is none of a decoder's, or of a text encoder's.

    Raises:
        ModelError: names it.
    """
    known = set(_makers(graph)) | {graph.names.encoder_hidden_states, graph.names.encoder_mask}
    if graph.cache is not None:
        known |= {pair.past for pair in (*graph.cache.own, *graph.cache.cross)}
    unknown = [port.name for port in graph.inputs if port.name not in known]
    if unknown:
        raise ModelError(
            f"the {what} takes {', '.join(unknown)}, which is not known here",
            fix="an export whose inputs are tokens, mask, positions and past keys and values",
        )


def _makers(graph: ExportedGraph) -> dict[str, Maker]:
    """What makes each input that the graph has."""
    names = graph.names
    parts: tuple[tuple[str | None, Maker], ...] = (
        (names.ids, _ids),
        (names.mask, _mask),
        (names.positions, _positions),
        (names.cache_position, _positions),
        (names.token_types, _types),
        (names.use_cache_branch, _branch),
        (names.logits_to_keep, _one),
        (names.past_length, _past_length),
        (names.total_length, _total_length),
    )
    return {name: maker for name, maker in parts if name is not None}


def _ids(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """The tokens; int32 ones are copies."""
    return ids.astype(dtype_of(port), copy=False)


def _mask(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Nothing is hidden [batch, positions]; of rank 4 what comes later [batch, 1, n, positions].

    A rank-4 mask of numbers is added to the scores: 0, or nearly the least number of its type.
    """
    (batch, tokens), dtype = ids.shape, dtype_of(port)
    total = held_tokens + tokens
    if port.rank != 4:
        return np.ones((batch, total), dtype)
    seen: NDArray[Any] = np.tril(np.ones((tokens, total), np.bool_), held_tokens)
    if dtype.kind != "b":
        seen = np.where(seen, 0, _least(dtype)).astype(dtype)
    return np.ascontiguousarray(np.broadcast_to(seen, (batch, 1, tokens, total)))


def _least(dtype: np.dtype[Any]) -> float:
    """Nearly the least number of a float type; bfloat16 has the range of float32."""
    return float(np.finfo(np.float16 if dtype == np.float16 else np.float32).min) * 0.99


def _positions(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """The number of each token; the same for every leading dimension there is."""
    batch, tokens = ids.shape
    numbers = np.arange(held_tokens, held_tokens + tokens, dtype=dtype_of(port))
    lead = {1: (), 3: (3, batch)}.get(port.rank or 2, (batch,))
    return np.ascontiguousarray(np.broadcast_to(numbers, (*lead, tokens)))


def _types(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Every token belongs to the first text."""
    return np.zeros(ids.shape, dtype_of(port))


def _branch(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Whether there is a cache to use."""
    return _scalar(port, held_tokens > 0)


def _one(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Logits of the last token are enough."""
    return _scalar(port, 1)


def _past_length(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Positions before the new tokens."""
    return _scalar(port, held_tokens)


def _total_length(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Positions after them."""
    return _scalar(port, held_tokens + ids.shape[1])


def _scalar(port: Port, number: int) -> NDArray[Any]:
    """One number, of as many dimensions as the graph wants."""
    return np.full((1,) * (port.rank or 0), number, dtype_of(port))
