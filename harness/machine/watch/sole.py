"""One measurement at a time on what it measures: the others wait, or go on and are marked.

`with sole_measurement(cache, kinds, doing)` stands around everything that is timed. There is a lock
for each class of device, in the cache, by machine. Who measures a processor holds all of them: its
threads take every core and the memory that a GPU's or an NPU's driver is fed from, and the thread
that feeds a device would count as another program. Who measures a GPU or an NPU alone holds that
one: another device does not wait for it. Two rows of one class may be the same chip under two
providers, so they do wait. Builds and quality take no lock: nothing of them is timed.

The system lets go of a lock when its process ends, whatever ended it: a lock that nobody holds is
free, whoever wrote into the file beside it. A block inside another one of its thread, and a `bench`
that a measuring process has started, belong to that measurement and never wait for it.

Who goes on beside another measurement writes that into its file: both see it, and say OTHER_BENCH.
"""

import hashlib
import json
import os
import platform
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.files import LOCKS
from harness.core.findings import Log

if TYPE_CHECKING:
    import filelock

KINDS = ("cpu", "gpu", "npu")  # in the order in which they are taken
POLL_S = 0.5  # between looks of who waits, which must not disturb what it waits for
SAME_START_S = 1.0  # a process's start, told twice, differs by less
GO_ON = "--wait 0s goes on beside it, and marks the rows OTHER_BENCH"


@dataclass(frozen=True, slots=True)
class Others:
    """Other measurements beside this one.

    Attributes:
        came: how many have come so far.
        there: whether one is there.
    """

    came: int = 0
    there: bool = False


NOBODY = Others()


@dataclass(slots=True)
class _Place:
    """The lock of one class of device, and the file that says who holds it and who goes beside."""

    lock: "filelock.BaseFileLock"
    file: Path
    doing: str
    is_held: bool = False
    is_beside: bool = False
    found: int = 0  # others that were met here

    def take(self, wait_s: float = 0.0) -> bool:
        """Take the lock where it becomes free in time (less than 0: whenever that is)."""
        import filelock

        try:
            self.lock.acquire(timeout=wait_s, poll_interval=POLL_S)
        except filelock.Timeout:
            return False
        self.is_held, self.is_beside = True, False
        with suppress(OSError):
            self.file.write_text(json.dumps(_own_facts(self.doing)) + "\n", encoding="utf-8")
        return True

    def is_free(self) -> bool:
        """Whether nobody holds the lock."""
        import filelock

        try:
            self.lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        self.lock.release()
        return True

    def leave(self) -> None:
        """Let go of the lock, or say that we are not beside it any longer."""
        if self.is_held:
            with suppress(OSError):
                self.file.write_text("", encoding="utf-8")
            self.lock.release()
        elif self.is_beside:
            self._write("-")
        self.is_held = self.is_beside = False

    def owner(self) -> dict[str, Any]:
        """What the file says of who holds the lock; nothing where it says nothing."""
        with suppress(OSError, ValueError):
            facts = json.loads(self.file.read_text(encoding="utf-8").partition("\n")[0])
            if isinstance(facts, dict):
                return facts
        return {}

    def others(self) -> Others:
        """Who else measures here, or has since we began."""
        if self.is_beside:
            self.found = 1
            if self.take():  # it has ended
                return Others(self.found)
            if f"+{os.getpid()}" not in self._visits():  # another one measures now
                self._write("+")
            return Others(self.found, there=True)
        visits = self._visits() if self.is_held else []
        came = sum(line.startswith("+") for line in visits)
        return Others(self.found + came, there=2 * came > len(visits))

    def go_beside(self) -> None:
        """Go on although another measures."""
        self.is_beside = True
        self._write("+")

    def _visits(self) -> list[str]:
        """Who came (`+`) and went (`-`) while the owner measured."""
        with suppress(OSError, ValueError):
            return self.file.read_text(encoding="utf-8").splitlines()[1:]
        return []

    def _write(self, sign: str) -> None:
        with suppress(OSError), self.file.open("a", encoding="utf-8") as file:
            file.write(f"{sign}{os.getpid()}\n")


class _Held(threading.local):
    """The places that blocks of this thread have entered."""

    def __init__(self) -> None:
        """None yet."""
        self.places: dict[Path, _Place] = {}


_HELD = _Held()


