"""How much memory this process holds now and held at most, from the operating system's books."""

import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.core.units import KIB
from harness.results.replies import Held


@dataclass(frozen=True, slots=True)
class MemoryMark:
    """One reading of this process's own memory.

    Attributes:
        rss_bytes: resident pages of every kind.
        peak_bytes: the system's high-water mark of the same since the program started.
        anonymous_bytes: resident pages without a file behind them; None where the system does
            not tell.
        file_bytes: resident pages that map a file and can be dropped and read again; None
            likewise.
    """

    rss_bytes: int
    peak_bytes: int
    anonymous_bytes: int | None = None
    file_bytes: int | None = None

    def held(self) -> Held:
        """What it says about now."""
        return Held(
            rss_bytes=self.rss_bytes,
            anonymous_bytes=self.anonymous_bytes,
            file_bytes=self.file_bytes,
        )


class AnonymousWatch:
    """Looks again and again at how much memory without a file behind it this process holds.

    The system keeps a high-water mark of all resident pages, and none of these. For a process that
    times nothing: the looks take a thread of their own.
    """

    def __init__(self, status: Path = Path("/proc/self/status"), every_s: float = 0.002) -> None:
        """Look at nothing yet.

        Args:
            status: of the process, as Linux writes it; elsewhere there is none.
            every_s: between two looks.
        """
        self._status, self._every_s = status, every_s
        self._found = _anonymous_now(status)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        """Begin, where the system tells."""
        if self._found is not None:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End with a last look."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
        self._add()

    @property
    def peak_bytes(self) -> int | None:
        """The most that any look found; None: the system does not tell."""
        return self._found

    def _look(self) -> None:
        while not self._done.wait(self._every_s):
            self._add()

    def _add(self) -> None:
        now = _anonymous_now(self._status)
        if self._found is not None and now is not None:
            self._found = max(self._found, now)


def memory_mark() -> MemoryMark:
    """Read this process's memory now."""
    if sys.platform.startswith("linux"):
        return linux_mark(Path("/proc/self"))
    return _psutil_mark()


def linux_mark(folder: Path) -> MemoryMark:
    """Read one process's folder in /proc.

    VmHWM, not ru_maxrss, is the peak: ru_maxrss survives exec, so a child of an 800 MiB parent
    would begin with 813 MiB. smaps_rollup counts pages exactly; where it is absent (older
    kernels, some containers), status gives the same numbers within 64 pages a thread.
    """
    status = _kib_fields((folder / "status").read_text().splitlines())
    try:
        exact = _kib_fields((folder / "smaps_rollup").read_text().splitlines())
    except OSError:
        exact = {}
    rss_bytes = exact.get("Rss", status["VmRSS"])
    anonymous_bytes = exact.get("Anonymous", status.get("RssAnon"))
    return MemoryMark(
        rss_bytes=rss_bytes,
        peak_bytes=max(status["VmHWM"], rss_bytes),
        anonymous_bytes=anonymous_bytes,
        file_bytes=None if anonymous_bytes is None else rss_bytes - anonymous_bytes,
    )


def _anonymous_now(status: Path) -> int | None:
    """Bytes of anonymous pages; None: there is no such file, or it does not say."""
    try:
        return _kib_fields(status.read_text().splitlines()).get("RssAnon")
    except OSError:
        return None


def _kib_fields(lines: Iterable[str]) -> dict[str, int]:
    """The lines `Name:   123 kB` as bytes by name; every other line is left out."""
    fields = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdecimal():
            fields[name] = int(words[0]) * KIB
    return fields


def _psutil_mark() -> MemoryMark:
    """Windows: the peak working set. macOS: ru_maxrss, which is in bytes there."""
    import psutil

    held = psutil.Process().memory_info()
    if sys.platform == "win32":
        peak_bytes = int(held.peak_wset)
    else:
        import resource

        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return MemoryMark(rss_bytes=held.rss, peak_bytes=max(peak_bytes, held.rss))
