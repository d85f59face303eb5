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
        scores: whether it gives scores, not embeddings.
        token_types: one more than the largest type of a token; 0: it reads none.
    """

    geometry: EncoderGeometry | ExportedGeometry
    scores = False
    token_types = 0

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
                a mask of another shape, with other values than 0 and 1, or of a text without a 1;
                or a model that gives scores.
        """
        if self.scores:
            raise UsageError(
                "this model gives scores of texts, not embeddings",
                fix="model.score(token_ids, attention_mask, token_type_ids)",
            )
        return self._vectors(*self._checked(token_ids, attention_mask), None)

    def score(
        self,
        token_ids: Integers,
        attention_mask: Integers | None = None,
        token_type_ids: Integers | None = None,
    ) -> NDArray[np.float32]:
        """Return what a classifier, such as a reranker, gives for one batch of texts.

        Args:
            token_ids: as of embed; a pair is one text, with the tokens that part it.
            attention_mask: as of embed.
            token_type_ids: integers [texts, tokens], 1 in the second part of a pair; None: all 0.
                Of a model without token types they are not read.

        Returns:
            float32 [texts, scores], as they leave the last matrix. A new array.

        Raises:
            UsageError: as embed; token types of another shape or with other values than the model
                has; or a model that gives embeddings.
        """
        if not self.scores:
            raise UsageError(
                "this model gives embeddings, not scores",
                fix="model.embed(token_ids), or a reranker such as bge-reranker-v2-m3",
            )
        ids, mask = self._checked(token_ids, attention_mask)
        types = None if token_type_ids is None else self._types(token_type_ids, ids.shape)
        return self._vectors(ids, mask, types)

    def _types(self, values: Integers, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Check and convert token types for ids of this shape."""
        types = whole_numbers(values, "token types", "texts", "[[0, 0, 1]]")
        if types.shape != shape:
            raise UsageError(
                f"the token types have the shape {list(types.shape)}, the token ids {list(shape)}",
                fix="pass one type per token id",
            )
        if types.min() < 0 or (self.token_types and types.max() >= self.token_types):
            raise UsageError(
                f"the token types hold {types.min()} to {types.max()}",
                fix=f"pass types from 0 to {max(self.token_types - 1, 0)}",
            )
        return types

    def _checked(
        self, token_ids: Integers, attention_mask: Integers | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Check and convert texts and their mask."""
        ids = whole_numbers(token_ids, "token ids", "texts", "[[101, 2023, 102]]")
        check_vocabulary(ids, self.vocab_size)
        longest = self.longest_tokens
        if ids.shape[1] > longest:
            raise UsageError(
                f"{ids.shape[1]} tokens are more than a text of this model may have, {longest}",
                fix=f"pass 1 to {longest} tokens a text, such as ids[:, :{longest}]",
            )
        return ids, None if attention_mask is None else _mask(attention_mask, ids.shape)

    @abstractmethod
    def _vectors(
        self,
        ids: NDArray[np.int64],
        mask: NDArray[np.int64] | None,
        types: NDArray[np.int64] | None,
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
        self.scores, self.token_types = geometry.scores, geometry.token_types
        self._graph = graph
        self._device = device
        self._threads = threads
        self._session: EncoderSession | None = None

    def _vectors(
        self,
        ids: NDArray[np.int64],
        mask: NDArray[np.int64] | None,
        types: NDArray[np.int64] | None,
    ) -> NDArray[np.float32]:
        """Run the bound graph; where tokens see only those before them, filling goes behind."""
        if self._session is None:
            opened = open_session(self._graph, self._device, self._threads)
            self._session = EncoderSession(opened, self._built)
        if mask is not None and self._built.causal:
            ids, mask = _seen_first(ids, mask)
        return self._session.encode(ids, mask, types).copy()


def _seen_first(
    ids: NDArray[np.int64], mask: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return texts and masks with the seen tokens at the front, in their order."""
    order = np.argsort(mask == 0, axis=1, kind="stable")
    return np.take_along_axis(ids, order, 1), np.take_along_axis(mask, order, 1)


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
