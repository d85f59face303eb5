"""An encoder and the decoder that looks at what it gave: two graphs, tests of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.static.geometry import TextShape
from harness.devices.session import OpenedSession
from harness.engine.exported.single import PassMeasuring
from harness.engine.measuring import Measuring
from harness.engine.samples import Samples
from harness.engine.trial import half_outputs
from harness.engine.workload import Workload
from harness.machine.meters.steady import WarmUp
from harness.results.enums import SINGLE_PASS


@dataclass(slots=True)
class PairMeasuring:
    """Warm-up and samples of both halves; each test belongs to one of them.

    Attributes:
        encoder: measures its passes.
        decoder: measures its steps, over what the encoder gave once.
    """

    encoder: PassMeasuring
    decoder: Measuring

    @property
    def sessions(self) -> Sequence[OpenedSession]:
        """All that were opened, with their device and their placements."""
        return (*self.encoder.sessions, *self.decoder.sessions)

    @property
    def seed(self) -> int:
        """Of the inputs of both."""
        return self.decoder.seed

    def half(self, workload: Workload) -> PassMeasuring | Measuring:
        """Which half a test is of."""
        return self.encoder if workload.kind in SINGLE_PASS else self.decoder

    def first(self, workload: Workload) -> int:
        """The first run of a half, in ns."""
        return self.half(workload).first(workload)

    def refuse_unfinished(self, workload: Workload) -> None:
        """Try nothing: the runtime hands the outputs of both over in the host's memory."""

    def trial(self, seed: int, texts: TextShape) -> list[NDArray[np.float32]]:
        """What both halves give for inputs that all devices are fed alike."""
        halves = half_outputs(self.decoder.decoder, seed)
        return [*self.encoder.trial(seed, texts), *halves]

    def warm(self, workload: Workload, cap_s: float) -> list[WarmUp]:
        """Warm every shape of a test; see Measuring."""
        return self.half(workload).warm(workload, cap_s)

    def sample(self, workload: Workload, min_passes: int, min_seconds: float) -> Samples:
        """Run a test until it has been run often enough and long enough; see Measuring."""
        return self.half(workload).sample(workload, min_passes, min_seconds)

    def touch(self, workload: Workload, whole: bool = False) -> None:
        """Write the whole context of a test and run each of its shapes once."""
        self.half(workload).touch(workload, whole)

    def reseeded(self, seed: int) -> "PairMeasuring":
        """The same over other inputs; the steps look at what the encoder gave before."""
        return PairMeasuring(self.encoder.reseeded(seed), self.decoder.reseeded(seed))

    def plain_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """What a run that is not timed chooses."""
        return self.half(workload).plain_tokens(workload)
