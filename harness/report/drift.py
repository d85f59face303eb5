"""What is said below a table of how fast the machine was beside its calibration. Pure."""

from collections.abc import Iterator

from harness.devices.table import ROWS
from harness.estimator.calibration.device_sizes import reads_own_memory
from harness.report.headline import thread_words
from harness.report.numbers import two_decimals
from harness.results.calibration import Drift
from harness.results.schema import Document

# What computes on this machine's processor: nothing takes the pulse of a GPU.
HOSTS = {row.key for row in ROWS if row.kind == "cpu"}
NEAR = 0.03  # nearer than that to what it was, the machine is called the same


def drift_notes(document: Document) -> Iterator[str]:
    """How far each thread count has drifted since it was calibrated, and what follows from it."""
    drifts = {
        found.threads: found.drift
        for found in (record.explanation for record in document.records)
        if found is not None and found.drift is not None and found.threads is not None
    }
    for threads, drift in sorted(drifts.items()):
        yield f"drift: {_told(threads, drift)}"
    yield from _without_pulse(document)


def _told(threads: int, drift: Drift) -> str:
    """How far one thread count has drifted, in words."""
    shares = (drift.memory, drift.matrix, drift.calls)
    if all(abs(share - 1) <= NEAR for share in shares):
        return f"with {thread_words(threads)} none beyond {NEAR:.0%} since the calibration"
    memory, matrix, calls = map(two_decimals, shares)
    return (
        f"with {thread_words(threads)} the machine reads memory at {memory} of what it did when it"
        f" was calibrated, multiplies at {matrix} and calls at {calls}: estimates are scaled by it"
        " (bench explain drift)"
    )


def _without_pulse(document: Document) -> Iterator[str]:
    """Calibrations that cannot be held against what this run read."""
    taken = {
        peak.threads
        for peak in document.environment.read_bandwidth
        if any(one.matrix_ns for one in peak.processes)
    }
    lacking = sorted(
        {
            found.constants.threads
            for found in document.environment.calibration
            if found.constants.pulse is None and not reads_own_memory(found.device)
        }
        & taken
    )
    for threads in lacking:
        yield (
            f"drift: not known with {thread_words(threads)}, estimates are as calibrated: the"
            " calibration took no pulse (bench calibrate --again)"
        )
