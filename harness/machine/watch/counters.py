"""The counters that a snapshot reads, per operating system; each read is a few small files."""

import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from harness.core.units import NS_PER_S
from harness.machine.watch.cgroup import throttled_periods
from harness.machine.watch.reading import text_of

# Fields of a processor's line in /proc/stat, after its name; guest time is part of user and nice.
BUSY_FIELDS = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq
STEAL_FIELD = 7
# What psutil calls the same on other systems; each has some of them.
BUSY_NAMES = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")

Read = Callable[[], int | None]


def counter_reads(root: Path, system: str, processors: frozenset[int]) -> Mapping[str, Read]:
    """A function per counter, by the name that Snapshot gives it.

    Args:
        root: of the file system that Linux's counters are read from.
        system: a value of sys.platform.
        processors: numbers of the logical processors to count.
    """
    if not system.startswith("linux"):
        return _through_psutil(system)
    text = cache(lambda name: text_of(root / name))  # each file is read and split once a snapshot
    ticks = cache(lambda: _processor_ticks(text("proc/stat"), processors))
    return {
        "busy_ns": lambda: _ticks_ns(ticks(), BUSY_FIELDS),
        "steal_ns": lambda: _ticks_ns(ticks(), (STEAL_FIELD,)),
        "throttled_periods": lambda: throttled_periods(root),
        "thermal_events": lambda: _thermal_events(root, processors),
        "swapped_in_bytes": lambda: _vmstat_bytes(text("proc/vmstat"), "pswpin"),
        "swapped_out_bytes": lambda: _vmstat_bytes(text("proc/vmstat"), "pswpout"),
    }


def suspended_ns() -> int | None:
    """Time the machine has slept since it started, ns; None where only one clock is told."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is None:
        return None
    return time.clock_gettime_ns(boottime) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def _processor_ticks(stat: str, processors: frozenset[int]) -> list[list[str]] | None:
    """The counts of each of `processors` in /proc/stat; None when one is not listed."""
    names = {f"cpu{number}" for number in processors}
    lines = (line.split() for line in stat.partition("\nintr ")[0].splitlines())  # the rest is long
    found = {name: counts for name, *counts in lines if name in names}
    return list(found.values()) if found.keys() == names else None


def _ticks_ns(ticks: list[list[str]] | None, fields: tuple[int, ...]) -> int | None:
    """Sum of some fields over all processors, ns."""
    if ticks is None:
        return None
    total = sum(int(counts[field]) for counts in ticks for field in fields)
    return total * NS_PER_S // os.sysconf("SC_CLK_TCK")


def _vmstat_bytes(vmstat: str, name: str) -> int | None:
    """A counter of pages in /proc/vmstat, bytes."""
    _, found, rest = f"\n{vmstat}\n".partition(f"\n{name} ")
    return int(rest.partition("\n")[0]) * os.sysconf("SC_PAGE_SIZE") if found else None


def _thermal_events(root: Path, processors: frozenset[int]) -> int | None:
    """How often these processors, or the package around them, were slowed down for heat."""
    files = _thermal_files(root, processors)
    return sum(int(text_of(file)) for file in files) if files else None


@cache
def _thermal_files(root: Path, processors: frozenset[int]) -> tuple[Path, ...]:
    """The counters that there are; looked for once, for a watch reads them often."""
    return tuple(
        file
        for number in sorted(processors)
        for name in ("core_throttle_count", "package_throttle_count")
        if (file := root / f"sys/devices/system/cpu/cpu{number}/thermal_throttle/{name}").is_file()
    )


def _through_psutil(system: str) -> Mapping[str, Read]:
    """MacOS and Windows: load and swap; what they do not count is absent."""
    reads: dict[str, Read] = {
        "busy_ns": _psutil_busy_ns,
        "steal_ns": lambda: None,
        "throttled_periods": lambda: None,
        "thermal_events": lambda: None,
        "swapped_in_bytes": lambda: None,
        "swapped_out_bytes": lambda: None,
    }
    if system != "win32":  # psutil answers 0 there, whatever happens
        reads["swapped_in_bytes"] = lambda: _psutil_swap_bytes("sin")
        reads["swapped_out_bytes"] = lambda: _psutil_swap_bytes("sout")
    return reads


def _psutil_busy_ns() -> int:
    """Time that all processors were busy since start, ns."""
    import psutil

    times = psutil.cpu_times()
    return int(sum(getattr(times, name, 0.0) for name in BUSY_NAMES) * NS_PER_S)


def _psutil_swap_bytes(name: str) -> int:
    """Bytes moved in (`sin`) or out (`sout`) of swap since start."""
    import psutil

    return int(getattr(psutil.swap_memory(), name))
