"""What a worker is at, told in its log: nobody wakes up for it, and it survives the worker."""

import os
from contextlib import suppress

MARK = "\x1ephase: "
_LOG = 2  # descriptor of stderr, which is a worker's log
_told = False  # whether this process is a worker


def begin_phases() -> None:
    """Tell phases from now on: this process is a worker, whose stderr is its log."""
    global _told
    _told = True


def tell_phase(name: str) -> None:
    """Note what begins now; one write, and none at all where nobody asked for it.

    Not between two looks at a clock.

    Args:
        name: a few words: `creating the session`.
    """
    if _told:
        with suppress(OSError):  # a full disk
            os.write(_LOG, f"\n{MARK}{name}\n".encode())


def last_phase(log: str) -> str:
    """The last one that a log tells of; empty: none."""
    _, mark, rest = log.rpartition(MARK)
    return rest.partition("\n")[0] if mark else ""


def without_phases(log: str) -> str:
    """A log as others wrote it."""
    return "\n".join(line for line in log.split("\n") if not line.startswith(MARK))
