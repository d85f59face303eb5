"""How much memory a new process could take now, before the machine or the container has none."""

from pathlib import Path

from harness.machine.watch.cgroup import group_folders, memory_room_bytes
from harness.machine.watch.reading import probe


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
    """What the tightest group of this process leaves; None without a limit or a count of use."""
    rooms = (memory_room_bytes(folder) for folder in group_folders(root, "memory"))
    return min((room for room in rooms if room is not None), default=None)
