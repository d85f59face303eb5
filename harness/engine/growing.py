"""A decoder whose cache grows: every run returns a new, longer one. Slow, simple, and the proof.

The in-place cache of `DecoderSession` must give the same logits bit for bit. It is also the way to
run a graph with every position's logits, where the output's size follows the input's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry, Held
from harness.devices.session import OpenedSession


class GrowingDecoder:
    """One opened decoder at one batch size, of any length.

    Attributes:
        geometry: shapes and types of the graph.
    """

    def __init__(self, opened: OpenedSession, geometry: DecoderGeometry, batch: int) -> None:
        """Begin with an empty cache, and states of zeros."""
        self.geometry = geometry
        self._session = opened.session
        self._held: dict[Held, NDArray[Any]] = {
            held: np.zeros(held.shape(batch, 0), held.dtype) for held in geometry.held
        }
        self._depth_tokens = 0

    @property
    def depth_tokens(self) -> int:
        """Positions of the cache in use."""
        return self._depth_tokens

    def half(self, layer: int, name: str) -> NDArray[Any]:
        """The `key` or `value` tensor of one layer [batch, kv_heads, depth, stored width]."""
        return self.kept(f"present.{layer}.{name}")

    def kept(self, present: str) -> NDArray[Any]:
        """What the last run has left under a name of its outputs."""
        return next(array for held, array in self._held.items() if held.present == present)

    def prefill(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read `ids` [batch, tokens] after those already in the cache.

        Returns:
            A new array: the last token's logits [batch, 1, vocab], or every token's
            [batch, tokens, vocab], as the graph gives them.
        """
        mask = np.ones((ids.shape[0], self.depth_tokens + ids.shape[1]), dtype=np.int64)
        feeds: dict[str, NDArray[Any]] = {"input_ids": ids, "attention_mask": mask}
        feeds |= {held.past: past for held, past in self._held.items()}
        outputs = ["logits", *(held.present for held in self._held)]
        logits, *present = self._session.run(outputs, feeds)
        self._held = dict(zip(self._held, present, strict=True))
        self._depth_tokens += ids.shape[1]
        result: NDArray[np.float32] = logits
        return result

    def step(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read one token per sequence; as `prefill` of [batch, 1]."""
        return self.prefill(ids)

    def first_bad_layer(self) -> int | None:
        """The first layer that keeps something that is not finite; None: all are."""
        bad = (
            int(held.present.split(".")[1])
            for held, array in self._held.items()
            if not np.isfinite(array).all()
        )
        return min(bad, default=None)
