"""How much memory a new process could take now, before the machine or the container has none."""

from pathlib import Path
from typing import Any

from harness.machine.watch.cgroup import group_folders, memory_limit_bytes
from harness.machine.watch.reading import probe, text_of


def free_memory_bytes(root: Path = Path("/")) -> int | None:
    """Memory that is free or can be freed at once, within the container's limit; None: unknown.

    Args:
        root: of the file system that Linux's control groups are read from.
    """
    known = [probe(read).value for read in (_machine_free, lambda: _container_free(root))]
    return min((value for value in known if value is not None), default=None)


def _machine_free() -> int:
    """What the system could hand out without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def _container_free(root: Path) -> int | None:
    """What the container's limit leaves; None without a limit or a count of what is used."""
    limit: Any = memory_limit_bytes(root)
    if limit is None:
        return None
    used = [
        int(text_of(folder / name))
        for folder in group_folders(root, "memory")
        for name in ("memory.current", "memory.usage_in_bytes")
        if (folder / name).is_file()
    ]
    # Pages of files count as used and are given back on demand, so this errs to the safe side
    # only when the cache is large; the own group's count, the last one, is the nearest.
    return None if not used else max(0, int(limit) - used[-1])