@contextmanager
def sole_measurement(
    cache: Path,
    kinds: Collection[str],
    doing: str,
    wait_s: float | None = None,
    log: Log = lambda line: None,
) -> Iterator[None]:
    """Keep other measurements away from what is timed in this block.

    A cache that cannot be written, or a disk without locks, keeps nobody from measuring.

    Args:
        cache: of models, which lies on one machine or on a disk that several share.
        kinds: classes of the devices that are measured.
        doing: what others are told that this process does, such as `bench run`.
        wait_s: longest wait for another measurement, after which this one goes on beside it; None:
            as long as that one lives.
        log: is told once if there is one, and once if it is not waited for any longer.
    """
    mine: list[Path] = []
    said: set[str] = set()

    def log_once(line: str) -> None:
        if line not in said:  # one measurement may hold the locks of several classes
            said.add(line)
            log(line)

    nested = bool(_HELD.places)
    deadline_s = None if wait_s is None else time.monotonic() + wait_s
    try:
        for kind in locked_kinds(kinds):
            file = _file(cache, kind)
            if file in _HELD.places:
                continue
            # Who holds one lock waits for no other: two that did could wait for each other.
            with suppress(OSError, NotImplementedError):
                file.parent.mkdir(parents=True, exist_ok=True)
                place = _place(file, doing)
                _enter(place, time.monotonic() if nested else deadline_s, log_once)
                _HELD.places[file] = place
                mine.append(file)
        yield
    finally:
        for file in reversed(mine):
            _HELD.places.pop(file).leave()


def other_measurements() -> Others:
    """Other measurements beside that of the block this is called in; none outside of one."""
    found = [place.others() for place in _HELD.places.values()]
    return Others(sum(one.came for one in found), any(one.there for one in found))


def who_measures(cache: Path) -> dict[str, tuple[str, ...]]:
    """Look who measures on this machine, without being in anybody's way.

    A lock is tried only where a file names an owner, who may have been killed: nobody waits for
    this look.

    Args:
        cache: of models.

    Returns:
        What each does, such as `bench run (process 42)` -> classes of the devices that it holds;
        empty: nobody measures.
    """
    found: dict[str, tuple[str, ...]] = {}
    for kind in KINDS:
        with suppress(OSError, NotImplementedError):
            place = _place(_file(cache, kind), "")
            owner = place.owner()
            if owner and not place.is_free():
                found[_named(owner)] = (*found.get(_named(owner), ()), kind)
    return found


def locked_kinds(kinds: Collection[str]) -> tuple[str, ...]:
    """Return the classes of devices that a measurement of some keeps others from.

    What is not a device's alone (the processor, a server) keeps others from all.
    """
    apart = set(KINDS) - {"cpu"}
    return tuple(one for one in KINDS if one in kinds) if kinds and apart >= set(kinds) else KINDS


def lock_folder(cache: Path) -> Path:
    """Return where the locks of a cache are."""
    return cache / LOCKS


def _file(cache: Path, kind: str) -> Path:
    """Where the lock of a class of device is, but for its ending."""
    return lock_folder(cache) / f"measuring-{kind}-{_machine()}"


def _named(owner: dict[str, Any]) -> str:
    """What the owner of a lock does, for people."""
    return f"{owner.get('doing', 'another bench')} (process {owner.get('pid', 'unknown')})"


def _place(file: Path, doing: str) -> _Place:
    """Return the place of a file."""
    import filelock

    lock = filelock.FileLock(f"{file}.lock", thread_local=False)
    return _Place(lock, file.with_name(f"{file.name}.owner"), doing)


def _enter(place: _Place, deadline_s: float | None, log: Log) -> None:
    """Take a place, wait for it, or go beside who has it."""
    if place.take():
        return
    owner = place.owner()
    if _is_ancestor(owner):  # we are a part of it: neither waits for nor disturbs the other
        return
    left_s = -1.0 if deadline_s is None else max(0.0, deadline_s - time.monotonic())
    named = _named(owner)
    if left_s:
        log(f"{named} measures on this machine: waiting for it; {GO_ON}")
        if place.take(left_s):
            return
    log(f"{named} measures on this machine as well: the rows are marked OTHER_BENCH")
    place.go_beside()


def _own_facts(doing: str) -> dict[str, Any]:
    """Who we are, for others to read."""
    import psutil

    return {"doing": doing, "pid": os.getpid(), "started_s": psutil.Process().create_time()}


def _is_ancestor(owner: dict[str, Any]) -> bool:
    """Whether the process that a file names started this one, or one that did."""
    import psutil

    pid, started_s = owner.get("pid"), owner.get("started_s")
    if not isinstance(started_s, int | float):
        return False
    with suppress(psutil.Error):
        return any(
            one.pid == pid and abs(one.create_time() - started_s) < SAME_START_S
            for one in psutil.Process().parents()
        )
    return False


def _machine() -> str:
    """A word for this machine since it started, which names nobody: disks may be shared."""
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    return hashlib.sha256((boot or platform.node()).encode()).hexdigest()[:8]
