"""Which processors this process may use, and how many cores they are."""

import os
from functools import partial
from pathlib import Path

from harness.machine.watch.cgroup import cpu_quota_cores
from harness.machine.watch.reading import probe, text_of

CPU = "sys/devices/system/cpu"
# Files that tell a core, the surest first: its processors as a list, older kernels' name of it,
# both as masks, and last the numbers, which tell cores apart only within a cluster.
SHARED_BY = (
    *(("core_cpus_list",), ("thread_siblings_list",), ("core_cpus",), ("thread_siblings",)),
    ("physical_package_id", "cluster_id", "core_id"),
    ("physical_package_id", "core_id"),
)


ONE_KIND = 0.9  # of the fastest core's speed, above which a core is of the same kind


def usable_cores(root: Path = Path("/")) -> int:
    """Physical cores this process may use: the default number of threads, at least 1.

    Affinity, then the container's quota: a container with 1.5 processors' worth of time has one
    core, because two busy threads would be stopped in every period.
    """
    processors = usable_processors()
    limits = [len(processors)]
    for limit in (lambda: physical_cores(processors, root), lambda: cpu_quota_cores(root)):
        found = probe(limit).value
        if found is not None:
            limits.append(int(found))
    return max(1, min(limits))


def usable_processors() -> frozenset[int]:
    """Numbers of the logical processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    import psutil

    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # not on macOS, which has none
        return frozenset(process.cpu_affinity())
    return frozenset(range(os.cpu_count() or 1))


def one_per_core(processors: frozenset[int], root: Path = Path("/")) -> tuple[int, ...]:
    """The first logical processor of each core; all of them where the system tells no cores."""
    first: dict[object, int] = {}
    for number in sorted(processors):
        core = _core(root / CPU / f"cpu{number}" / "topology")
        first.setdefault(number if core is None else core, number)
    return tuple(first.values())


def fastest_processors(processors: frozenset[int], root: Path = Path("/")) -> frozenset[int] | None:
    """Those on cores of the fastest kind; None: they are all of one kind, or nothing tells.

    By the kernel's `cpu_capacity` (ARM) or the largest frequency of each (x86), of which cores of
    one kind may have a few per cent more than others.
    """
    for file in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        texts = {
            number: probe(partial(text_of, root / CPU / f"cpu{number}" / file)).value
            for number in processors
        }
        speeds = {number: int(text) for number, text in texts.items() if str(text).isdecimal()}
        if speeds and len(speeds) == len(processors):
            limit = ONE_KIND * max(speeds.values())
            fast = frozenset(number for number, speed in speeds.items() if speed >= limit)
            return fast if len(fast) < len(processors) else None
    return None


def physical_cores(processors: frozenset[int], root: Path = Path("/")) -> int | None:
    """Distinct cores among logical `processors`; None where the system does not tell."""
    if not (root / CPU).is_dir():
        return _all_physical_cores(len(processors))
    told = any(_core(root / CPU / f"cpu{number}" / "topology") for number in processors)
    return len(one_per_core(processors, root)) if told else None


def _core(topology: Path) -> tuple[str, ...] | None:
    """What tells one core from another: who shares it; None where nothing tells.

    The number of a core counts anew in every cluster of an ARM processor, and the number of a
    package may be -1; the list of the processors that share a core is right on all of them.
    """
    for names in SHARED_BY:
        texts = tuple(str(probe(partial(text_of, topology / name)).value or "") for name in names)
        if all(texts):
            return texts
    return None


def _all_physical_cores(processors: int) -> int | None:
    """Systems without sysfs: all cores of the machine, at most as many as may be used."""
    import psutil

    cores = psutil.cpu_count(logical=False)
    return None if cores is None else min(cores, processors)
