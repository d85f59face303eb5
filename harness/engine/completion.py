"""Whether a run has finished when it returns: tried out once per process, before any timing.

Some providers return, and even wait, before the device is done; the rest of the work then hides in
the next copy to the host. So a copy right after a run is timed against the same copy from an idle
device. A run whose work is not done makes the first one longer by that work. An encoder gives its
result to the host alone, so there the result itself is looked at. No wait of a provider's own is
called anywhere: one returned at once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.core.errors import MeasurementError
from harness.core.units import NS_PER_MS, NS_PER_US
from harness.devices.row import Completion
from harness.engine.workload import Workload
from harness.machine.meters.samples import Clock, time_call

if TYPE_CHECKING:  # both ask what is here
    from harness.engine.encoding import EncoderMeasuring
    from harness.engine.measuring import Measuring

REPEATS = 5
MOST_TIMES = 3.0  # a copy after the wait may take so many idle copies
# A run shorter than this hides less than the clock and the scheduler disturb a copy by.
FLOOR_NS = 500 * NS_PER_US


def is_finished(after_run_ns: Sequence[int], idle_ns: Sequence[int], run_ns: Sequence[int]) -> bool:
    """Whether copies right after runs are no longer than copies from an idle device.

    The shortest of each are compared: work that a run has left lengthens every copy after it, a
    busy machine only some.

    Args:
        after_run_ns: the first copy after each run.
        idle_ns: the next copy, with nothing left to do.
        run_ns: the runs. What a run has left undone cannot be told from noise below FLOOR_NS, or
            below a tenth of the run.
    """
    after_ns, copy_ns = min(after_run_ns), min(idle_ns)
    tolerated_ns = max(FLOOR_NS, 0.1 * min(run_ns))
    return after_ns <= MOST_TIMES * copy_ns or after_ns - copy_ns <= tolerated_ns


def refuse_unfinished(measuring: "Measuring", workload: Workload) -> None:
    """Try a decoder on a device that only a copy can prove to be done, as the timed runs use it.

    Args:
        measuring: open, and run once.
        workload: the test whose first shape is run.

    Raises:
        MeasurementError: the run returns too early, so no duration of it can be right.
    """
    row = measuring.sessions[0].device.row
    if row.completion is not Completion.COPY:
        return
    if measuring.decoder.cache_memory is None:
        return  # every output lies in the host's memory: what the run has copied is done
    after_run_ns, idle_ns, run_ns = _copies(measuring, workload, measuring.clock)
    if not is_finished(after_run_ns, idle_ns, run_ns):
        raise MeasurementError(
            f"{row.key}: a run returns before the device is done: a copy right after it takes "
            f"{min(after_run_ns) / NS_PER_MS:.2f} ms, from an idle device "
            f"{min(idle_ns) / NS_PER_MS:.2f} ms",
            fix="another version of the provider; its times cannot be taken",
        )


def refuse_unwritten(measuring: "EncoderMeasuring", workload: Workload) -> None:
    """Spoil an encoder's embeddings before a run: they must be whole when it returns.

    All of its outputs lie in the host's memory, so there is no copy to time; one that came after
    the return would leave what was put there.
    """
    row = measuring.sessions[0].device.row
    if row.completion is not Completion.COPY:
        return
    for _ in range(REPEATS):
        measuring.encoder.embeddings[...] = np.nan
        measuring.first(workload)
        if np.isnan(measuring.encoder.embeddings).any():
            raise MeasurementError(
                f"{row.key}: a run returns before its embeddings are in the host's memory",
                fix="another version of the provider; its times cannot be taken",
            )


def _copies(
    measuring: "Measuring", workload: Workload, clock: Clock
) -> tuple[list[int], list[int], list[int]]:
    """Durations of copies right after a run, of copies after those, and of the runs."""
    after_run_ns, idle_ns, run_ns = [], [], []
    for _ in range(REPEATS):
        run_ns.append(measuring.first(workload))
        after_run_ns.append(time_call(measuring.decoder.download, clock))
        idle_ns.append(time_call(measuring.decoder.download, clock))
    return after_run_ns, idle_ns, run_ns
