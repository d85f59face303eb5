"""What the timed passes of one test in one process come to."""

from dataclasses import dataclass

from harness.measure.samples import Usage
from harness.workload.passes import PassOutcome


@dataclass(frozen=True, slots=True)
class Samples:
    """The timed passes of one test in one process.

    Attributes:
        passes: at least as many as asked for.
        usage: what the system charged for them and for making ready what they read.
    """

    passes: tuple[PassOutcome, ...]
    usage: Usage
