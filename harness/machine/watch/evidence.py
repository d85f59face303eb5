"""What the processes of one cell said -> the evidence its trust is judged by. Pure."""

from collections.abc import Sequence

from harness.core.units import NS_PER_MS
from harness.machine.watch.drift import find_drift
from harness.machine.watch.probes import pool
from harness.machine.watch.trust import Evidence
from harness.results.environment import MachineFacts
from harness.results.replies import ProcessSamples, Sample, WatchInterval, parts_of

# A system clock that ticks every 16 ms may end one tick late; a wrong clock is off by far more.
CLOCK_SLACK_NS = 32 * NS_PER_MS
CLOCK_SLACK_SHARE = 0.02


UNKNOWN_MACHINE = MachineFacts()


def gather_evidence(
    processes: Sequence[ProcessSamples],
    half_width_share: float | None,
    file_changed: bool = False,
    machine: MachineFacts = UNKNOWN_MACHINE,
) -> Evidence:
    """Collect what the processes of one cell and the watch over them say.

    Args:
        processes: of the cell, by round.
        half_width_share: of the record's judged metrics, or None.
        file_changed: whether a model file is not what it was when the run began.
        machine: its facts.
    """
    watches = [process.watch for process in processes if process.watch is not None]
    samples = [process.sample for process in processes]
    faults = (clock_fault(process.sample, process.watch) for process in processes)
    return Evidence(
        processes=len(processes),
        half_width_share=half_width_share,
        steady_processes=sum(
            process.warm is not None and process.warm.steady for process in processes
        ),
        finite=all(sample.finite for sample in samples),
        outputs=len({sample.digest for sample in samples}),
        file_changed=file_changed,
        clock_fault=next((fault for fault in faults if fault), None),
        watch=pool(watches) if len(watches) == len(processes) and watches else None,
        drift=find_drift(samples),
        major_faults=sum(sample.major_faults or 0 for sample in samples),
        clock_share=clock_share(samples, machine.clock_resolution_ns),
        governor=machine.governor,
        on_battery=bool(machine.on_battery),
    )


def clock_fault(sample: Sample, watch: WatchInterval | None) -> str | None:
    """What a clock did wrong in one process, or None.

    The worker's timed parts lie inside the command that its parent timed with a clock of its own;
    and a machine that slept in between has measured its own sleep, or lost it.
    """
    if watch is None:
        return None
    slept_ns = watch.suspended_ns or 0
    if slept_ns > CLOCK_SLACK_NS:
        return f"the machine slept for {slept_ns / NS_PER_MS:.0f} ms"
    timed_ns, wall_ns = _timed_ns(sample), watch.wall_ns
    if timed_ns > wall_ns * (1 + CLOCK_SLACK_SHARE) + CLOCK_SLACK_NS:
        timed_ms, wall_ms = timed_ns / NS_PER_MS, wall_ns / NS_PER_MS
        return f"{timed_ms:.0f} ms were timed within {wall_ms:.0f} ms of another clock"
    return None


def clock_share(samples: Sequence[Sample], resolution_ns: float | None) -> float | None:
    """A tick of the clock as a share of the shortest part that it timed; None: unknown.

    Args:
        samples: of all processes.
        resolution_ns: of the clock, as the system tells it.
    """
    steps = [step for sample in samples for one in sample.itl_ns for step in one]
    passes = [ns for sample in samples for part in parts_of(sample) for ns in part]
    timed_ns = [*steps, *passes]
    return None if resolution_ns is None or not timed_ns else resolution_ns / min(timed_ns)


def _timed_ns(sample: Sample) -> int:
    """Longest of the sums that the timed parts give; the parts of a request lie in each other."""
    steps_ns = sum(sum(steps) for steps in sample.itl_ns)
    return max(steps_ns, *(sum(part) for part in parts_of(sample)))
