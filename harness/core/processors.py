"""How many processors this process may run on."""

import os


def usable_processors() -> int:
    """Logical processors of its affinity, where the system has such; else all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
