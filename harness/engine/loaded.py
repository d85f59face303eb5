"""A built model to call from Python: logits of a whole text, or prefill and steps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.builder.graph.geometry import DecoderGeometry
from harness.core.errors import UsageError
from harness.devices.device import Device
from harness.devices.session import OpenedSession, open_session
from harness.engine.decoder import DecoderSession
from harness.engine.growing import GrowingDecoder


class LoadedModel:
    """One built decoder; sessions are opened on first use and kept.

    Attributes:
        geometry: shapes and types of the graph.
        context_tokens: positions of the cache that `prefill` and `step` share.
    """

    def __init__(
        self,
        graphs: tuple[Path, Path],
        geometry: DecoderGeometry,
        device: Device,
        threads: int,
        context_tokens: int,
    ) -> None:
        """Keep what is needed to open the sessions.

        Args:
            graphs: the graph with the last token's logits, and the one with every token's.
            geometry: shapes and types of both.
            device: where they run.
            threads: intra-op threads.
            context_tokens: longest sequence of `prefill` and `step` together.
        """
        self.geometry = geometry
        self.context_tokens = min(context_tokens, geometry.max_context_tokens)
        self._graphs = graphs
        self._device = device
        self._threads = threads
        self._opened: dict[Path, OpenedSession] = {}
        self._decoder: DecoderSession | None = None

    def logits(self, token_ids: ArrayLike | Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of every position, float32 [batch, tokens, vocab], in one pass without a cache.

        Args:
            token_ids: integers [batch, tokens].

        Raises:
            UsageError: another shape, or a token outside the vocabulary.
        """
        ids = self._ids(token_ids)
        return GrowingDecoder(self._open(self._graphs[1]), self.geometry, len(ids)).prefill(ids)

    def prefill(self, token_ids: ArrayLike | Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Begin a new sequence: logits of the last token, float32 [batch, 1, vocab].

        Args:
            token_ids: integers [batch, tokens].

        Raises:
            UsageError: another shape, a token outside the vocabulary, more than context_tokens.
        """
        ids = self._ids(token_ids)
        if self._decoder is None or self._decoder.batch != len(ids):
            opened = self._open(self._graphs[0])
            self._decoder = DecoderSession(opened, self.geometry, len(ids), self.context_tokens)
        self._decoder.rewind(0)
        return self._decoder.prefill(ids).copy()

    def step(self, token_ids: ArrayLike | Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Go on with one token per sequence: logits, float32 [batch, 1, vocab].

        Args:
            token_ids: integers [batch, 1].

        Raises:
            UsageError: nothing was prefilled, another shape, the context is full.
        """
        if self._decoder is None:
            raise UsageError("step() was called before prefill()", fix="prefill a prompt first")
        return self._decoder.step(self._ids(token_ids)).copy()

    def _open(self, graph: Path) -> OpenedSession:
        if graph not in self._opened:
            self._opened[graph] = open_session(graph, self._device, self._threads)
        return self._opened[graph]

    def _ids(self, token_ids: ArrayLike | Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """Check and convert ids; lists of unlike lengths are refused like any other bad shape."""
        try:
            ids = np.asarray(token_ids)
        except ValueError:
            ids = np.asarray(None)
        if ids.ndim != 2 or 0 in ids.shape or not np.issubdtype(ids.dtype, np.integer):
            raise UsageError(
                f"token ids have the shape {list(ids.shape)} and the type {ids.dtype}",
                fix="integers [batch, tokens], such as [[1, 2, 3]]",
            )
        if ids.min() < 0 or ids.max() >= self.geometry.vocab_size:
            raise UsageError(
                f"token ids {ids.min()} to {ids.max()} leave the vocabulary",
                fix=f"ids from 0 to {self.geometry.vocab_size - 1}",
            )
        return ids.astype(np.int64)
