"""A static encoder over one session per shape: texts run in the smallest shape that holds them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.builder.graph.geometry import EMBEDDING
from harness.builder.graph.static.feed import encoder_inputs, write_text_mask
from harness.builder.graph.static.geometry import StaticEncoderGeometry, TextShape
from harness.core.errors import UsageError
from harness.devices.session import OpenedSession
from harness.engine.buffers import aligned_zeros
from harness.engine.checks import check_texts

Ids = NDArray[np.int64]


class StaticEncoder:
    """One opened static encoder; what `EncoderSession` is for the fused one.

    Attributes:
        geometry: the fixed shapes.
        sessions: one for each shape, in the same order.
    """

    def __init__(self, sessions: Sequence[OpenedSession], geometry: StaticEncoderGeometry) -> None:
        """Allocate and bind everything."""
        self.geometry = geometry
        self.sessions = tuple(sessions)
        pairs = zip(sessions, geometry.shapes, strict=True)
        self._graphs = [_BoundShape(opened, geometry, shape) for opened, shape in pairs]
        self._fed = self._graphs[0]
        self._texts = 0

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""
        return self.geometry.vocab_size

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The embeddings of the last run [sequences, hidden], in place."""
        return self._fed.embeddings[: self._texts]

    def encode(self, ids: Ids, mask: Ids | None = None) -> NDArray[np.float32]:
        """Read `ids` [sequences, tokens] in one pass; the next run overwrites what is returned.

        Args:
            ids: token ids.
            mask: 1 where a token is seen, 0 where it only fills; None: all are seen.

        Raises:
            UsageError: another shape or type, a token outside the vocabulary, too many tokens or
                texts for every shape.
        """
        self.feed(ids, mask)
        self.run()
        return self.embeddings

    def feed(self, ids: Ids, mask: Ids | None = None) -> None:
        """Everything that `encode` does before the run: check, choose a graph, pad and copy."""
        check_texts(ids, mask, self.geometry.vocab_size, self.geometry.longest_tokens)
        self._fed, self._texts = self._graph_for(*ids.shape), len(ids)
        self._fed.feed(ids, mask)

    def run(self) -> None:
        """The run alone, over what was fed."""
        self._fed.run()

    def _graph_for(self, sequences: int, tokens: int) -> "_BoundShape":
        """Return the graph of the fewest token places that holds so many texts of such length.

        Raises:
            UsageError: none does.
        """
        able = [
            graph
            for graph in self._graphs
            if graph.shape.sequences >= sequences and graph.shape.tokens >= tokens
        ]
        if not able:
            built = ", ".join(f"{s.tokens}x{s.sequences}" for s in self.geometry.shapes)
            raise UsageError(
                f"{sequences} texts of {tokens} tokens fit no graph of this encoder",
                fix=f"it was built for {built}",
            )
        return min(able, key=lambda graph: graph.shape.tokens * graph.shape.sequences)


class _BoundShape:
    """One graph, bound to its inputs and its embeddings."""

    def __init__(
        self, opened: OpenedSession, geometry: StaticEncoderGeometry, shape: TextShape
    ) -> None:
        """Allocate what this graph needs; token types stay 0, those of a single text."""
        self.shape = shape
        self.embeddings = aligned_zeros((shape.sequences, geometry.hidden_size), np.float32)
        self._inputs: dict[str, NDArray[Any]] = {}
        self._binding = opened.session.io_binding()
        self._run = opened.session.run_with_iobinding
        for name, initial in encoder_inputs(geometry, shape).items():
            array = aligned_zeros(initial.shape, initial.dtype)
            array[...] = initial
            self._inputs[name] = array
            self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        value = ort.OrtValue.ortvalue_from_numpy(self.embeddings)
        self._binding.bind_ortvalue_output(EMBEDDING, value)
        self._shares = self._inputs.get(
            "token_shares", np.empty((shape.sequences, shape.tokens), np.float32)
        )

    def feed(self, ids: Ids, mask: Ids | None) -> None:
        """Write texts, and padding behind and below them."""
        texts, tokens = ids.shape
        self._inputs["input_ids"][...] = 0
        self._inputs["input_ids"][:texts, :tokens] = ids
        seen = np.zeros((self.shape.sequences, self.shape.tokens), np.bool_)
        seen[:texts, :tokens] = True if mask is None else mask != 0
        write_text_mask(self._inputs["attention_mask"], self._shares, seen)

    def run(self) -> None:
        """The run alone."""
        self._run(self._binding)
