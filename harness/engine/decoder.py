"""A decoder with its cache bound in place: prefill, one step, and the whole greedy step.

Everything is allocated once. After a run the processor's caches hold weights, not this program, so
every line that a step executes costs several times what it costs in a loop of its own. A greedy
step therefore executes next to none: each position of the cache has a binding of its own, made
before, which reads its token where the step before it has put its choice.

Keys and values of earlier tokens stay where they are, so rewinding moves nothing. A recurrent
state has forgotten what it was, and a cache of a window what has left it: it is begun anew, copied
back where it was kept for the same tokens, and else made again by running them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.builder.graph.geometry import DecoderGeometry, Held
from harness.core.errors import UsageError
from harness.devices.session import OpenedSession
from harness.engine.binding import BoundDecoder, Cache, Late
from harness.engine.buffers import aligned_zeros, fill_cache
from harness.engine.cached import CHUNK_TOKENS, CachedDecoder, Filled
from harness.engine.checks import check_ids, check_rewind, check_room
from harness.engine.passes import seeded_ids
from harness.models.specs.layers import kept_rows

# what runs at a position, and where its choice is written
_Step = tuple[ort.IOBinding | Late, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Recurrent states and caches of windows, and the tokens [depth, batch] that led to them."""

    filled: Filled
    tokens: NDArray[np.int64]
    values: tuple[NDArray[Any], ...]

    def is_of(self, filled: Filled, history: NDArray[np.int64], depth_tokens: int) -> bool:
        """Whether they are those of so many positions of a history."""
        same_depth = len(self.tokens) == depth_tokens and self.filled == filled
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
        self._sliding = [(held, array) for held, array in self._cache if held.window_tokens]
        self._filled = Filled()
        self._kept: _Kept | None = None
        self._ids: dict[int, NDArray[np.int64]] = {}  # one buffer per number of tokens fed at once
        self._session = opened.session
        self._argmax = self._last_logits.argmax
        memory, index = self.cache_memory, opened.device.index
        self._whole = BoundDecoder(
            opened.session, self._cache, self._logits, capacity_tokens, memory, index
        )
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
        if self._states or self._sliding:
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

    def touch_cache(self) -> None:
        """Write every position of the cache, which the system has only promised so far."""
        for _, array in self._cache if self.cache_memory is None else ():
            array[...] = 0
        self.rewind(0)

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
        self._filled = Filled(depth_tokens, depth_tokens, seed)
        self._draw(self._cache)
        self._whole.upload(self._cache)
        self._depth_tokens = depth_tokens

    def rewind(self, depth_tokens: int) -> None:
        """Forget every position from `depth_tokens` on.

        States, and windows that have moved since, are brought back to what they were.

        Raises:
            UsageError: the cache holds fewer.
        """
        check_rewind(depth_tokens, self._depth_tokens)
        self._filled = self._filled.cut(depth_tokens)
        if depth_tokens != self._depth_tokens and not self._stays(depth_tokens):
            self._bring_back(depth_tokens)
        self._depth_tokens = depth_tokens

    def _stays(self, depth_tokens: int) -> bool:
        """Whether all that a depth needs still lies where it lay then."""
        if self._states or not depth_tokens:
            return not self._states
        gone_tokens = self._depth_tokens - depth_tokens
        return all(
            self._held_rows(held, array, self._depth_tokens)
            == self._held_rows(held, array, depth_tokens) + gone_tokens
            for held, array in self._sliding
        )

    def _held_rows(self, held: Held, array: NDArray[Any], tokens: int) -> int:
        """Rows of a cache that hold the last of so many tokens."""
        return kept_rows(held.window_tokens, array.shape[2], tokens)

    def _bring_back(self, depth_tokens: int) -> None:
        """Make states and windows those of so many positions of the history."""
        kept, moving = self._kept, [*self._states, *self._sliding]
        if kept is not None and kept.is_of(self._filled, self._history, depth_tokens):
            for (_, array), values in zip(moving, kept.values, strict=True):
                array[...] = values
            self._whole.upload(moving)
            return
        self._run_again(depth_tokens)
        if depth_tokens:
            self._whole.keep(moving)
            copies = tuple(array.copy() for _, array in moving)
            self._kept = _Kept(self._filled, self._history[:depth_tokens].copy(), copies)

    def _run_again(self, depth_tokens: int) -> None:
        """Begin behind what was drawn, run the tokens of the history, and stand behind them."""
        for _, state in self._states:
            state[...] = 0
        self._draw(self._sliding)
        self._whole.upload([*self._states, *self._sliding])
        self._depth_tokens = self._filled.tokens
        while self._depth_tokens < depth_tokens:
            end = min(self._depth_tokens + CHUNK_TOKENS, depth_tokens)
            self.feed(self._history[self._depth_tokens : end].T)
            self.run()

    def _draw(self, caches: Cache) -> None:
        """Write the values of the filled positions into some of the caches."""
        filled, wanted = self._filled, {held for held, _ in caches}
        for number, (held, array) in enumerate(self._cache):
            if held not in wanted:
                continue
            rows = self._held_rows(held, array, filled.tokens)
            seeds = (filled.seed, *divmod(number, 2))  # layer, and key or value
            fill_cache(
                array[:, :, :rows],
                self.geometry.cache,
                seeds,
                filled.tokens - rows,
                filled.drawn_tokens,
            )

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
                    self.capacity_tokens,
                )
                for row in (slice(row, row + 1) for row in range(self.batch))
            ]
        return self._rows
