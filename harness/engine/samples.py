"""What the timed passes of one test in one process come to."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.core.units import NS_PER_S
from harness.engine.passes import PassOutcome
from harness.machine.meters.samples import Clock, Usage


@dataclass(frozen=True, slots=True)
class Samples:
    """The timed passes of one test in one process.

    Attributes:
        passes: at least as many as asked for.
        usage: what the system charged for them and for making ready what they read.
    """

    passes: tuple[PassOutcome, ...]
    usage: Usage


def repeat_passes(
    one_pass: Callable[[], PassOutcome], min_passes: int, min_seconds: float, clock: Clock
) -> tuple[PassOutcome, ...]:
    """Run a pass until it has been run often enough and long enough.

    Args:
        one_pass: runs and times one; everything it reads is ready.
        min_passes: fewest passes; at least one is run.
        min_seconds: least time from the first pass's beginning to the last one's end.
        clock: in ns.
    """
    passes: list[PassOutcome] = []
    end_ns = clock() + min_seconds * NS_PER_S
    while len(passes) < max(min_passes, 1) or clock() < end_ns:
        passes.append(one_pass())
    return tuple(passes)
