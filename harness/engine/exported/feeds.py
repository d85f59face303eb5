"""What an exported decoder reads beside its cache: tokens, mask, positions, and how many logits.

Vectors that another graph would make of tokens are made up: each token has its own, the same in
every pass. Inputs of a decoder that no name tells are made up too: weights of LoRA are zeros, whole
numbers 0, other floats normal, and what has a size of sequences or tokens takes it.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
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
VECTOR_ROWS = 256  # tokens share vectors beyond: a whole table would be as large as a model's
LORA, LORA_RANK = "lora", 16  # in the names of adapters; their inner size where nothing says it
BATCH, TOKENS, TOTAL, PAST = "batch", "tokens", "total", "past"
_BY_TOKEN = ("embeds", "per_layer")  # in the names of what each token has its own of


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


def refresher(
    graph: ExportedGraph, ids: NDArray[np.int64], arrays: Mapping[str, NDArray[Any]]
) -> Callable[[], None]:
    """What writes tokens that are known only when a run begins into its inputs.

    Args:
        graph: that is run.
        ids: [batch, tokens], whose values may change.
        arrays: what arrays_of made of them; those that are the same memory follow by themselves.
    """
    late = [
        (arrays[name], graph.port(name), maker)
        for name, maker in _token_makers(graph).items()
        if not np.shares_memory(arrays[name], ids)
    ]

    def refresh() -> None:
        for array, port, maker in late:
            array[...] = maker(port, ids, 0)

    return refresh


def with_sizes(
    graph: ExportedGraph, dims: Mapping[str, int], hidden_size: int | None
) -> ExportedGraph:
    """The graph with sizes that its inputs leave open, as the user or a configuration gives them.

    Args:
        graph: that is run.
        dims: free dimensions by name.
        hidden_size: of the vectors of tokens.
    """
    inputs = []
    for port in graph.inputs:
        shape = port.shape
        if shape is not None and port.name in _made_up(graph):
            shape = tuple(dims.get(size, size) if isinstance(size, str) else size for size in shape)
        if shape and port.name == graph.names.embeds and isinstance(shape[-1], str) and hidden_size:
            shape = (*shape[:-1], hidden_size)
        inputs.append(replace(port, shape=shape))
    return replace(graph, inputs=tuple(inputs))


def refuse_unknown(graph: ExportedGraph, what: str = "decoder") -> None:
    """Refuse a graph with an input that is none of a decoder's, or of a text encoder's.

    Raises:
        ModelError: names it.
    """
    known = set(_makers(graph)) | _from_elsewhere(graph)
    unknown = [port.name for port in graph.inputs if port.name not in known]
    if unknown:
        raise ModelError(
            f"the {what} takes {', '.join(unknown)}, which is not known here",
            fix="an export whose inputs are tokens, mask, positions and past keys and values",
        )


def _from_elsewhere(graph: ExportedGraph) -> set[str | None]:
    """Inputs that an encoder or the last run gives."""
    given = {graph.names.encoder_hidden_states, graph.names.encoder_mask}
    if graph.cache is not None:
        given |= {pair.past for pair in (*graph.cache.own, *graph.cache.cross)}
    return given


def _makers(graph: ExportedGraph) -> dict[str, Maker]:
    """What makes each input that the graph has."""
    names = graph.names
    parts: tuple[tuple[str | None, Maker], ...] = (
        (names.ids, _ids),
        (names.embeds, _vectors),
        (names.mask, _mask),
        (names.positions, _positions),
        (names.cache_position, _positions),
        (names.token_types, _types),
        (names.use_cache_branch, _branch),
        (names.logits_to_keep, _one),
        (names.write_indices, _past_lengths),
        (names.held_lengths, _total_lengths),
        (names.last_positions, _last_positions),
        (names.past_length, _past_length),
        (names.total_length, _total_length),
    )
    return {name: maker for name, maker in parts if name is not None} | _made_up(graph)


def _token_makers(graph: ExportedGraph) -> dict[str, Maker]:
    """What makes the inputs that hold something of each token."""
    made = {name: m for name, m in _made_up(graph).items() if m is _vectors}
    named: tuple[tuple[str | None, Maker], ...] = (
        (graph.names.ids, _ids),
        (graph.names.embeds, _vectors),
    )
    return {name: maker for name, maker in named if name is not None} | made


def _made_up(graph: ExportedGraph) -> dict[str, Maker]:
    """What makes the inputs of a decoder with a cache that play no known part."""
    if graph.cache is None or not graph.cache.has_past:
        return {}
    names = {getattr(graph.names, part) for part in graph.names.__slots__}
    known, meanings = names | _from_elsewhere(graph), _meanings(graph)
    return {port.name: _maker_of(port, meanings) for port in graph.inputs if port.name not in known}


def _meanings(graph: ExportedGraph) -> dict[str, str]:
    """What the free dimensions of known inputs count, by their names."""
    found: dict[str, str] = {}
    parts = (
        (graph.names.ids, (BATCH, TOKENS)),
        (graph.names.embeds, (BATCH, TOKENS)),
        (graph.names.mask, (BATCH, TOTAL)),
    )
    for name, meanings in parts:
        shape = (name is not None and graph.port(name).shape) or ()
        for size, meaning in zip(shape, meanings, strict=False):
            if isinstance(size, str):
                found.setdefault(size, meaning)
    for pair in graph.cache.growing if graph.cache is not None else ():
        shape = (pair.past is not None and graph.port(pair.past).shape) or ()
        after = (pair.present is not None and graph.port(pair.present).shape) or ()
        for ends, meaning in ((shape, PAST), (after, TOTAL)):
            for axis, size in enumerate(ends):
                if isinstance(size, str) and axis == pair.length_axis:
                    found.setdefault(size, meaning)
    return found


def _maker_of(port: Port, meanings: Mapping[str, str]) -> Maker:
    """What makes an input that plays no known part."""
    shape, is_float = port.shape or (), port.element_type.endswith(("float16", "float32"))
    counted = [meanings.get(size, "") if isinstance(size, str) else "" for size in shape]
    by_token = counted[:2] == [BATCH, TOKENS] or any(word in port.name for word in _BY_TOKEN)
    if "attention_mask" in port.name and len(shape) in (2, 4):
        return _mask
    is_by_head = len(shape) == 4 and isinstance(shape[1], int) and shape[1] > 1
    if len(shape) == 4 and counted[1:] == ["", TOKENS, TOTAL] and not is_by_head:
        return _mask
    if is_float and len(shape) > 2 and by_token:
        return _vectors
    return partial(_invented, counted=counted)


def _invented(
    port: Port, ids: NDArray[np.int64], held_tokens: int, *, counted: list[str]
) -> NDArray[Any]:
    """Values of an input that no name tells, the same in every pass."""
    (batch, tokens), dtype = ids.shape, dtype_of(port)
    sizes = {BATCH: batch, TOKENS: tokens, TOTAL: held_tokens + tokens, PAST: held_tokens}
    is_lora = LORA in port.name.lower()
    other = LORA_RANK if is_lora else 1
    shape = tuple(
        size if isinstance(size, int) else sizes.get(meaning, other)
        for size, meaning in zip(port.shape or (), counted, strict=True)
    )
    if dtype.kind in "biu":
        return np.zeros(shape, dtype)
    if is_lora or not shape:
        return np.full(shape, not is_lora, dtype)
    seed = zlib.crc32(port.name.encode())
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return values.astype(dtype)


def _vectors(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """A vector, or several, of each token [batch, tokens, ...].

    Raises:
        ModelError: how wide they are is not known.
    """
    sizes = (port.shape or ())[2:]
    if not all(isinstance(size, int) for size in sizes):
        raise ModelError(
            f"{port.name} leaves the width of its vectors open",
            fix="put the config.json of the model beside it",
        )
    table = _vector_table(port.name, tuple(int(size) for size in sizes))
    return table[ids % VECTOR_ROWS].astype(dtype_of(port), copy=False)


@lru_cache(maxsize=4)
def _vector_table(name: str, sizes: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal vectors of the first tokens [VECTOR_ROWS, ...]."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return generator.standard_normal((VECTOR_ROWS, *sizes), dtype=np.float32)


def _ids(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """The tokens; int32 ones are copies."""
    return ids.astype(dtype_of(port), copy=False)


def _mask(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Nothing is hidden [batch, positions]; of rank 4 what comes later [batch, 1, n, positions].

    A rank-4 mask of numbers is added to the scores: 0, or nearly the least number of its type. One
    that is as long as a buffer of fixed size hides what is not written yet.
    """
    (batch, tokens), dtype = ids.shape, dtype_of(port)
    total, stated = held_tokens + tokens, (port.shape or (None,))[-1]
    width = stated if isinstance(stated, int) else total
    if port.rank != 4:
        return np.broadcast_to(np.arange(width) < total, (batch, width)).astype(dtype)
    seen: NDArray[Any] = np.tril(np.ones((tokens, width), np.bool_), held_tokens)
    if dtype.kind != "b":
        seen = np.where(seen, 0, _least(dtype)).astype(dtype)
    return np.ascontiguousarray(np.broadcast_to(seen, (batch, 1, tokens, width)))


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


def _past_lengths(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Positions before the new tokens, of each sequence."""
    return np.full(len(ids), held_tokens, dtype_of(port))


def _total_lengths(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Positions after them, of each sequence."""
    return np.full(len(ids), held_tokens + ids.shape[1], dtype_of(port))


def _last_positions(port: Port, ids: NDArray[np.int64], held_tokens: int) -> NDArray[Any]:
    """Number of the last new token, of each sequence."""
    return np.full((len(ids), 1)[: port.rank], held_tokens + ids.shape[1] - 1, dtype_of(port))


def _scalar(port: Port, number: int) -> NDArray[Any]:
    """One number, of as many dimensions as the graph wants."""
    return np.full((1,) * (port.rank or 0), number, dtype_of(port))
