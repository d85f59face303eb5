"""A scheduler and workers as processes of a test, which leave nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from harness.fleet.cells import CellFile
from harness.fleet.laying import cells_of
from harness.runner.settings import load_settings
from tests.fleet.scheduling import null_worker

END_S = 20.0
READY_S = 60.0


def null_cells(count: int) -> tuple[CellFile, ...]:
    """So many cells of the small model, on the processor."""
    plan = {"model": ("bytelm",), "quant": ("int4",), "device": ("cpu",), "threads": ("1",)}
    (one,) = cells_of(load_settings("ci", **plan, prompt=(8,), rounds=1))
    return tuple(with_threads(one, number) for number in range(1, count + 1))


def with_threads(cell: CellFile, threads: int) -> CellFile:
    """The same cell with another number of threads."""
    rows = tuple(structs.replace(row, threads=threads) for row in cell.rows)
    return replace(cell, settings=replace(cell.settings, threads=(str(threads),)), rows=rows)


@dataclass
class Fleet:
    """Processes around one scheduler.

    Attributes:
        folder: of logs and results.
        address: of the scheduler.
        scheduler: its process.
        workers: processes by name.
    """

    folder: Path
    address: str
    scheduler: subprocess.Popen
    workers: dict[str, subprocess.Popen] = field(default_factory=dict)

    def worker(self, name: str, *words: str, before: Sequence[str] = ()) -> Path:
        """Start a null worker; returns the folder of its results.

        Args:
            name: of it.
            words: KEY=VALUE, see null_worker.
            before: words of a command that starts it.
        """
        out = self.folder / f"out-{name}"
        said = self.folder / f"{name}.log"
        command = ("-m", null_worker.__name__, self.address, str(out), name, *words)
        self.workers[name] = start(said, *command, before=before)
        return out

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def wait_for(self, name: str, text: str) -> None:
        """Block until a process has said something."""
        until_s = time.monotonic() + READY_S
        while text not in self.log(name):
            assert time.monotonic() < until_s, self.log(name)
            time.sleep(0.05)


@contextmanager
def fleet(folder: Path, *tls: str, host: str = "127.0.0.1") -> Iterator[Fleet]:
    """A scheduler; every process is ended at the end.

    Args:
        folder: of the test.
        tls: words of the scheduler's command line.
        host: an address of this machine.
    """
    folder.mkdir(exist_ok=True)
    port = free_port(host)
    scheme = "tls" if tls else "tcp"
    words = ("--host", f"{scheme}://{host}", "--port", str(port), "--no-dashboard")
    quiet = ("--dashboard-address", "127.0.0.1:0")
    scheduler = start(
        folder / "scheduler.log", "-m", "distributed.cli.dask_scheduler", *words, *quiet, *tls
    )
    one = Fleet(folder, f"{scheme}://{host}:{port}", scheduler)
    with ExitStack() as stack:
        stack.callback(lambda: end(one.scheduler, *one.workers.values()))
        one.wait_for("scheduler", "Scheduler at:")
        yield one


def start(log: Path, *words: str, before: Sequence[str] = ()) -> subprocess.Popen:
    """Start this interpreter, by another command perhaps, with its output in a file."""
    with log.open("wb") as file:
        return subprocess.Popen(
            [*before, sys.executable, *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )


def end(*processes: subprocess.Popen) -> None:
    """End what still runs, first kindly."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port(host: str) -> int:
    with socket.socket() as one:
        one.bind((host, 0))
        return one.getsockname()[1]
