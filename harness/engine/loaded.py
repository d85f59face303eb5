"""A built model to call from Python: logits of a whole text, or prefill and steps."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry
from harness.core.errors import UsageError
from harness.devices.device import Device
from harness.devices.session import OpenedSession, open_session
from harness.engine.checks import Integers, check_vocabulary, whole_numbers
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

    def logits(self, token_ids: Integers) -> NDArray[np.float32]:
        """Return the logits of every position, in one pass without a cache.

        Args:
            token_ids: integers [batch, tokens], of any batch; at most as many tokens as the model
                takes (`geometry.max_context_tokens`), whatever `context_tokens` is.

        Returns:
            float32 [batch, tokens, vocab]; row t predicts token t + 1. A new array.

        Raises:
            UsageError: another shape or type, a token outside the vocabulary, too many tokens.
        """
        ids = self._ids(token_ids)
        longest = self.geometry.max_context_tokens
        if ids.shape[1] > longest:
            raise UsageError(
                f"{ids.shape[1]} tokens are more than the context of this model, {longest}",
                fix=f"pass 1 to {longest} tokens, such as ids[:, -{longest}:]",
            )
        return GrowingDecoder(self._open(self._graphs[1]), self.geometry, len(ids)).prefill(ids)

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
            opened = self._open(self._graphs[0])
            self._decoder = DecoderSession(opened, self.geometry, len(ids), self.context_tokens)
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

    def _more_context(self) -> str:
        """The other way out of a full context, where the model takes more."""
        most = self.geometry.max_context_tokens
        if self.context_tokens >= most:
            return ""
        return f", or load the model with context_tokens={most} or less"

    def _open(self, graph: Path) -> OpenedSession:
        if graph not in self._opened:
            self._opened[graph] = open_session(graph, self._device, self._threads)
        return self._opened[graph]

    def _ids(self, token_ids: Integers) -> NDArray[np.int64]:
        """Check and convert ids, before anything of this object changes."""
        ids = whole_numbers(token_ids, "token ids", "batch", "[[1, 2, 3]]")
        check_vocabulary(ids, self.geometry.vocab_size)
        return ids
