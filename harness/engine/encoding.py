"""Warm-up and samples of an encoder's tests: the same seeded texts in every process."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.static.geometry import TextShape
from harness.devices.session import OpenedSession
from harness.engine.completion import refuse_unwritten
from harness.engine.encoder import are_embeddings
from harness.engine.passes import Draw, PassOutcome, nested_ids, seeded_ids
from harness.engine.protocol import Encoder
from harness.engine.samples import Samples, repeat_passes
from harness.engine.trial import encoder_outputs
from harness.engine.workload import Workload
from harness.machine.meters.samples import Clock, PassSample, time_call, usage_now
from harness.machine.meters.steady import WarmUp, warm_up

Shape = tuple[int, int]  # sequences, tokens of each


@dataclass(slots=True)
class EncoderMeasuring:
    """One open encoder; it keeps nothing between two passes.

    Attributes:
        encoder: open.
        seed: of the token ids.
        clock: monotonic, in ns.
        warmed: per shape the last samples of its warm-up.
    """

    encoder: Encoder
    seed: int
    clock: Clock = time.perf_counter_ns
    warmed: dict[Shape, tuple[int, ...]] = field(default_factory=dict)

    @property
    def sessions(self) -> Sequence[OpenedSession]:
        """All that were opened, with their device and their placements."""
        return self.encoder.sessions

    def ids(self, workload: Workload, draw: Draw = seeded_ids) -> NDArray[np.int64]:
        """The texts of a test [sequences, tokens], each of full length."""
        vocab_size = self.encoder.vocab_size
        return draw(self.seed, workload.sequences, workload.prompt_tokens, vocab_size)

    def first(self, workload: Workload, draw: Draw = seeded_ids) -> int:
        """The first run of a session, in ns."""
        self.encoder.feed(self.ids(workload, draw))
        return time_call(self.encoder.run, self.clock)

    def refuse_unfinished(self, workload: Workload) -> None:
        """Refuse a device whose runs return before it is done; see harness.engine.completion."""
        refuse_unwritten(self, workload)

    def trial(self, seed: int, texts: TextShape) -> list[NDArray[np.float32]]:
        """What it gives for tokens that all devices are fed alike."""
        return encoder_outputs(self.encoder, seed, texts)

    def warm(self, workload: Workload, cap_s: float) -> list[WarmUp]:
        """Warm the one shape of a test until it is steady.

        Args:
            workload: which test.
            cap_s: longest warm-up.
        """
        self.encoder.feed(self.ids(workload))
        shape = (workload.sequences, workload.prompt_tokens)
        result = warm_up(
            lambda: time_call(self.encoder.run, self.clock),
            cap_s,
            self.clock,
            earlier_ns=self.warmed.get(shape, ()),
        )
        self.warmed[shape] = result.last_window_ns
        return [result]

    def sample(self, workload: Workload, min_passes: int, min_seconds: float) -> Samples:
        """Run a test until it has been run often enough and long enough.

        Args:
            workload: which test, warm.
            min_passes: fewest passes; at least one is run.
            min_seconds: least time from the first pass's beginning to the last one's end.
        """
        before = usage_now()
        self.encoder.feed(self.ids(workload))
        passes = repeat_passes(self._pass, min_passes, min_seconds, self.clock)
        return Samples(passes, usage_now().since(before))

    def reseeded(self, seed: int) -> "EncoderMeasuring":
        """The same over other texts."""
        return replace(self, seed=seed)

    def plain_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """What stands for the output of a run that is not timed."""
        embeddings = self.encoder.encode(self.ids(workload))
        return np.asarray(embeddings.argmax(axis=1), dtype=np.int64)[None]

    def touch(self, workload: Workload, whole: bool = False) -> None:
        """Run a test's one shape once."""
        self.first(workload, nested_ids)

    def _pass(self) -> PassOutcome:
        """One timed pass over what was fed.

        What stands for its output is the place of the largest value of each embedding, as the
        likeliest token stands for logits.
        """
        encode_ns = time_call(self.encoder.run, self.clock)
        embeddings = self.encoder.embeddings
        return PassOutcome(
            PassSample(encode_ns=encode_ns),
            embeddings.argmax(axis=1).astype(np.int64)[None],
            bool(are_embeddings(embeddings).all()),
        )
