"""The one function that a worker of a fleet runs: a cell, in a child process of its own.

What comes is the text of a cell file, what goes back is one JSON text. The worker's process itself
does nothing while a cell is measured: the thread of the task waits for the child's end without
looking, and what the child says goes to a file.
"""

import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.core.environment import child_variables
from harness.core.errors import EXIT_INTERRUPTED, EXIT_STORAGE, EXIT_USAGE
from harness.fleet.scheduling.offer import Offer

CHILD = "harness.fleet.scheduling.child"
CELL_HASH = re.compile(r"[0-9a-f]{16}")
MOST_CELL_BYTES = 2**20
BEGUN = "bench-begun"  # topic of what workers begin with
SAID_BYTES = 4096  # of what a cell printed, its end
SAID_LINES = 6
CELLS = "cells"  # folder of the cells that came, beside their results


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker answers of one cell.

    Attributes:
        cell: hash of the cell.
        worker: its name.
        machine: its hash, as the worker has announced it.
        exit_code: of `bench cell`.
        file: name of the result's file; null: there is none.
        result: its text.
        said: the last lines of what the cell said, for where there is no result.
    """

    cell: str
    worker: str
    machine: str
    exit_code: int
    file: str | None = None
    result: str | None = None
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How the measurement of a cell ended.

    Attributes:
        exit_code: of the command.
        said: the last lines of what it printed on stderr.
    """

    exit_code: int
    said: tuple[str, ...] = ()


@dataclass(slots=True)
class Children:
    """`bench cell` as child processes, each of which ends when this one does.

    Attributes:
        words: of the command line behind the cell file and the folder.
    """

    words: Sequence[str] = ()
    _running: set["subprocess.Popen[bytes]"] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def __call__(self, cell: Path, out: Path) -> Ended:
        """Run one cell; blocks until it has ended."""
        command = [sys.executable, "-P", "-m", CHILD, "cell", str(cell), "--out", str(out)]
        with tempfile.TemporaryFile() as said:
            with self._lock:
                if self._stopped:
                    return Ended(EXIT_INTERRUPTED, ("the worker was stopped",))
                child = subprocess.Popen(
                    [*command, *self.words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env=_variables(),
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
                self._running.add(child)
            code = child.wait()  # without a time limit: nothing looks meanwhile
            with self._lock:
                self._running.discard(child)
                _let_go(child)
            said.seek(max(0, said.seek(0, 2) - SAID_BYTES))
            return Ended(code, last_said(said.read()))

    def stop(self) -> None:
        """Interrupt what runs, and start nothing any more."""
        with self._lock:
            self._stopped = True
            for child in self._running:
                _let_go(child)


Measure = Callable[[Path, Path], Ended]  # a cell's file, the folder of results -> how it ended


@dataclass(slots=True)
class Station:
    """Where a worker measures.

    Attributes:
        offer: what it announced.
        out: folder of its results, which are there before anything is sent.
        measure: measures one cell.
        begun: told of each cell that is begun.
    """

    offer: Offer
    out: Path
    measure: Measure
    begun: Callable[[str], None] = lambda _cell: None
    idle: threading.Condition = field(default_factory=threading.Condition)
    running: int = 0

    def run(self, cell: str, text: str) -> Reply:
        """Measure one cell and read its result.

        Args:
            cell: its hash.
            text: of its file.
        """
        with self.idle:
            self.running += 1
        try:
            return self._run(cell, text)
        except OSError as error:
            return self._reply(cell, EXIT_STORAGE, (f"{type(error).__name__}: {error.strerror}",))
        finally:
            with self.idle:
                self.running -= 1
                self.idle.notify_all()

    def wait_until_idle(self) -> None:
        """Block until no cell is measured here."""
        with self.idle:
            self.idle.wait_for(lambda: not self.running)

    def _run(self, cell: str, text: str) -> Reply:
        if not CELL_HASH.fullmatch(cell) or len(text.encode()) > MOST_CELL_BYTES:
            return self._reply(cell[:16], EXIT_USAGE, ("this is no cell of a plan",))
        cells = self.out / CELLS
        cells.mkdir(parents=True, exist_ok=True)
        file = cells / f"cell-{cell}.json"
        file.write_text(text, encoding="utf-8")  # checked by its hash when it is read
        self.begun(cell)
        ended = self.measure(file, self.out)
        found = newest_result(self.out, cell)
        if found is None:
            return self._reply(cell, ended.exit_code, ended.said)
        return msgspec.structs.replace(
            self._reply(cell, ended.exit_code, ended.said),
            file=found.name,
            result=found.read_text(encoding="utf-8"),
        )

    def _reply(self, cell: str, exit_code: int, said: tuple[str, ...]) -> Reply:
        offer = self.offer
        return Reply(
            cell=cell, worker=offer.name, machine=offer.machine, exit_code=exit_code, said=said
        )


_station: list[Station] = []  # of this process; set before the worker takes a task


def work_at(station: Station) -> None:
    """Let tasks of this process be measured here."""
    _station[:] = [station]


def run_cell(cell: str, text: str) -> str:
    """The task: measure a cell and say what came of it, as JSON.

    Args:
        cell: its hash.
        text: of its file.
    """
    if not _station:
        return ""  # this process is no worker of a fleet
    return msgspec.json.encode(_station[0].run(cell, text)).decode()


def newest_result(out: Path, cell: str) -> Path | None:
    """The newest result of a cell in a folder; None: there is none."""
    found = list(out.glob(f"result-{cell}-*.json"))
    return max(found, key=lambda file: file.stat().st_mtime_ns, default=None)


def last_said(output: bytes) -> tuple[str, ...]:
    """The last lines of what a command printed."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines()]
    return tuple(line for line in lines if line)[-SAID_LINES:]


def _let_go(child: "subprocess.Popen[bytes]") -> None:
    """Close our end of a child's stdin, which interrupts a child that still runs."""
    if child.stdin is not None:
        with suppress(OSError):
            child.stdin.close()


def _variables() -> dict[str, str]:
    """A child's environment: this one's without secrets, with our import path."""
    import os

    folders = (str(Path(folder or ".").absolute()) for folder in sys.path)
    return child_variables() | {"PYTHONPATH": os.pathsep.join(folders)}
