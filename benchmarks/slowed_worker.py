"""A measuring child whose decode steps take a share longer, to see whether that is found.

The variable SLOWED_SHARE says by how much: 0.03 spends 3 % of every step's own time once more, in a
loop that does nothing. Both sides of a comparison run this file, one of them with 0, so that they
differ in nothing else.
"""

import os
import time
from collections.abc import Callable

from harness.engine import worker
from harness.engine.decoder import DecoderSession

SHARE = float(os.environ.get("SLOWED_SHARE", "0"))


def slowed(
    step: Callable[[DecoderSession], None], share: float
) -> Callable[[DecoderSession], None]:
    """A step, and then `share` of its time once more."""

    def longer(decoder: DecoderSession) -> None:
        start_ns = time.perf_counter_ns()
        step(decoder)
        end_ns = time.perf_counter_ns()
        end_ns += int((end_ns - start_ns) * share)
        while time.perf_counter_ns() < end_ns:
            pass

    return longer


DecoderSession.greedy_step = slowed(DecoderSession.greedy_step, SHARE)  # type: ignore[method-assign]
COMMANDS = worker.COMMANDS
