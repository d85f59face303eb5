"""The process behind a port of this machine, with those it started: its memory and its time.

A server keeps its memory to itself; the system tells it of processes that this user may look at.
"""

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.core.units import NS_PER_S
from harness.machine.meters.memory import MemoryMark, linux_mark

# What only passes on what others answer: its memory is none of a model.
PASSES_ON = ("docker-proxy", "com.docker", "rootlessport", "pasta", "slirp4netns", "wslrelay")
PASSES_ON_TOO = ("ssh", "sshd", "nginx", "caddy", "haproxy", "socat")
NOT_SEEN = "the process that listens there is not one that this user may look at"


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens, found by its port.

    Attributes:
        pid: of it.
        name: of its program.
    """

    pid: int
    name: str

    def cpu_ns(self) -> int:
        """Processor time of it and of all that it started and that still run."""
        import psutil

        total_s = 0.0
        for process in self._tree():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total_s += times.user + times.system
        return round(total_s * NS_PER_S)

    def memory(self) -> MemoryMark | None:
        """Resident memory of all of them now, and the sum of their high-water marks.

        None: the system tells no high-water mark of others, as macOS, or they have ended.
        """
        marks = [mark for process in self._tree() if (mark := _mark(process.pid))]
        if not marks:
            return None
        anonymous = [mark.anonymous_bytes for mark in marks]
        known = [size for size in anonymous if size is not None]
        return MemoryMark(
            rss_bytes=sum(mark.rss_bytes for mark in marks),
            peak_bytes=sum(mark.peak_bytes for mark in marks),
            anonymous_bytes=sum(known) if len(known) == len(marks) else None,
        )

    def _tree(self) -> list:  # type: ignore[type-arg]  # of psutil.Process
        """The process and all below it; empty: it has ended."""
        import psutil

        try:
            first = psutil.Process(self.pid)
            return [first, *first.children(recursive=True)]
        except psutil.Error:
            return []


def find_listener(port: int) -> Listener | str:
    """Find who listens at a port of this machine.

    Returns:
        The process, or why it is not known, in a sentence.
    """
    import psutil

    try:
        found = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return NOT_SEEN
    pids = {
        one.pid
        for one in found
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid
    }
    if not pids:
        return NOT_SEEN
    try:
        process = psutil.Process(min(pids))
        name = process.name()
    except psutil.Error:
        return NOT_SEEN
    plain = name.casefold().removesuffix(".exe")
    if plain.startswith(PASSES_ON) or plain in PASSES_ON_TOO:
        return f"{name} listens there and passes on what another process answers"
    return Listener(process.pid, name)


def _mark(pid: int) -> MemoryMark | None:
    """Memory of another process; None: it has ended, or the system does not tell its peak."""
    if sys.platform.startswith("linux"):
        try:
            return linux_mark(Path(f"/proc/{pid}"))
        except (OSError, KeyError):
            return None
    import psutil

    with suppress(psutil.Error):
        held = psutil.Process(pid).memory_info()
        if hasattr(held, "peak_wset"):
            return MemoryMark(rss_bytes=held.rss, peak_bytes=max(held.peak_wset, held.rss))
    return None
