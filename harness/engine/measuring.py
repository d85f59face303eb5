"""Warm-up and samples of one session's tests: the same seeded inputs in every process."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.static.geometry import TextShape
from harness.devices.session import OpenedSession
from harness.engine.completion import refuse_unfinished
from harness.engine.passes import (
    Draw,
    PassOutcome,
    begins_at,
    feed_prompt,
    nested_ids,
    prompt_of,
    run_pass,
    seeded_ids,
    time_prefill,
    time_reread,
    time_step,
)
from harness.engine.protocol import Decoder
from harness.engine.samples import Samples, repeat_passes
from harness.engine.trial import decoder_outputs
from harness.engine.workload import Workload
from harness.machine.meters.samples import Clock, usage_now
from harness.machine.meters.steady import WarmUp, warm_up
from harness.results.enums import Kind

Shape = tuple[str, int, int]  # what is called, tokens at once, depth


BEGIN_WITH_PROMPT = (Kind.REQUEST, Kind.TURN)  # whose first token comes with it


def steps_of(workload: Workload) -> int:
    """Decode steps of one pass: a request's first token comes with its prompt."""
    if workload.kind in BEGIN_WITH_PROMPT:
        return workload.gen_tokens - 1
    return workload.gen_tokens


def _prompt_shape(workload: Workload) -> Shape:
    """What reads the prompt of a test, from its depth."""
    read = f"prefill{workload.chunk_tokens or ''}"
    return read, max(workload.prompt_tokens, 1), workload.depth_tokens


