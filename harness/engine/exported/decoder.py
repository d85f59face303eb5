"""A decoder that was exported elsewhere, with a cache that grows, one that is shared, or none.

What `DecoderSession` is for the graphs built here, this is for any other: the same passes run.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.devices.session import OpenedSession
from harness.engine.cached import CHUNK_TOKENS, CachedDecoder, Filled
from harness.engine.checks import check_ids, check_room
from harness.engine.exported.caches import GrowingCache, SharedCache, cached_tensors
from harness.engine.exported.feeds import Feeds, refuse_unknown
from harness.engine.exported.runs import GrowingRun, PreparedRun, Run, SharedRun, WholeRun
from harness.engine.exported.values import as_float32
from harness.engine.passes import seeded_ids
from harness.models.exported.model import ExportedGraph

Step = tuple[PreparedRun, NDArray[np.int64]]  # and where its choice is written


class ExportedDecoder(CachedDecoder):
    """One opened exported decoder at one batch size.

    A step reads the tokens at a position and writes its choice at the next one, as in
    `CachedDecoder`. What a step is fed beside its cache is made before, outside any timing; to hand
    the cache of the last run to the next one is part of the step.

    Attributes:
        prefix_tokens: positions before the first one that is counted: the start token of a
            decoder that attends to an encoder, whose keys it makes in that pass. Where the encoder
            itself gives them, there is none.
    """

    def __init__(
        self,
        sessions: Sequence[OpenedSession],
        graphs: Sequence[ExportedGraph],
        batch: int,
        vocab_size: int,
        capacity_tokens: int,
        source: Feeds | None = None,
        context_tokens: int = 0,
    ) -> None:
        """Begin with an empty cache.

        Args:
            sessions: of the decoder; of one in two files the first begins a text, the second goes
                on by one token.
            graphs: what they were opened from.
            batch: sequences at once.
            vocab_size: one more than the largest token id that is fed.
            capacity_tokens: positions that tests need.
            source: what an encoder gives, by the name of the input; None: there is no encoder.
            context_tokens: longest sequence of the model; 0: not known.

        Raises:
            ModelError: an input that is not known.
        """
        super().__init__(sessions, batch, vocab_size, capacity_tokens)
        for graph in graphs:
            refuse_unknown(graph)
        self._graphs = (graphs[0], graphs[-1])
        self._context_tokens = context_tokens
        self._growing: GrowingCache | None = None
        self._shared: SharedCache | None = None
        self._filled = Filled()
        given = source or {}
        self._runs = self._make_runs(sessions, graphs, given)
        cross = [tensor for tensor in cached_tensors(graphs[-1], batch) if tensor.is_cross]
        makes_keys = self._growing is not None and all(each.past not in given for each in cross)
        self.prefix_tokens = 1 if given and makes_keys else 0
        self._last: NDArray[Any] = self._logits
        self._waiting: Step | None = None
        self._steps: dict[int, Step] = {}
        self._prefix = np.zeros((batch, self.prefix_tokens), np.int64)

    @property
    def has_cache(self) -> bool:
        """Whether a step reads one token; without a cache it reads all of them again."""
        return self._growing is not None or self._shared is not None

    @property
    def last_logits(self) -> NDArray[np.float32]:
        """The logits of the last run [batch, vocab]."""
        return as_float32(self._last[:, -1])

    def prefill(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read all tokens of `ids` at once; the last one's logits [batch, 1, vocab]."""
        self.feed(ids)
        self.run()
        return as_float32(self._last[:, -1:])

    def pick_greedy(self) -> None:
        """Make each sequence's most probable token the next one to be read."""
        self.next_ids[...] = self.last_logits.argmax(axis=1)

    def feed(self, ids: NDArray[np.int64]) -> None:
        """Everything that `prefill` does before the run: check and copy `ids`, make what is fed.

        Raises:
            UsageError: also where a prompt is read from a depth and the graph cannot.
        """
        check_ids(ids, self.batch, self.vocab_size)
        start, tokens = self._depth_tokens, ids.shape[1]
        check_room(start, tokens, self.capacity_tokens)
        self._history[start : start + tokens] = ids.T
        self._waiting = self._make(start, tokens)

    def run(self) -> None:
        """The run alone, over what was fed."""
        assert self._waiting is not None
        prepared, _ = self._waiting
        self._last = prepared.run()
        self._depth_tokens = prepared.end_tokens - self.prefix_tokens

    def greedy_step(self) -> None:
        """A whole decode step: read `next_ids`, run, pick the next ones greedily (argmax).

        Raises:
            UsageError: the cache is full.
        """
        depth_tokens = self._depth_tokens
        if depth_tokens not in self._steps:
            self.prepare_steps(depth_tokens, 1)
        prepared, choice = self._steps[depth_tokens]
        self._last = prepared.run()
        as_float32(self._last[:, -1]).argmax(1, choice)
        self._depth_tokens = depth_tokens + 1

    def prepare_steps(self, first_tokens: int, steps: int) -> None:
        """Make, outside any timing, what greedy steps are fed, and drop all other.

        Raises:
            UsageError: the cache does not hold so many positions.
        """
        check_room(first_tokens, steps, self.capacity_tokens)
        self._steps = {
            depth: self._steps.get(depth) or self._make(depth, 1)
            for depth in range(first_tokens, first_tokens + steps)
        }

    def rewind(self, depth_tokens: int) -> None:
        """Forget every position from `depth_tokens` on.

        Raises:
            UsageError: the cache holds fewer.
        """
        held = self._depth_tokens
        super().rewind(depth_tokens)
        self._filled = self._filled.cut(depth_tokens)
        if self._shared is not None and not self._shared.stays(depth_tokens, held):
            self._run_again(depth_tokens)
        if self._growing is not None:
            depth, held = depth_tokens + self.prefix_tokens, held + self.prefix_tokens
            if not self._growing.can_rewind(depth, held):
                self.read_whole(np.ascontiguousarray(self._history[:depth_tokens].T))
                held = depth
            self._growing.rewind(depth, held)

    def touch_cache(self) -> None:
        """Write every position of a cache of fixed size; one that grows is written as it does."""
        if self._shared is not None:
            self._shared.touch()
        self.rewind(0)

    def fill(self, depth_tokens: int, seed: int) -> None:
        """Write seeded values into every position below `depth_tokens` and stand there.

        A decoder that attends to an encoder really reads its start token and as many tokens more:
        the keys of the encoder's tokens come from that pass. One with states reads the tokens too:
        a state is what running makes it. One without a cache gets tokens.

        Raises:
            UsageError: more positions than the cache has.
        """
        check_room(0, depth_tokens, self.capacity_tokens)
        self._history[:depth_tokens] = seeded_ids(
            seed, self.batch, max(depth_tokens, 1), self.vocab_size
        ).T[:depth_tokens]
        if self.prefix_tokens or (depth_tokens and self._growing and self._growing.has_states):
            self.read_whole(np.ascontiguousarray(self._history[:depth_tokens].T))
        elif self._growing is not None and self._growing.has_states:
            self._growing.rewind(0, 0)
        elif self._growing is not None:
            self._growing.fill(depth_tokens, seed)
        elif self._shared is not None:
            self._filled = Filled(depth_tokens, depth_tokens, seed)
            self._shared.fill(self._filled)
        self._depth_tokens = depth_tokens

    def _run_again(self, depth_tokens: int) -> None:
        """Bring windows back that have moved on: draw them, and run what was read behind that.

        One token at a time of several sequences: attention continues prompts of one alone.
        """
        assert self._shared is not None
        self._shared.refill(self._filled)
        at, step = self._filled.tokens, CHUNK_TOKENS if self.batch == 1 else 1
        while at < depth_tokens:
            end = min(at + step, depth_tokens)
            self._make(at, end - at)[0].run()
            at = end

    def _make(self, depth_tokens: int, tokens: int) -> Step:
        """A run over the tokens at these positions, and where the choice after it is written.

        One token of every sequence is read in place: a step before this one writes it. More, or
        all of them where there is no cache, are copied.
        """
        held = depth_tokens + self.prefix_tokens
        run = self._runs[1 if held else 0]
        if tokens > 1 and held and self._runs[0] is not run:
            raise UsageError(
                "the file of this decoder that goes on reads one token at a time, and no prompt",
                fix="--depth 0 for prompts",
            )
        choice = self._history[depth_tokens + tokens]
        if isinstance(run, WholeRun):
            return run.prepare_history(self._history, depth_tokens + tokens), choice
        if tokens == 1:
            ids = self._history[depth_tokens].reshape(self.batch, 1)
        else:
            ids = np.ascontiguousarray(self._history[depth_tokens : depth_tokens + tokens].T)
        return run.prepare(ids, held), choice

    def read_whole(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read `ids` [batch, tokens] in one pass, from nothing, and stand behind them.

        Returns:
            The last token's logits [batch, vocab]; what steps over the same tokens have to give.
        """
        self._history[: ids.shape[1]] = ids.T
        if self._growing is not None:
            self._growing.rewind(0, 0)
        everything = np.concatenate([self._prefix, ids], axis=1)
        self._last = self._runs[0].prepare(np.ascontiguousarray(everything), 0).run()
        self._depth_tokens = ids.shape[1]
        return self.last_logits

    def whole_logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of every position of `ids`, from nothing: float32 [batch, tokens, vocab].

        In one pass where the graph gives them all; of one that gives the last token's alone, token
        by token.

        Args:
            ids: [batch, tokens], within the capacity.
        """
        self.read_whole(ids)
        if self._last.shape[1] == ids.shape[1] + self.prefix_tokens:
            return as_float32(self._last[:, self.prefix_tokens :]).copy()
        self.fill(0, 0)
        parts = [self.prefill(ids[:, at : at + 1]).copy() for at in range(ids.shape[1])]
        return np.concatenate(parts, axis=1)

    def _make_runs(
        self, sessions: Sequence[OpenedSession], graphs: Sequence[ExportedGraph], source: Feeds
    ) -> tuple[Run, Run]:
        """How a text is begun, and how it goes on."""
        every = cached_tensors(graphs[-1], self.batch)
        tensors = [tensor for tensor in every if tensor.past not in source]
        pairs = list(zip(sessions, graphs, strict=True))
        if not tensors:
            runs: list[Run] = [WholeRun(opened, graph, source) for opened, graph in pairs]
        elif graphs[-1].cache is not None and graphs[-1].cache.shares_buffer:
            self._shared = SharedCache(tensors, self.capacity_tokens, self._context_tokens)
            shared = self._shared, self.batch, self.vocab_size
            runs = [SharedRun(opened, graph, source, *shared) for opened, graph in pairs]
        else:
            cache = self._growing = GrowingCache(tensors)
            runs = [GrowingRun(opened, graph, source, cache) for opened, graph in pairs]
        return runs[0], runs[-1]
