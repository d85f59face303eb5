"""A session whose inputs and outputs are bound to memory of ours, once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Cache = Sequence[tuple[NDArray[Any], NDArray[Any]]]  # keys and values of each layer


class BoundDecoder:
    """A decoder over one cache and one place for its logits.

    The past and the present of each layer are bound to the same memory, which the attention
    operator then extends in place. The arrays must outlive this object: their addresses are bound.
    """

    def __init__(
        self, session: ort.InferenceSession, cache: Cache, logits: NDArray[np.float32]
    ) -> None:
        """Bind everything that no run changes.

        Args:
            session: of a decoder with the standard input and output names.
            cache: each [batch, kv_heads, capacity, head_dim], contiguous.
            logits: [batch, 1, vocab], contiguous.
        """
        self._session = session
        self._binding = session.io_binding()
        self._batch = logits.shape[0]
        self._ones = np.ones(self._batch * cache[0][0].shape[2], dtype=np.int64)
        self._ones_address = self._ones.ctypes.data
        for layer, (keys, values) in enumerate(cache):
            for half, buffer in (("key", keys), ("value", values)):
                self._bind_input(f"past_key_values.{layer}.{half}", buffer)
                self._bind_output(f"present.{layer}.{half}", buffer)
        self._bind_output("logits", logits)

    def read_ids(self, ids: NDArray[np.int64]) -> None:
        """Let the next runs read their tokens from `ids` [batch, tokens], contiguous."""
        self._bind_input("input_ids", ids)

    def see(self, total_tokens: int) -> None:
        """Let the next run see every one of the first positions: a mask of ones [batch, total]."""
        self._binding.bind_input(
            "attention_mask", "cpu", 0, np.int64, (self._batch, total_tokens), self._ones_address
        )

    def run(self) -> None:
        """Run, and nothing else."""
        self._session.run_with_iobinding(self._binding)

    def _bind_input(self, name: str, buffer: NDArray[Any]) -> None:
        """Let the graph read `buffer` where it lies."""
        self._binding.bind_input(name, "cpu", 0, buffer.dtype, buffer.shape, buffer.ctypes.data)

    def _bind_output(self, name: str, buffer: NDArray[Any]) -> None:
        """Let the graph write `buffer` where it lies."""
        self._binding.bind_output(name, "cpu", 0, buffer.dtype, buffer.shape, buffer.ctypes.data)
