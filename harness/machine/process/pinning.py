"""Keep another process on some of the processors, where the system lets us."""

import os
from collections.abc import Collection


def pin(pid: int, processors: Collection[int]) -> bool:
    """Let a process, and the threads that it starts from now on, run on `processors` only.

    Args:
        pid: of a process of this user.
        processors: numbers of logical processors, at least one.

    Returns:
        Whether it is so; false where the system has no such wish (macOS) or refuses it.
    """
    if hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(pid, processors)
        except OSError:
            return False
        return True
    return _pin_elsewhere(pid, processors)


def _pin_elsewhere(pid: int, processors: Collection[int]) -> bool:
    """The same on systems without that call: Windows has another one."""
    import psutil

    try:
        process = psutil.Process(pid)
        if not hasattr(process, "cpu_affinity"):
            return False
        process.cpu_affinity(sorted(processors))
    except (OSError, ValueError, psutil.Error):
        return False
    return True
