"""What measures a model needs of it, however its graphs look."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.devices.session import OpenedSession


class Decoder(Protocol):
    """An open decoder over a cache of fixed size: `CachedDecoder`s are, and the tests' fakes."""

    @property
    def sessions(self) -> Sequence[OpenedSession]:
        """All that were opened for it, on one device."""

    @property
    def batch(self) -> int:
        """Sequences at once, all of the same length."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""

    @property
    def next_ids(self) -> NDArray[np.int64]:
        """The token of each sequence that the next step reads [batch], in place."""

    @property
    def last_logits(self) -> NDArray[np.float32]:
        """The logits of the last run [batch, vocab], in place."""

    @property
    def cache_memory(self) -> str | None:
        """Name of the device's memory that its cache stays in; None: the host's."""

    def fill(self, depth_tokens: int, seed: int) -> None:
        """Write seeded values into every position below `depth_tokens` and stand there."""

    def touch_cache(self) -> None:
        """Write every position of the cache that its runtime has not written yet: any values."""

    def rewind(self, depth_tokens: int) -> None:
        """Forget every position from `depth_tokens` on."""

    def feed(self, ids: NDArray[np.int64]) -> None:
        """Make the tokens [batch, tokens] ready for the next run."""

    def run(self) -> None:
        """The run alone."""

    def pick_greedy(self) -> None:
        """Make each sequence's most probable token the next one."""

    def greedy_step(self) -> None:
        """Read `next_ids`, run, pick the next ones greedily."""

    def prepare_steps(self, first_tokens: int, steps: int) -> None:
        """Make ready what greedy steps from this depth on need."""

    def chosen(self, first_tokens: int, count: int) -> NDArray[np.int64]:
        """The tokens at these positions [count, batch], a copy."""

    def prefill(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Feed and run; the last token's logits [batch, 1, vocab], in place."""

    def download(self) -> NDArray[Any]:
        """What the last run has written where the cache lies, copied to the host."""


class Encoder(Protocol):
    """An open encoder, fused or static."""

    @property
    def sessions(self) -> Sequence[OpenedSession]:
        """All that were opened for it, on one device."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The embeddings of the last run [sequences, hidden], in place."""

    def encode(
        self, ids: NDArray[np.int64], mask: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Feed and run; the embeddings, in place."""

    def feed(self, ids: NDArray[np.int64], mask: NDArray[np.int64] | None = None) -> None:
        """Make the texts [sequences, tokens] ready for the next run."""

    def run(self) -> None:
        """The run alone."""
