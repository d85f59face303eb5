"""What one timed pass gave, exactly as the clock gave it; impossible values are refused.

The clock is an argument, and nothing else happens between its two reads. What the operating system
charged the process with stands beside it.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from harness.core.errors import MeasurementError

Clock = Callable[[], int]  # monotonic, in ns


def time_call(call: Callable[[], object], clock: Clock = time.perf_counter_ns) -> int:
    """Return the duration of one call in ns."""
    start_ns = clock()
    call()
    return clock() - start_ns


def time_calls(
    call: Callable[[], object], repeats: int, clock: Clock = time.perf_counter_ns
) -> list[int]:
    """Return `repeats` durations in ns. Nothing else happens between the two clock reads."""
    durations_ns = []
    for _ in range(repeats):
        start_ns = clock()
        call()
        durations_ns.append(clock() - start_ns)
    return durations_ns


@dataclass(frozen=True, slots=True)
class PassSample:
    """One pass of one test. What the kind of test does not have is None or empty.

    Attributes:
        prefill_ns: the pass over the prompt; the call alone.
        ttft_ns: prefill and the choice of the first token.
        itl_ns: each decode step in order, from the end of one token to the end of the next.
        e2e_ns: the whole request, prefill to last token.
        reread_ns: the first token of a turn whose cache is lost: all before it is read again.
        encode_ns: one pass of a model that keeps nothing between passes; the call alone.
    """

    prefill_ns: int | None = None
    ttft_ns: int | None = None
    itl_ns: tuple[int, ...] = ()
    e2e_ns: int | None = None
    reread_ns: int | None = None
    encode_ns: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no working clock can give."""
        parts = [("prefill", self.prefill_ns), ("first token", self.ttft_ns)]
        parts += [("whole request", self.e2e_ns), ("pass", self.encode_ns)]
        parts += [("reading of everything again", self.reread_ns)]
        parts += [(f"decode step {step}", value) for step, value in enumerate(self.itl_ns)]
        for name, value_ns in parts:
            if value_ns is not None and value_ns <= 0:
                raise MeasurementError(
                    f"the {name} took {value_ns} ns",
                    fix="the clock is too coarse for this model or ran backwards: "
                    "take a larger model, or more tokens at once",
                )
        whole = [value for value in (self.prefill_ns, self.ttft_ns, self.e2e_ns) if value]
        if any(later < earlier for earlier, later in pairwise(whole)):
            raise MeasurementError(
                f"prefill, first token and whole request took {whole} ns, which shrinks",
                fix="the clock ran backwards: restart the machine's time service or the machine",
            )


@dataclass(frozen=True, slots=True)
class Usage:
    """What the operating system charged this process with, from some start on.

    Attributes:
        cpu_ns: processor time of all threads, user and system.
        major_faults: pages that had to come from a disk; None where the system does not count.
        involuntary_switches: times another process was put in this one's place; None likewise.
    """

    cpu_ns: int
    major_faults: int | None
    involuntary_switches: int | None

    def since(self, earlier: "Usage") -> "Usage":
        """This reading minus an earlier one."""

        def difference(now: int | None, before: int | None) -> int | None:
            return None if now is None or before is None else now - before

        return Usage(
            cpu_ns=self.cpu_ns - earlier.cpu_ns,
            major_faults=difference(self.major_faults, earlier.major_faults),
            involuntary_switches=difference(
                self.involuntary_switches, earlier.involuntary_switches
            ),
        )


def usage_now() -> Usage:
    """Counters of this process since it began; the difference of two readings has a meaning.

    Page faults and context switches come from getrusage, which Windows does not have: None there.
    """
    cpu_ns = time.process_time_ns()
    if sys.platform == "win32":
        return Usage(cpu_ns=cpu_ns, major_faults=None, involuntary_switches=None)
    import resource

    counters = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(
        cpu_ns=cpu_ns,
        major_faults=counters.ru_majflt,
        involuntary_switches=counters.ru_nivcsw,
    )
