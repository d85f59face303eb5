"""A model to call from Python: logits of a whole text, or prefill and steps."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry
from harness.core.errors import UsageError
from harness.devices.device import Device
from harness.devices.session import OpenedSession, open_session
from harness.engine.cached import CachedDecoder
from harness.engine.checks import Integers, check_vocabulary, whole_numbers
from harness.engine.decoder import DecoderSession
from harness.engine.exported.geometry import ExportedGeometry
from harness.engine.growing import GrowingDecoder


class LoadedModel(ABC):
    """One decoder, built here or exported; sessions are opened on first use and kept.

    Attributes:
        geometry: shapes and types of the graph, or what was recognised of an export.
        vocab_size: last dimension of the logits.
        longest_tokens: the longest sequence that the model takes.
        context_tokens: positions of the cache that `prefill` and `step` share.
    """

    geometry: DecoderGeometry | ExportedGeometry

    def __init__(self, vocab_size: int, longest_tokens: int, context_tokens: int) -> None:
        """Open nothing yet.

        Args:
            vocab_size: one more than the largest token id.
            longest_tokens: that the model takes.
            context_tokens: longest sequence of `prefill` and `step` together.
        """
        self.vocab_size = vocab_size
        self.longest_tokens = longest_tokens
        self.context_tokens = min(context_tokens, longest_tokens)
        self._decoder: CachedDecoder | None = None

    def logits(self, token_ids: Integers) -> NDArray[np.float32]:
        """Return the logits of every position, in one pass without a cache.

        Args:
            token_ids: integers [batch, tokens], of any batch; at most as many tokens as the model
                takes (`longest_tokens`), whatever `context_tokens` is.

        Returns:
            float32 [batch, tokens, vocab]; row t predicts token t + 1. A new array.

        Raises:
            UsageError: another shape or type, a token outside the vocabulary, too many tokens.
        """
        ids = self._ids(token_ids)
        longest = self.longest_tokens
        if ids.shape[1] > longest:
            raise UsageError(
                f"{ids.shape[1]} tokens are more than the context of this model, {longest}",
                fix=f"pass 1 to {longest} tokens, such as ids[:, -{longest}:]",
            )
        return self._whole(ids)

    def prefill(self, token_ids: Integers) -> NDArray[np.float32]:
        """Begin a new sequence; after an error the one before is still there to go on with.

        Args:
            token_ids: integers [batch, tokens], at most `context_tokens` of them.

        Returns:
            The last token's logits, float32 [batch, 1, vocab]. A new array.

        Raises:
            UsageError: another shape or type, a token outside the vocabulary, more than
                `context_tokens`.
        """
        ids = self._ids(token_ids)
        if ids.shape[1] > self.context_tokens:
            raise UsageError(
                f"{ids.shape[1]} tokens do not fit a context of {self.context_tokens}",
                fix=f"pass 1 to {self.context_tokens} tokens{self._more_context()}",
            )
        if self._decoder is None or self._decoder.batch != len(ids):
            self._decoder = self._begin(len(ids))
        self._decoder.rewind(0)
        return self._decoder.prefill(ids).copy()

    def step(self, token_ids: Integers) -> NDArray[np.float32]:
        """Go on with the next token of every sequence.

        Args:
            token_ids: integers [batch, 1], of the batch that was prefilled. More than one token
                a sequence are read at once.

        Returns:
            The last token's logits, float32 [batch, 1, vocab]. A new array.

        Raises:
            UsageError: nothing was prefilled, another shape or type, another batch, a token
                outside the vocabulary, or the context is full.
        """
        if self._decoder is None:
            raise UsageError("step() was called before prefill()", fix="prefill a prompt first")
        ids, batch, depth = self._ids(token_ids), self._decoder.batch, self._decoder.depth_tokens
        if len(ids) != batch:
            raise UsageError(
                f"a step for {len(ids)} sequences after a prefill of {batch}",
                fix=f"pass ids of the shape [{batch}, 1], or prefill {len(ids)} prompts first",
            )
        if depth + ids.shape[1] > self.context_tokens:
            raise UsageError(
                f"the context is full: {depth} of {self.context_tokens} tokens are in it, and"
                f" {ids.shape[1]} more were passed",
                fix=f"prefill a shorter prompt{self._more_context()}",
            )
        return self._decoder.step(ids).copy()

    @abstractmethod
    def _begin(self, batch: int) -> CachedDecoder:
        """A decoder of so many sequences, at their beginning."""

    @abstractmethod
    def _whole(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of every position of checked ids."""

    def _more_context(self) -> str:
        """The other way out of a full context, where the model takes more."""
        most = self.longest_tokens
        if self.context_tokens >= most:
            return ""
        return f", or load the model with context_tokens={most} or less"

    def _ids(self, token_ids: Integers) -> NDArray[np.int64]:
        """Check and convert ids, before anything of this object changes."""
        ids = whole_numbers(token_ids, "token ids", "batch", "[[1, 2, 3]]")
        check_vocabulary(ids, self.vocab_size)
        return ids


class LoadedDecoder(LoadedModel):
    """One decoder that was built here."""

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
        super().__init__(geometry.vocab_size, geometry.max_context_tokens, context_tokens)
        self.geometry = self._built = geometry
        self._graphs = graphs
        self._device = device
        self._threads = threads
        self._opened: dict[Path, OpenedSession] = {}

    def _begin(self, batch: int) -> CachedDecoder:
        """Bind a cache over the graph that gives the last token's logits."""
        opened = self._open(self._graphs[0])
        return DecoderSession(opened, self._built, batch, self.context_tokens)

    def _whole(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Run the graph that gives every token's logits, in one pass."""
        return GrowingDecoder(self._open(self._graphs[1]), self._built, len(ids)).prefill(ids)

    def _open(self, graph: Path) -> OpenedSession:
        if graph not in self._opened:
            self._opened[graph] = open_session(graph, self._device, self._threads)
        return self._opened[graph]
