"""Cells to workers and results back, until every cell is done, lost, or somebody interrupts."""

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from harness.core.errors import DeviceError, StorageError
from harness.core.findings import Log, Progress
from harness.core.version import installed_version
from harness.fleet.cells import CellFile
from harness.fleet.scheduling.crew import Began, Came, Changed, Event, Gone
from harness.fleet.scheduling.incoming import RefusedError, keep, known_results, read_reply
from harness.fleet.scheduling.jobs import Crew, Ledger, Loss, is_stopped
from harness.fleet.scheduling.placing import Member, Wanted, members_of
from harness.results.schema import METHOD_VERSION

TICK_S = 1.0


class End(StrEnum):
    """How the gathering ended."""

    DONE = "done"
    SCHEDULER_LOST = "scheduler lost"
    INTERRUPTED = "interrupted"
    STORAGE = "storage"


# What stands for a cell that was open at the end.
NOT_GATHERED = {
    End.DONE: "",
    End.SCHEDULER_LOST: "the scheduler was lost before its result came",
    End.INTERRUPTED: "interrupted before its result came",
    End.STORAGE: "the folder of results takes nothing",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """How a plan is measured by a fleet.

    Attributes:
        cells: of the plan.
        place: EACH or ANY.
        out: folder of the results.
        workers: how many are waited for before the first cell goes out.
        wait_s: how long they are waited for.
        grace_s: how long a cell waits for a worker that can take it.
    """

    cells: Sequence[CellFile]
    place: str
    out: Path
    workers: int = 1
    wait_s: float = 60.0
    grace_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of it.

    Attributes:
        results: files of the folder that belong to the plan.
        losses: cells without a result.
        end: how it ended.
        problem: of a disk that takes nothing.
    """

    results: tuple[Path, ...]
    losses: tuple[Loss, ...]
    end: End
    problem: StorageError | None = None


def wanted(cell: CellFile) -> Wanted:
    """What a cell needs of a worker."""
    settings = cell.settings
    return Wanted(
        cell=cell.hash,
        text=cell.encoded().decode("ascii"),
        device=cell.device,
        rows=tuple(settings.ep),
        allow_simulated=bool(settings.allow_simulated),
    )


class Engine(Crew, Protocol):
    """What takes orders, tells what came of them, and knows who is there."""

    events: "queue.SimpleQueue[Event]"

    def workers(self) -> Mapping[str, Mapping[str, Any]]:
        """What is known of every worker, by address.

        Raises:
            OSError: nobody answers.
        """

    def is_there(self) -> bool:
        """Whether the scheduler is connected."""


def gather(
    crew: Engine,
    asked: Asked,
    progress: Progress,
    log: Log,
    clock: Callable[[], float] = time.monotonic,
) -> Gathered:
    """Measure every cell of a plan at a fleet.

    Args:
        crew: the engine.
        asked: what is wanted.
        progress: told what came, and how many cells are done of how many.
        log: told who is refused, who went, and what was moved.
        clock: seconds that only go forward.

    Raises:
        DeviceError: no worker that may be used is there.
        StorageError: the folder cannot be made.
    """
    try:
        asked.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{str(asked.out)!r} cannot be made: {error.strerror}", fix="another --out"
        ) from error
    version = installed_version()
    ledger = Ledger(crew, version, METHOD_VERSION, asked.grace_s, log)
    at_work = _AtWork(crew, asked, ledger, progress, log, clock)
    return at_work.run()


@dataclass(slots=True)
class _AtWork:
    """The state of one gathering."""

    crew: Engine
    asked: Asked
    ledger: Ledger
    progress: Progress
    log: Log
    clock: Callable[[], float]
    refused: set[str] = field(default_factory=set)
    results: dict[tuple[str, str], Path] = field(default_factory=dict)

    def run(self) -> Gathered:
        """Begin, then take events until nothing is open."""
        end, problem = End.DONE, None
        try:
            self.begin()
            while self.ledger.open and end == End.DONE:
                end = self.take(self.next_event())
        except KeyboardInterrupt:
            end = End.INTERRUPTED
        except StorageError as error:
            end, problem = End.STORAGE, error
        self.ledger.give_up(NOT_GATHERED[end])
        return Gathered(tuple(self.results.values()), tuple(self.ledger.losses), end, problem)

    def begin(self) -> None:
        """Wait for workers, and give out the cells."""
        until_s = self.clock() + self.asked.wait_s
        members = self.members()
        while len(members) < self.asked.workers and self.clock() < until_s:
            self.progress(f"{len(members)} of {self.asked.workers} workers", 0, 0)
            self.next_event()
            members = self.members()
        if not members:
            raise DeviceError(
                "no worker is there that runs this version of bench",
                fix="bench fleet worker --scheduler ADDRESS, on every device",
            )
        known = known_results(self.asked.out)
        cells = [wanted(cell) for cell in self.asked.cells]
        here = {cell.cell for cell in cells}
        self.results = {place: path for place, path in known.items() if place[0] in here}
        self.ledger.begin(cells, self.asked.place, members, self.results, self.clock())
        self.tell(f"{len(members)} workers")

    def members(self) -> tuple[Member, ...]:
        """Workers that may be used; each other one is told of once."""
        members, refused = members_of(self.crew.workers(), self.ledger.version, self.ledger.method)
        for sentence in refused:
            if sentence not in self.refused:
                self.refused.add(sentence)
                self.log(sentence)
        return members

    def next_event(self) -> Event | None:
        """Wait a little for what happens next; None: nothing did."""
        try:
            return self.crew.events.get(timeout=TICK_S)
        except queue.Empty:
            return None

    def take(self, event: Event | None) -> End:
        """Do what an event asks for."""
        if isinstance(event, Gone) or (event is None and not self.crew.is_there()):
            return End.SCHEDULER_LOST
        now_s = self.clock()
        if isinstance(event, Came):
            self.came(event, now_s)
        elif isinstance(event, Began):
            self.ledger.began(event.cell, event.address)
        elif isinstance(event, Changed):
            try:
                self.ledger.changed(self.members(), now_s)
            except OSError:
                return End.SCHEDULER_LOST
        self.ledger.tick(now_s)
        return End.DONE

    def came(self, event: Came, now_s: float) -> None:
        """Keep an answer, or note why there is none; what is not waited for is passed over."""
        job = self.ledger.job_of(event.key)
        if job is None:
            return
        if event.text is None:
            if event.is_killed:
                self.ledger.killed(job.place, event.key, now_s)
            elif job.key == event.key:  # not of a try that was taken back
                self.ledger.lost(job.place, event.problem)
            return
        try:
            reply = read_reply(event.text, job)
            if is_stopped(reply):
                self.ledger.took(job.place, event.key, now_s)
                return
            path = keep(reply, self.asked.out)
        except RefusedError as error:
            self.ledger.lost(job.place, error.problem)
            self.tell(f"{job.wanted.cell}: {error.problem}")
            return
        self.ledger.finished(job.place)
        self.results[reply.cell, reply.machine] = path
        self.tell(f"{reply.worker}: {path.name}")

    def tell(self, what: str) -> None:
        """Say how far it is."""
        ledger = self.ledger
        self.progress(what, ledger.total - len(ledger.open), ledger.total)
