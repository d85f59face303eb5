"""A decoder whose cache grows: every run returns a new, longer one. Slow, simple, and the proof.

The in-place cache of `DecoderSession` must give the same logits bit for bit. It is also the way to
run a graph with every position's logits, where the output's size follows the input's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry
from harness.devices.session import OpenedSession


class GrowingDecoder:
    """One opened decoder at one batch size, of any length.

    Attributes:
        geometry: shapes and types of the graph.
    """

    def __init__(self, opened: OpenedSession, geometry: DecoderGeometry, batch: int) -> None:
        """Begin with an empty cache."""
        self.geometry = geometry
        self._session = opened.session
        shape = (batch, geometry.num_kv_heads, 0, geometry.stored_width)
        self._cache = {
            f"{layer}.{half}": np.zeros(shape, geometry.kv_dtype)
            for layer in range(geometry.num_layers)
            for half in ("key", "value")
        }

    @property
    def depth_tokens(self) -> int:
        """Positions of the cache in use."""
        return int(self._cache["0.key"].shape[2])

    def half(self, layer: int, name: str) -> NDArray[Any]:
        """The `key` or `value` tensor of one layer [batch, kv_heads, depth, stored width]."""
        return self._cache[f"{layer}.{name}"]

    def prefill(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read `ids` [batch, tokens] after those already in the cache.

        Returns:
            A new array: the last token's logits [batch, 1, vocab], or every token's
            [batch, tokens, vocab], as the graph gives them.
        """
        mask = np.ones((ids.shape[0], self.depth_tokens + ids.shape[1]), dtype=np.int64)
        feeds: dict[str, NDArray[Any]] = {"input_ids": ids, "attention_mask": mask}
        feeds |= {f"past_key_values.{name}": past for name, past in self._cache.items()}
        outputs = ["logits", *(f"present.{name}" for name in self._cache)]
        logits, *present = self._session.run(outputs, feeds)
        self._cache = dict(zip(self._cache, present, strict=True))
        result: NDArray[np.float32] = logits
        return result

    def step(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read one token per sequence; as `prefill` of [batch, 1]."""
        return self.prefill(ids)

    def first_bad_layer(self) -> int | None:
        """The first layer whose cached keys or values are not all finite; None: all are."""
        for layer in range(self.geometry.num_layers):
            halves = (self.half(layer, name) for name in ("key", "value"))
            if not all(np.isfinite(half).all() for half in halves):
                return layer
        return None
