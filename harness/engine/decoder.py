"""A decoder with its cache bound in place: prefill, one step, and the whole greedy step.

Everything is allocated once. After a run the processor's caches hold weights, not this program, so
every line that a step executes costs several times what it costs in a loop of its own. A greedy
step therefore executes next to none: each position of the cache has a binding of its own, made
before, which reads its token where the step before it has put its choice.

Keys and values of earlier tokens stay where they are, so rewinding moves nothing. A recurrent
state has forgotten what it was: it is zeroed for the beginning, copied back where it was kept for
the same tokens, and else made again by running them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry
from harness.core.errors import UsageError
from harness.devices.session import OpenedSession
from harness.engine.binding import BoundDecoder, Late
from harness.engine.buffers import aligned_zeros, fill_cache
from harness.engine.cached import CachedDecoder
from harness.engine.checks import check_ids, check_rewind, check_room
from harness.engine.passes import seeded_ids

CHUNK_TOKENS = 256  # of tokens that are run again: their activations fit into any memory
# what runs at a position, and where its choice is written
_Step = tuple[ort.IOBinding | Late, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Recurrent states, and the tokens [depth, batch] that led to them."""

    tokens: NDArray[np.int64]
    values: tuple[NDArray[Any], ...]

    def is_of(self, history: NDArray[np.int64], depth_tokens: int) -> bool:
        """Whether they are those of so many tokens of a history."""
        same_depth = len(self.tokens) == depth_tokens
        return same_depth and np.array_equal(self.tokens, history[:depth_tokens])


