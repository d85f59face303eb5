"""Container limits and throttling from Linux control groups, version 1 and 2.

A process may be limited by its own group and by every group above it; inside a container the
group's path may name a folder that only the host sees, and then the mount's root is the group.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from harness.machine.watch.reading import text_of

MOUNT = Path("sys/fs/cgroup")
# Version 1 writes a number near 2**63, rounded to pages, where there is no limit.
NO_LIMIT_BYTES = 2**62
# Names of both versions; above `high` a group is slowed down until it has given enough back.
HARD_LIMITS = ("memory.max", "memory.limit_in_bytes")
LIMITS = (*HARD_LIMITS, "memory.high")
USED = ("memory.current", "memory.usage_in_bytes")
STAT = "memory.stat"
RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")


def cpu_quota_cores(root: Path) -> float | None:
    """Processors' worth of time the container may use, such as 1.5; None: no limit."""
    quotas = [quota for folder in group_folders(root, "cpu") if (quota := _quota(folder))]
    return min(quotas, default=None)


def memory_limit_bytes(root: Path) -> int | None:
    """Memory the container may use, bytes; None: no limit."""
    limits = (_limit_bytes(folder, HARD_LIMITS) for folder in group_folders(root, "memory"))
    return min((limit for limit in limits if limit is not None), default=None)


def memory_room_bytes(folder: Path) -> int | None:
    """What one group's own limit leaves, bytes: the limit minus what cannot be given back.

    Pages of files and of the kernel's caches count as used and are given back on demand; those of
    shared memory are not, and stand in none of RECLAIMABLE.

    Returns:
        None where the group has no limit, or nothing counts its use.
    """
    limit, used = _limit_bytes(folder, LIMITS), _first_number(folder, USED)
    if limit is None or used is None:
        return None
    counts = dict(line.split(maxsplit=1) for line in (_text(folder / STAT) or "").splitlines())
    # Version 1 counts a group without those below it, and those again with `total_`.
    freeable = sum(int(counts.get(f"total_{name}", counts.get(name, 0))) for name in RECLAIMABLE)
    return max(0, limit - max(0, used - freeable))


def _limit_bytes(folder: Path, names: tuple[str, ...]) -> int | None:
    """The least limit of one group in files of these names; None: no limit."""
    texts = (_text(folder / name) for name in names)
    limits = (int(text) for text in texts if text is not None and text != "max")
    return min((limit for limit in limits if limit < NO_LIMIT_BYTES), default=None)


def _first_number(folder: Path, names: tuple[str, ...]) -> int | None:
    """The number in the first of these files that is there."""
    texts = (_text(folder / name) for name in names)
    return next((int(text) for text in texts if text is not None), None)


def throttled_periods(root: Path) -> int | None:
    """How often a quota has stopped this process's groups so far; None: nothing counts it."""
    counts = []
    for file in _cpu_stat_files(root):
        for line in text_of(file).splitlines():
            name, _, count = line.partition(" ")
            if name == "nr_throttled":
                counts.append(int(count))
    return sum(counts) if counts else None


@cache
def _cpu_stat_files(root: Path) -> tuple[Path, ...]:
    """Looked for once: a process stays in its groups, and a watch reads them often."""
    files = (folder / "cpu.stat" for folder in group_folders(root, "cpu"))
    return tuple(file for file in files if file.is_file())


def group_folders(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the group this process is in for `controller`, and of all groups above it."""
    for line in text_of(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":  # version 2: one tree for all controllers
            yield from _upwards(root / MOUNT, group)
        elif controller in controllers.split(","):
            names = (controllers, controller)  # one is often a link to the other
            mounts = (root / MOUNT / name for name in names if (root / MOUNT / name).is_dir())
            yield from _upwards(next(mounts, root / MOUNT / controller), group)


def _upwards(mount: Path, group: str) -> Iterator[Path]:
    """The mount and each folder below it on the way to `group`, as far as they exist."""
    folder = mount
    parts = iter(part for part in group.split("/") if part not in ("", ".", ".."))
    while folder.is_dir():
        yield folder
        part = next(parts, None)
        if part is None:
            return
        folder = folder / part


def _quota(folder: Path) -> float | None:
    """Quota over period of one group; None without a limit."""
    text = _text(folder / "cpu.max")
    if text is None:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    else:
        quota, period = text.split()
    if quota is None or period is None or quota in ("max", "-1"):
        return None
    return int(quota) / int(period)


def _text(path: Path) -> str | None:
    """A file's text; None where it is not there (a group has only some controllers)."""
    try:
        return text_of(path)
    except FileNotFoundError:
        return None
