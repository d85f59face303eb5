"""What every decoder of ours has in common: where it stands, its tokens, its logits."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.devices.session import OpenedSession
from harness.engine.buffers import aligned_zeros
from harness.engine.checks import check_rewind

CHUNK_TOKENS = 256  # of tokens that are run again: their activations fit into any memory


@dataclass(frozen=True, slots=True)
class Filled:
    """The first positions, where they hold values that were drawn and not those of tokens.

    Attributes:
        tokens: so many.
        drawn_tokens: of as many at once.
        seed: of them.
    """

    tokens: int = 0
    drawn_tokens: int = 0
    seed: int = 0

    def cut(self, depth_tokens: int) -> "Filled":
        """What is left of them before a depth."""
        return replace(self, tokens=min(self.tokens, depth_tokens))


class CachedDecoder(ABC):
    """One opened decoder over a cache of so many positions; a kind of graph adds how it runs.

    A subclass writes every run's logits to `_logits`, and moves `_depth_tokens`.

    Attributes:
        sessions: all that were opened for it, on one device.
        batch: sequences at once, all of the same length.
        vocab_size: last dimension of the logits.
        capacity_tokens: positions of the cache.
    """

    def __init__(
        self,
        sessions: Sequence[OpenedSession],
        batch: int,
        vocab_size: int,
        capacity_tokens: int,
    ) -> None:
        """Allocate what all kinds share; stand at the beginning."""
        self.sessions = tuple(sessions)
        self.batch = batch
        self.vocab_size = vocab_size
        self.capacity_tokens = capacity_tokens
        self._logits = aligned_zeros((batch, 1, vocab_size), np.float32)
        self._last_logits = self._logits[:, 0]  # the same memory as [batch, vocab]
        # the token at each position, and after the last one the choice that none reads
        self._history = aligned_zeros((capacity_tokens + 1, batch), np.int64)
        self._depth_tokens = 0

    @property
    def depth_tokens(self) -> int:
        """Positions of the cache in use."""
        return self._depth_tokens

    @property
    def next_ids(self) -> NDArray[np.int64]:
        """The token of each sequence that the next greedy step reads [batch], in place."""
        ids: NDArray[np.int64] = self._history[self._depth_tokens]
        return ids

    @property
    def last_logits(self) -> NDArray[np.float32]:
        """The logits of the last run [batch, vocab], in place: the next run overwrites them."""
        return self._last_logits

    @property
    def cache_memory(self) -> str | None:
        """Name of the device's memory that the cache stays in; None: the host's."""
        return None

    def prefill(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read all tokens of `ids` at once, after those already in the cache.

        Args:
            ids: [batch, tokens].

        Returns:
            The last token's logits [batch, 1, vocab]; the next run overwrites them.

        Raises:
            UsageError: another shape or type, a token outside the vocabulary, a full cache.
        """
        self.feed(ids)
        self.run()
        return self._logits

    def step(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read one token per sequence; as `prefill` of [batch, 1]."""
        return self.prefill(ids)

    def pick_greedy(self) -> None:
        """Make each sequence's most probable token the next one to be read."""
        self._last_logits.argmax(axis=1, out=self.next_ids)

    def chosen(self, first_tokens: int, count: int) -> NDArray[np.int64]:
        """The tokens at these positions, fed or chosen by steps: a copy [count, batch].

        Args:
            first_tokens: the first position.
            count: how many positions; the choice after the last step is one more.
        """
        return self._history[first_tokens : first_tokens + count].copy()

    def rewind(self, depth_tokens: int) -> None:
        """Forget every position from `depth_tokens` on; nothing is moved.

        Raises:
            UsageError: the cache holds fewer.
        """
        check_rewind(depth_tokens, self._depth_tokens)
        self._depth_tokens = depth_tokens

    def touch_cache(self) -> None:
        """Write every position of the cache; of one that is written as it is made, nothing."""
        return

    def download(self) -> NDArray[Any]:
        """What the last run has written where the cache lies, copied to the host."""
        return self._logits.copy()

    @abstractmethod
    def feed(self, ids: NDArray[np.int64]) -> None:
        """Everything that `prefill` does before the run: check, copy and bind `ids`."""

    @abstractmethod
    def run(self) -> None:
        """The run alone, over what was fed."""

    @abstractmethod
    def greedy_step(self) -> None:
        """A whole decode step: read `next_ids`, run, pick the next ones greedily (argmax).

        Raises:
            UsageError: the cache is full.
        """

    @abstractmethod
    def prepare_steps(self, first_tokens: int, steps: int) -> None:
        """Make ready, outside any timing, what greedy steps from this depth on need.

        Raises:
            UsageError: the cache does not hold so many positions.
        """

    @abstractmethod
    def fill(self, depth_tokens: int, seed: int) -> None:
        """Write seeded values into every position below `depth_tokens` and stand there.

        Raises:
            UsageError: more positions than the cache has.
        """
