"""One run of an exported decoder's graph; what can be made ready before it begins is ready."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ModelError
from harness.devices.session import OpenedSession
from harness.engine.buffers import aligned_zeros
from harness.engine.exported.caches import GrowingCache, SharedCache, presents_of
from harness.engine.exported.feeds import Feeds, arrays_of, feeds_of, refresher
from harness.engine.exported.values import array_of, dtype_of, value_of
from harness.models.exported.model import ExportedGraph


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run that only has to begin.

    Attributes:
        run: gives the logits [batch, tokens or 1, vocab], in place.
        end_tokens: positions after it.
    """

    run: Callable[[], NDArray[Any]]
    end_tokens: int


class Run(Protocol):
    """How a graph is run over some tokens."""

    def prepare(self, ids: NDArray[np.int64], held_tokens: int) -> PreparedRun:
        """Make ready what reads `ids` [batch, tokens] after so many positions."""


class GrowingRun:
    """A graph that returns a longer cache every time."""

    def __init__(
        self, opened: OpenedSession, graph: ExportedGraph, source: Feeds, cache: GrowingCache
    ) -> None:
        """Keep what every run needs; the cache is that of the whole model."""
        self._session, self._graph, self._cache = opened.session, graph, cache
        self._source, self._keys = _of_encoder(graph, source), presents_of(graph)
        self._names = [_logits_of(graph), *self._keys]
        self._reads_past = graph.cache is not None and graph.cache.has_past

    def prepare(self, ids: NDArray[np.int64], held_tokens: int) -> PreparedRun:
        """Everything but the cache, which is that of the moment when the run begins."""
        arrays = arrays_of(self._graph, ids, held_tokens)
        feeds = {**{name: value_of(array) for name, array in arrays.items()}, **self._source}
        refresh = refresher(self._graph, ids, arrays)

        def run() -> NDArray[Any]:
            refresh()
            given = {**feeds, **self._cache.past} if self._reads_past else feeds
            logits, *present = self._session.run_with_ort_values(self._names, given)
            self._cache.take(dict(zip(self._keys.values(), present, strict=True)), held_tokens)
            return _by_token(array_of(logits))

        return PreparedRun(run, held_tokens + ids.shape[1])


class SharedRun:
    """A graph whose attention extends the cache in place."""

    def __init__(
        self,
        opened: OpenedSession,
        graph: ExportedGraph,
        source: Feeds,
        cache: SharedCache,
        batch: int,
        vocab_size: int,
    ) -> None:
        """Keep what every run needs."""
        self._session, self._graph, self._cache = opened.session, graph, cache
        self._source = _of_encoder(graph, source)
        self._logits: dict[int, NDArray[Any]] = {}  # by number of tokens
        self._name, self._batch, self._vocab_size = _logits_of(graph), batch, vocab_size

    def prepare(self, ids: NDArray[np.int64], held_tokens: int) -> PreparedRun:
        """Everything bound: inputs, cache, logits."""
        tokens = ids.shape[1]
        if tokens not in self._logits:
            self._logits[tokens] = self._room_for_logits(tokens)
        logits, binding = self._logits[tokens], self._session.io_binding()
        self._cache.bind(binding)
        arrays = arrays_of(self._graph, ids, held_tokens)
        made = {name: value_of(array) for name, array in arrays.items()}
        for name, value in {**made, **self._source}.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output(self._name, value_of(logits))

        refresh = refresher(self._graph, ids, arrays)

        def run() -> NDArray[Any]:
            refresh()
            self._session.run_with_iobinding(binding)
            return _by_token(logits)

        return PreparedRun(run, held_tokens + tokens)

    def _room_for_logits(self, tokens: int) -> NDArray[Any]:
        """Memory for the logits of so many tokens, or of the last one where the graph gives one."""
        port = self._graph.port(self._name)
        stated = port.shape or (0, "tokens", self._vocab_size)
        if len(stated) == 2:  # of the last token alone
            return aligned_zeros((self._batch, self._vocab_size), dtype_of(port))
        given = 1 if stated[1] == 1 or self._graph.names.logits_to_keep else tokens
        width = stated[2] if isinstance(stated[2], int) else self._vocab_size
        return aligned_zeros((self._batch, given, width), dtype_of(port))


class WholeRun:
    """A graph without a cache: every run reads the whole text again."""

    def __init__(self, opened: OpenedSession, graph: ExportedGraph, source: Feeds) -> None:
        """Keep what every run needs."""
        self._session, self._graph = opened.session, graph
        self._source, self._names = _of_encoder(graph, source), [_logits_of(graph)]

    def prepare(self, ids: NDArray[np.int64], held_tokens: int) -> PreparedRun:
        """A run over `ids`, which are all there is."""
        feeds = {**feeds_of(self._graph, ids, 0), **self._source}
        return PreparedRun(lambda: self._run(feeds), ids.shape[1])

    def prepare_history(self, history: NDArray[np.int64], tokens: int) -> PreparedRun:
        """A run over the first positions of `history` [positions, batch], read when it begins.

        The copy of the tokens is part of the run: no step knows them before.
        """
        ids = np.zeros((history.shape[1], tokens), np.int64)
        arrays = arrays_of(self._graph, ids, 0)
        feeds = {**{name: value_of(array) for name, array in arrays.items()}, **self._source}
        refresh = refresher(self._graph, ids, arrays)

        def run() -> NDArray[Any]:
            ids[...] = history[:tokens].T
            refresh()
            return self._run(feeds)

        return PreparedRun(run, tokens)

    def _run(self, feeds: Feeds) -> NDArray[Any]:
        """The logits of every token."""
        (logits,) = self._session.run_with_ort_values(self._names, feeds)
        return _by_token(array_of(logits))


def _by_token(logits: NDArray[Any]) -> NDArray[Any]:
    """Logits [batch, tokens or 1, vocab], in place."""
    return logits[:, None] if logits.ndim == 2 else logits


def _of_encoder(graph: ExportedGraph, source: Feeds) -> Feeds:
    """What a graph takes of what the encoder gave; a half that goes on may take none of it."""
    taken = {port.name for port in graph.inputs}
    return {name: value for name, value in source.items() if name in taken}


def _logits_of(graph: ExportedGraph) -> str:
    """Name of the output with the logits.

    Raises:
        ModelError: there is none.
    """
    if graph.names.logits is None:
        raise ModelError(f"{graph.file} gives no logits", fix="an export of a language model")
    return graph.names.logits