@dataclass(slots=True)
class Measuring:
    """One open decoder and what is known about its state.

    Attributes:
        decoder: open.
        seed: of prompts and of what fills the cache.
        clock: monotonic, in ns.
        filled_tokens: positions that hold exactly what `fill` of that depth wrote; -1: none.
        warmed: per shape the last samples of its warm-up.
    """

    decoder: Decoder
    seed: int
    clock: Clock = time.perf_counter_ns
    filled_tokens: int = -1
    warmed: dict[Shape, tuple[int, ...]] = field(default_factory=dict)

    @property
    def sessions(self) -> Sequence[OpenedSession]:
        """All that were opened, with their device and their placements."""
        return self.decoder.sessions

    def ids(self, workload: Workload, draw: Draw = seeded_ids) -> NDArray[np.int64]:
        """The prompt of a test [batch, prompt], or the first token of a decode test [batch, 1].

        Of a turn the whole chat up to its answer [batch, depth + prompt].
        """
        before = workload.depth_tokens if workload.kind is Kind.TURN else 0
        tokens = max(before + workload.prompt_tokens, 1)
        return draw(self.seed, self.decoder.batch, tokens, self.decoder.vocab_size)

    def stand_at(self, depth_tokens: int) -> None:
        """Bring the cache to a depth whose every position has been written, always the same way."""
        if self.filled_tokens != depth_tokens:
            self.decoder.fill(depth_tokens, self.seed)
            self.filled_tokens = depth_tokens
        self.decoder.rewind(depth_tokens)

    def first(self, workload: Workload, draw: Draw = seeded_ids) -> int:
        """The first run of a session, with the choice of a token, in ns."""
        self.stand_at(workload.depth_tokens)
        ids = prompt_of(workload, self.ids(workload, draw))
        if workload.kind is Kind.DECODE:
            return time_step(self.decoder, workload.depth_tokens, ids, self.clock)
        read = feed_prompt(self.decoder, ids, workload.chunk_tokens)
        start_ns = self.clock()
        read()
        self.decoder.pick_greedy()
        return self.clock() - start_ns

    def refuse_unfinished(self, workload: Workload) -> None:
        """Refuse a device whose runs return before it is done; see harness.engine.completion."""
        refuse_unfinished(self, workload)

    def trial(self, seed: int, texts: TextShape) -> list[NDArray[np.float32]]:
        """What it gives for tokens that all devices are fed alike."""
        return decoder_outputs(self.decoder, seed)

    def warm(self, workload: Workload, cap_s: float) -> list[WarmUp]:
        """Warm every shape of a test until it is steady: the prompt, the step, or both in turn.

        Decode is judged at a fixed depth, the one where its steps begin, not along a growing cache.

        Args:
            workload: which test.
            cap_s: longest warm-up of one shape.
        """
        self.stand_at(workload.depth_tokens)
        whole, depth_tokens = self.ids(workload), workload.depth_tokens
        ids, results = prompt_of(workload, whole), []
        if workload.kind is not Kind.DECODE:
            chunk = workload.chunk_tokens
            call = partial(time_prefill, self.decoder, depth_tokens, ids, self.clock, chunk)
            results.append(self._warm(_prompt_shape(workload), call, cap_s))
        if steps_of(workload) > 0:
            depth_tokens += workload.prompt_tokens
            call = partial(time_step, self.decoder, depth_tokens, ids[:, :1], self.clock)
            results.append(self._warm(("step", 1, depth_tokens), call, cap_s))
        if whole.shape != ids.shape:
            self.stand_at(0)
            chunk = workload.chunk_tokens
            call = partial(time_reread, self.decoder, whole, self.clock, chunk)
            results.append(self._warm((f"prefill{chunk or ''}", whole.shape[1], 0), call, cap_s))
        return results

    def sample(self, workload: Workload, min_passes: int, min_seconds: float) -> Samples:
        """Run a test until it has been run often enough and long enough.

        Args:
            workload: which test, warm.
            min_passes: fewest passes; at least one is run.
            min_seconds: least time from the first pass's beginning to the last one's end.
        """
        before = usage_now()
        self.stand_at(begins_at(workload))
        ids = self.ids(workload)
        one_pass = partial(run_pass, self.decoder, workload, ids, self.clock)
        passes = repeat_passes(one_pass, min_passes, min_seconds, self.clock)
        self._keep_warm(workload, passes)
        return Samples(passes, usage_now().since(before))

    def reseeded(self, seed: int) -> "Measuring":
        """The same over other prompts and another cache."""
        return replace(self, seed=seed)

    def plain_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """What a run that is not timed chooses: every token is fed and read by itself."""
        self.stand_at(begins_at(workload))
        ids, chosen = self.ids(workload), []
        for _ in range(max(1, workload.gen_tokens)):
            logits = self.decoder.prefill(ids)
            ids = logits[:, -1].argmax(axis=1).astype(np.int64)[:, None]
            chosen.append(ids[:, 0])
        return np.array(chosen)

    def touch(self, workload: Workload, whole: bool = False) -> None:
        """Write the whole context of a test, or all of its cache, and run each shape once."""
        if whole:
            self.decoder.touch_cache()
        self.decoder.fill(workload.context_tokens, self.seed)
        self.first(workload, nested_ids)
        if workload.kind in BEGIN_WITH_PROMPT and steps_of(workload) > 0:
            self.decoder.greedy_step()

    def _keep_warm(self, workload: Workload, passes: Sequence[PassOutcome]) -> None:
        """Count the prompts that were timed as warm ones: they are calls of the same shape."""
        shape = _prompt_shape(workload)
        if workload.kind in (Kind.PREFILL, Kind.REQUEST) and shape in self.warmed:
            timed = (outcome.sample.prefill_ns for outcome in passes)
            self.warmed[shape] += tuple(one for one in timed if one is not None)

    def _warm(self, shape: Shape, call: Callable[[], int], cap_s: float) -> WarmUp:
        """Warm one shape; less is needed of one that was warm in this process, at any depth."""
        earlier_ns = self.warmed.get(shape, ())
        alike = (window for known, window in self.warmed.items() if known[:2] == shape[:2])
        familiar = not earlier_ns and any(alike)
        result = warm_up(call, cap_s, self.clock, earlier_ns, familiar=familiar)
        self.warmed[shape] = result.last_window_ns
        return result
