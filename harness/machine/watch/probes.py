"""The machine before and after a timed part: who else used it, and what slowed it down.

Two snapshots of counters that the system keeps anyway; nothing runs in between, so the watch costs
the measured process nothing.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.machine.watch.cores import usable_processors
from harness.machine.watch.counters import counter_reads, suspended_ns
from harness.machine.watch.reading import Reading, probe_all, without_value
from harness.machine.watch.sole import NOBODY, Others, other_measurements
from harness.results.replies import WatchInterval

SHARES = ("background_cpu_ns", "steal_ns")
EVENTS = (
    *("throttled_periods", "thermal_events", "swapped_in_bytes", "swapped_out_bytes"),
    "suspended_ns",
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters of the machine at one moment.

    Attributes:
        wall_ns: monotonic clock.
        suspended_ns: time this machine has slept since it started; None where nothing tells.
        processors: logical processors this process may use.
        counters: by name: `busy_ns` and `steal_ns` over those processors, `throttled_periods`,
            `thermal_events`, `swapped_in_bytes`, `swapped_out_bytes`.
        others: measurements of another `bench` beside ours.
    """

    wall_ns: int
    suspended_ns: int | None
    processors: int
    counters: Mapping[str, Reading]
    others: Others = NOBODY


def snapshot(root: Path = Path("/"), system: str = sys.platform) -> Snapshot:
    """Read every counter now.

    Args:
        root: of the file system that Linux's counters are read from.
        system: a value of sys.platform.
    """
    processors = usable_processors()
    return Snapshot(
        wall_ns=time.perf_counter_ns(),
        suspended_ns=suspended_ns(),
        processors=len(processors),
        counters=probe_all(counter_reads(root, system, processors)),
        others=other_measurements(),
    )


def difference(before: Snapshot, after: Snapshot, own_cpu_ns: int) -> WatchInterval:
    """What happened between two snapshots.

    Args:
        before: the earlier one.
        after: the later one.
        own_cpu_ns: processor time that the worker and this process used in between.
    """
    grown = {name: _grown(before.counters.get(name), now) for name, now in after.counters.items()}
    busy_ns = grown.pop("busy_ns", None)
    slept_ns = None
    if before.suspended_ns is not None and after.suspended_ns is not None:
        slept_ns = after.suspended_ns - before.suspended_ns
    return WatchInterval(
        wall_ns=after.wall_ns - before.wall_ns,
        processors=after.processors,
        background_cpu_ns=None if busy_ns is None else busy_ns - own_cpu_ns,
        suspended_ns=slept_ns,
        other_bench=before.others.there or after.others.there or after.others != before.others,
        unknown=without_value(before.counters) | without_value(after.counters),
        **grown,
    )


def pool(intervals: Sequence[WatchInterval]) -> WatchInterval:
    """Several intervals, at least one, as one: times and events add up.

    A short interval holds few ticks of the system's clock; shares over all of them are sharper
    than the worst of single ones. A share that any interval lacks is None; an event that any
    interval saw stays.
    """
    unknown: dict[str, str] = {}
    for interval in intervals:
        unknown.update(interval.unknown)
    sums: dict[str, int | None] = {}
    for name in (*SHARES, *EVENTS):
        parts = [getattr(interval, name) for interval in intervals]
        known = [part for part in parts if part is not None]
        whole = len(known) == len(parts)
        sums[name] = sum(known) if whole or (name in EVENTS and known) else None
    return WatchInterval(
        wall_ns=sum(interval.wall_ns for interval in intervals),
        processors=max(interval.processors for interval in intervals),
        other_bench=any(interval.other_bench for interval in intervals),
        unknown=unknown,
        **sums,
    )


def _grown(before: Reading | None, after: Reading) -> int | None:
    """How much a counter has grown; None when either reading has no value."""
    if before is None or before.value is None or after.value is None:
        return None
    return int(after.value - before.value)
