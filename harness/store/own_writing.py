"""What the matrices of a decoder read while it writes, for levels that are rounded by it.

A model's own writing is like what it was trained on, whatever that was, and asks for no text and no
tokenizer. Measured on models/bytelm, which was trained on programs, in blocks of 128 and 64 that
fit: rounded by 14,336 tokens of its own it loses 0.0060 nats a token, by an English text of as many
0.0075, by none 0.0115. Source of the idea: Liu et al. 2023, LLM-QAT, arXiv:2305.17888.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry
from harness.builder.graph.matrix import EMBEDDING
from harness.builder.graph.product_inputs import ProductInput, giving, product_inputs
from harness.builder.graph.rules import ALL_LOGITS_FILE
from harness.builder.quantize.compensate import column_shares
from harness.builder.quantize.pack import Floats
from harness.core.errors import ModelError
from harness.core.units import GIB
from harness.devices.device import find_device
from harness.devices.session import open_mapped, open_session
from harness.engine.growing import GrowingDecoder

SEQUENCES, TOKENS = 56, 256
THREADS = 1  # the same tokens on every machine of one kind, however many cores it has
HELD_BYTES = 2 * GIB  # of sums; all that was written is read again for each part of so many

Ids = NDArray[np.int64]


def own_writing(graph: Path, geometry: DecoderGeometry, seed: int) -> Ids:
    """Let a model write: tokens [SEQUENCES, TOKENS], each drawn by its probability.

    Sequences begin with tokens that are drawn evenly; shorter ones where the context ends.

    Args:
        graph: gives the logits of the last token.
        geometry: of it.
        seed: of the draws.
    """
    generator = np.random.default_rng((seed, geometry.vocab_size))
    decoder = GrowingDecoder(open_session(graph, find_device("cpu"), THREADS), geometry, SEQUENCES)
    written = [generator.integers(0, geometry.vocab_size, (SEQUENCES, 1), dtype=np.int64)]
    for _ in range(min(TOKENS, geometry.max_context_tokens) - 1):
        logits = decoder.prefill(written[-1])[:, -1]
        shares = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1, dtype=np.float64)
        drawn = generator.random((SEQUENCES, 1)) * shares[:, -1:]
        written.append((shares > drawn).argmax(axis=1)[:, np.newaxis])
    return np.concatenate(written, axis=1)


class OwnInputs:
    """Shares of what each matrix reads, by its name, in the order in which matrices are stored.

    Sums are made for a few layers at a time: those of 8,192 inputs take 256 MiB.
    """

    def __init__(self, graph: Path, geometry: DecoderGeometry, seed: int) -> None:
        """Let a model write, and find its matrices.

        Args:
            graph: of blocks, all of them MatMulNBits; beside the one with every token's logits.
            geometry: of it.
            seed: of what it writes.
        """
        self._written = own_writing(graph, geometry, seed)
        # the one with every token's logits: its head reads all tokens too
        self._graph, self._geometry = graph.with_name(ALL_LOGITS_FILE), geometry
        self._read = product_inputs(self._graph)
        self._read.pop(EMBEDDING, None)
        self._sums: dict[ProductInput, Floats] = {}
        self._last: tuple[ProductInput, Floats] | None = None

    def __call__(self, matrix: str) -> Floats | None:
        """Return the shares of a matrix's inputs; None: no product reads it, or look-ups do too.

        Raises:
            ModelError: what it reads is not finite.
        """
        read = self._read.get(matrix)
        if read is None:
            return None
        if self._last is None or self._last[0] != read:
            if read not in self._sums:
                self._sums = self._summed(self._next(read))
            self._last = read, column_shares(self._sums.pop(read))
        return self._last[1]

    def _next(self, first: ProductInput) -> list[ProductInput]:
        """Return inputs in the graph's order from one on, as many as are held at once."""
        every, held_bytes = list(dict.fromkeys(self._read.values())), 0
        chosen: list[ProductInput] = []
        for read in every[every.index(first) :]:
            held_bytes += 4 * read.width**2
            if chosen and held_bytes > HELD_BYTES:
                break
            chosen.append(read)
        return chosen

    def _summed(self, reads: list[ProductInput]) -> dict[ProductInput, Floats]:
        """Read what was written, and return Σ x · xᵀ of each input.

        Raises:
            ModelError: a value is not finite.
        """
        names = [read.name for read in reads]
        session = open_mapped(giving(self._graph, names), self._graph.parent, prepacked=True)
        sums = {read: np.zeros((read.width,) * 2, np.float32) for read in reads}
        for ids in self._written:
            given = session.run(names, self._feed(ids[np.newaxis]))
            for read, values in zip(reads, given, strict=True):
                rows = values.reshape(-1, read.width)
                sums[read] += rows.T @ rows
        if not all(np.isfinite(one).all() for one in sums.values()):
            raise ModelError(
                "what a matrix reads while the model writes is not finite: no rounding follows it",
                fix="a level that needs no writing, such as int4-kquant",
            )
        return sums

    def _feed(self, ids: Ids) -> dict[str, NDArray[np.generic]]:
        """Return the inputs of a pass from an empty cache."""
        empty = {held.past: np.zeros(held.shape(1, 0), held.dtype) for held in self._geometry.held}
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), **empty}
