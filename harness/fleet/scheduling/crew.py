"""The engine's side of `bench fleet run`: orders become dask tasks, what comes of them events."""

import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from types import ModuleType
from typing import Any

from harness.core.errors import DeviceError
from harness.fleet.scheduling.engine import load_engine
from harness.fleet.scheduling.guard import PLAIN, ForeignObjectError, answering, only
from harness.fleet.scheduling.jobs import Order
from harness.fleet.scheduling.security import SchedulerAddress, check_handshake
from harness.fleet.scheduling.task import BEGUN, run_cell

CONNECT_S = 20.0
RUNNING = "running"  # status of a client that has its scheduler
CLOSE_S = 2.0
TRACEBACKS = "tblib"  # the package whose names pickles of tracebacks have
KILLED = "KilledWorker"  # in what the guard says of the exception, which is not made here


@dataclass(frozen=True, slots=True)
class Came:
    """A task came back.

    Attributes:
        key: of the task.
        text: that it returned; None: none came.
        problem: why not.
        is_killed: dask gives the task up, for it was at too many workers that were lost.
    """

    key: str
    text: str | None = None
    problem: str = ""
    is_killed: bool = False


@dataclass(frozen=True, slots=True)
class Began:
    """A worker has begun with a cell.

    Attributes:
        cell: its hash.
        address: of the worker.
    """

    cell: str
    address: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Workers came or went."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The scheduler does not answer any more."""


Event = Came | Began | Changed | Gone


@dataclass(slots=True)
class DaskCrew:
    """A client of a scheduler.

    Attributes:
        client: distributed.Client.
        events: what has happened, in its order; filled by the client's own thread.
    """

    client: Any
    events: "queue.SimpleQueue[Event]" = field(default_factory=queue.SimpleQueue)
    _futures: dict[str, Any] = field(default_factory=dict)

    def listen(self) -> None:
        """Be told of workers that come and go, and of what they begin with."""
        self.client.subscribe_topic("all", self._heard)
        self.client.subscribe_topic(BEGUN, self._heard_of_cell)

    def workers(self) -> Mapping[str, Mapping[str, Any]]:
        """What the scheduler knows of its workers now, by address.

        Raises:
            OSError: it does not answer.
        """
        found = self.client.sync(self.client.scheduler.identity, n_workers=-1)
        workers: Mapping[str, Mapping[str, Any]] = found["workers"]
        return workers

    def submit(self, orders: Sequence[Order]) -> None:
        """Give out tasks; those for the same workers in one message."""

        def group(order: Order) -> tuple[str, tuple[tuple[str, float], ...]]:
            return order.address, tuple(sorted(order.resources.items()))

        for (address, resources), same in groupby(sorted(orders, key=group), group):
            some = list(same)
            futures = self.client.map(
                run_cell,
                [one.cell for one in some],
                [one.text for one in some],
                key=[one.key for one in some],
                workers=[address] if address else None,
                resources=dict(resources),
                pure=False,
            )
            for future in futures:
                self._futures[future.key] = future
                future.add_done_callback(self._ended)

    def cancel(self, key: str) -> None:
        """Take a task back; one that is measured goes on, and its result stays with the worker."""
        future = self._futures.pop(key, None)
        if future is not None and self.is_there():
            with suppress(OSError):
                self.client.cancel([future])

    def is_there(self) -> bool:
        """Whether the scheduler is connected."""
        return bool(self.client.status == RUNNING)

    def _heard(self, event: tuple[float, Any]) -> None:
        action = event[1].get("action") if isinstance(event[1], dict) else None
        if action in ("add-worker", "remove-worker"):
            self.events.put(Changed())

    def _heard_of_cell(self, event: tuple[float, Any]) -> None:
        told = event[1] if isinstance(event[1], dict) else {}
        self.events.put(Began(str(told.get("cell")), str(told.get("at"))))

    def _ended(self, future: Any) -> None:
        """In the client's callback thread: fetch what a task returned."""
        if not self.is_there():
            self.events.put(Gone())
        elif future.key in self._futures:
            self.client.loop.add_callback(self._fetch, future)

    async def _fetch(self, future: Any) -> None:
        """In the client's loop: a task's answer, or why there is none."""
        key = future.key
        if future.status != "finished":
            problem = _why(future)
            self.events.put(Came(key, problem=problem, is_killed=KILLED in problem))
            return
        try:
            text = await future
        except Exception as error:
            self.events.put(Came(key, problem=f"its answer was lost: {error}"))
        else:
            is_text = isinstance(text, str)
            self.events.put(
                Came(key, text if is_text else None, "" if is_text else f"no answer: {text}")
            )
        self._futures.pop(key, None)


def _why(future: Any) -> str:
    """Why a task has no answer."""
    if future.status == "cancelled":
        return "it was cancelled"
    return str(future._state.exception)


@contextmanager
def open_crew(scheduler: SchedulerAddress) -> Iterator[DaskCrew]:
    """Connect to a scheduler; what comes from it in the block may only be plain values.

    Raises:
        DeviceError: dask is not installed, or no scheduler answers.
    """
    engine = load_engine()
    with only(PLAIN), answering(engine, _instead):
        client = _connected(engine, scheduler)
        try:
            crew = DaskCrew(client)
            crew.listen()
            yield crew
        finally:
            with suppress(Exception):  # whatever became of the scheduler
                client.close(timeout=CLOSE_S)


def _instead(reason: str) -> ForeignObjectError:
    """What is read in the place of an object: an error that says so.

    Raises:
        TypeError: it is a traceback, which dask then does without.
    """
    if TRACEBACKS in reason:
        raise TypeError(reason)
    return ForeignObjectError(reason)


def _connected(engine: ModuleType, scheduler: SchedulerAddress) -> Any:
    check_handshake(scheduler)
    try:
        return engine.Client(
            scheduler.text,
            timeout=CONNECT_S,
            set_as_default=False,
            security=engine.Security(**scheduler.security()),
            direct_to_workers=False,
            name="bench-fleet",
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise DeviceError(
            f"no scheduler answers at {scheduler.text}: {str(error).partition(chr(10))[0]}",
            fix="start one (docs/fleet.md), or check address and certificates",
        ) from error
