"""An encoder to call from Python: embeddings of token ids."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import EncoderGeometry
from harness.core.errors import UsageError
from harness.devices.device import Device
from harness.devices.session import open_session
from harness.engine.checks import Integers, check_vocabulary, whole_numbers
from harness.engine.encoder import EncoderSession
from harness.engine.exported.geometry import ExportedGeometry


class LoadedEncoder(ABC):
    """One text encoder, built here or exported, opened when it is first called.

    Attributes:
        geometry: shapes of the graph, or what was recognised of an export.
        vocab_size: one more than the largest token id.
        longest_tokens: the longest text that the model takes.
    """

    geometry: EncoderGeometry | ExportedGeometry

    def __init__(self, vocab_size: int, longest_tokens: int) -> None:
        """Open nothing yet.

        Args:
            vocab_size: one more than the largest token id.
            longest_tokens: that the model takes.
        """
        self.vocab_size = vocab_size
        self.longest_tokens = longest_tokens

    def embed(
        self, token_ids: Integers, attention_mask: Integers | None = None
    ) -> NDArray[np.float32]:
        """Return the sentence embeddings of one batch of texts.

        Args:
            token_ids: integers [texts, tokens], special tokens included; short texts are filled
                up, so that all have the length of the longest.
            attention_mask: integers [texts, tokens], 1 where a token counts, 0 where it only
                fills; at least one 1 a text. None: all count.

        Returns:
            float32 [texts, hidden], each of length 1; of an export what its graph gives: vectors of
            texts, or [texts, tokens, hidden] where it does not pool them. A new array.

        Raises:
            UsageError: another shape or type, a token outside the vocabulary, too long a text, or
                a mask of another shape, with other values than 0 and 1, or of a text without a 1.
        """
        ids = whole_numbers(token_ids, "token ids", "texts", "[[101, 2023, 102]]")
        check_vocabulary(ids, self.vocab_size)
        longest = self.longest_tokens
        if ids.shape[1] > longest:
            raise UsageError(
                f"{ids.shape[1]} tokens are more than a text of this model may have, {longest}",
                fix=f"pass 1 to {longest} tokens a text, such as ids[:, :{longest}]",
            )
        mask = None if attention_mask is None else _mask(attention_mask, ids.shape)
        return self._vectors(ids, mask)

    @abstractmethod
    def _vectors(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64] | None
    ) -> NDArray[np.float32]:
        """What one pass over checked texts gives, a new array."""


class LoadedTextEncoder(LoadedEncoder):
    """One encoder that was built here."""

    def __init__(
        self, graph: Path, geometry: EncoderGeometry, device: Device, threads: int
    ) -> None:
        """Keep what is needed to open the session.

        Args:
            graph: the ONNX file.
            geometry: its shapes.
            device: where it runs.
            threads: intra-op threads.
        """
        super().__init__(geometry.vocab_size, geometry.max_context_tokens)
        self.geometry = self._built = geometry
        self._graph = graph
        self._device = device
        self._threads = threads
        self._session: EncoderSession | None = None

    def _vectors(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64] | None
    ) -> NDArray[np.float32]:
        """Run the bound graph."""
        if self._session is None:
            opened = open_session(self._graph, self._device, self._threads)
            self._session = EncoderSession(opened, self._built)
        return self._session.encode(ids, mask).copy()


def _mask(values: Integers, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Check and convert a mask for ids of this shape."""
    mask = whole_numbers(values, "the attention mask's values", "texts", "[[1, 1, 0]]")
    if mask.shape != shape:
        raise UsageError(
            f"the attention mask has the shape {list(mask.shape)}, the token ids {list(shape)}",
            fix="pass one 0 or 1 per token id",
        )
    if mask.min() < 0 or mask.max() > 1:
        raise UsageError(
            f"the attention mask holds {mask.min()} to {mask.max()}",
            fix="pass 1 where a token counts, 0 where it only fills",
        )
    empty = np.flatnonzero(mask.max(axis=1) == 0)
    if len(empty):
        raise UsageError(
            f"the attention mask of text {empty[0]} hides all its tokens",
            fix="leave the text out: without a token it has no embedding",
        )
    return mask