class DecoderSession(CachedDecoder):
    """One opened decoder at one batch size, with room for `capacity_tokens` positions.

    Attributes:
        geometry: shapes and types of the graph.
    """

    def __init__(
        self, opened: OpenedSession, geometry: DecoderGeometry, batch: int, capacity_tokens: int
    ) -> None:
        """Allocate and bind everything.

        Raises:
            UsageError: more positions than the model takes, or less than one.
        """
        if not 1 <= capacity_tokens <= geometry.max_context_tokens:
            raise UsageError(
                f"a cache of {capacity_tokens} tokens does not fit this model, which takes 1 to "
                f"{geometry.max_context_tokens}",
                fix="ask for less depth, prompt or gen",
            )
        super().__init__((opened,), batch, geometry.vocab_size, capacity_tokens)
        self.geometry = geometry
        self._cache = [
            (held, aligned_zeros(held.shape(batch, capacity_tokens), held.dtype))
            for held in geometry.held
        ]
        self._states = [(held, array) for held, array in self._cache if not held.grows]
        self._kept: _Kept | None = None
        self._ids: dict[int, NDArray[np.int64]] = {}  # one buffer per number of tokens fed at once
        self._session = opened.session
        self._argmax = self._last_logits.argmax
        memory, index = self.cache_memory, opened.device.index
        self._whole = BoundDecoder(opened.session, self._cache, self._logits, memory, index)
        self._run = self._whole.run_bound  # found once, not in every step
        self._rows: Sequence[BoundDecoder] = ()
        self._fed: Sequence[BoundDecoder] = ()
        self._fed_tokens = 0
        self._steps: dict[int, _Step] = {}

    @property
    def cache_memory(self) -> str | None:
        """Name of the device's memory that the cache stays in; None: the host's."""
        return self.sessions[0].device.row.memory

    def feed(self, ids: NDArray[np.int64]) -> None:
        """Everything that `prefill` does before the run: check, copy and bind `ids`."""
        check_ids(ids, self.batch, self.geometry.vocab_size)
        tokens = ids.shape[1]
        check_room(self._depth_tokens, tokens, self.capacity_tokens)
        buffer = self._ids.setdefault(tokens, aligned_zeros((self.batch, tokens), np.int64))
        buffer[...] = ids
        if self._states:
            self._history[self._depth_tokens : self._depth_tokens + tokens] = ids.T
        one_by_one = self.batch > 1 and tokens > 1 and self._depth_tokens > 0
        self._fed = self._bound_rows() if one_by_one else (self._whole,)
        inputs = np.split(buffer, self.batch) if one_by_one else [buffer]
        for bound, part in zip(self._fed, inputs, strict=True):
            bound.feed(part, self._depth_tokens + tokens)
        self._fed_tokens = tokens

    def run(self) -> None:
        """The run alone, over what was fed."""
        for bound in self._fed:
            bound.run()
        self._depth_tokens += self._fed_tokens

    def greedy_step(self) -> None:
        """A whole decode step: read `next_ids`, run, pick the next ones greedily (argmax).

        Raises:
            UsageError: the cache is full.
        """
        depth_tokens = self._depth_tokens
        if depth_tokens not in self._steps:
            self.prepare_steps(depth_tokens, 1)
        binding, choice = self._steps[depth_tokens]
        self._run(binding)
        self._argmax(1, choice)
        self._depth_tokens = depth_tokens + 1

    def prepare_steps(self, first_tokens: int, steps: int) -> None:
        """Make, outside any timing, the bindings of greedy steps, and drop all others.

        Takes about 0.3 ms and 20 kB a step.

        Args:
            first_tokens: depth of the first step.
            steps: how many, one position each.

        Raises:
            UsageError: the cache does not hold so many positions.
        """
        check_room(first_tokens, steps, self.capacity_tokens)
        self._steps = {
            depth: self._steps.get(depth) or self._make_step(depth)
            for depth in range(first_tokens, first_tokens + steps)
        }

    def fill(self, depth_tokens: int, seed: int) -> None:
        """Write seeded values into every position below `depth_tokens` and stand there.

        Written, not left to the system's lazily given zero pages, which hide memory and time. With
        recurrent states seeded tokens are run: no random state is one that tokens lead to.

        Raises:
            UsageError: more positions than the cache has.
        """
        check_room(0, depth_tokens, self.capacity_tokens)
        if self._states:
            self._history[:depth_tokens] = seeded_ids(
                seed, self.batch, max(1, depth_tokens), self.vocab_size
            ).T[:depth_tokens]
            self._run_again(depth_tokens)
            return
        for number, (_, buffer) in enumerate(self._cache):
            seeds = (seed, *divmod(number, 2))  # layer, and key or value
            fill_cache(buffer[:, :, :depth_tokens], self.geometry.cache, seeds)
        self._whole.upload(self._cache)
        self._depth_tokens = depth_tokens

    def rewind(self, depth_tokens: int) -> None:
        """Forget every position from `depth_tokens` on; states are brought back to what they were.

        Raises:
            UsageError: the cache holds fewer.
        """
        check_rewind(depth_tokens, self._depth_tokens)
        if self._states and depth_tokens != self._depth_tokens:
            self._bring_back(depth_tokens)
        self._depth_tokens = depth_tokens

    def _bring_back(self, depth_tokens: int) -> None:
        """Make the states those of so many tokens of the history."""
        kept = self._kept
        if kept is not None and kept.is_of(self._history, depth_tokens):
            for (_, state), values in zip(self._states, kept.values, strict=True):
                state[...] = values
            self._whole.upload(self._states)
            return
        self._run_again(depth_tokens)
        if depth_tokens:
            self._whole.keep(self._states)
            copies = tuple(state.copy() for _, state in self._states)
            self._kept = _Kept(self._history[:depth_tokens].copy(), copies)

    def _run_again(self, depth_tokens: int) -> None:
        """Run the tokens of the history from the beginning, and stand behind them."""
        for _, state in self._states:
            state[...] = 0
        self._whole.upload(self._states)
        self._depth_tokens = 0
        while self._depth_tokens < depth_tokens:
            end = min(self._depth_tokens + CHUNK_TOKENS, depth_tokens)
            self.feed(self._history[self._depth_tokens : end].T)
            self.run()

    def download(self) -> NDArray[Any]:
        """What the last layer has written into the device's cache, copied to the host."""
        return self._whole.download()

    def _make_step(self, depth_tokens: int) -> _Step:
        """What one greedy step at this depth needs."""
        ids = self._history[depth_tokens].reshape(self.batch, 1)
        return self._whole.bind(ids, depth_tokens + 1), self._history[depth_tokens + 1]

    def _bound_rows(self) -> Sequence[BoundDecoder]:
        """One binding per sequence, each over its own part of the cache and the logits.

        ONNX Runtime's attention takes several new tokens on a filled cache at batch 1 only
        ("batch_size must be 1 when sequence_length > 1 and past context is given"), so a batch
        continues its prompts one sequence after another.

        Raises:
            UsageError: the cache lies in a device's memory, of which there are no parts.
        """
        if self.cache_memory is not None:
            raise UsageError(
                f"{self.sessions[0].device.key} cannot read prompts of a batch from a filled cache",
                fix="--batch 1, or --depth 0 for prompts",
            )
        if not self._rows:
            self._rows = [
                BoundDecoder(
                    self._session,
                    [(held, array[row]) for held, array in self._cache],
                    self._logits[row],
                )
                for row in (slice(row, row + 1) for row in range(self.batch))
            ]
        return self._rows
