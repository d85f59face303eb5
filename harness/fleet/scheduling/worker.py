"""`bench fleet worker`: a dask worker that offers this machine's devices and runs cells, only.

Its process takes one kind of task (harness.fleet.scheduling.guard); handlers of dask that load code
or files are blocked. Once the scheduler is lost, the cell that is measured is finished and its
result lies in the worker's folder; the process then ends.
"""

import asyncio
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec

from harness.core.errors import EXIT_DEVICE, EXIT_INTERRUPTED, EXIT_OK, DeviceError, StorageError
from harness.core.findings import Log
from harness.fleet.scheduling.engine import load_engine
from harness.fleet.scheduling.guard import OF_WORKERS, answering, only, refusing_task
from harness.fleet.scheduling.offer import EXTRA, UNITS, resources
from harness.fleet.scheduling.security import SchedulerAddress, check_handshake
from harness.fleet.scheduling.task import BEGUN, Station, work_at

# Requests to a worker that load code or files, or read what it does.
BLOCKED = (
    *("run", "run_coroutine", "upload_file", "plugin-add", "plugin-remove", "update_data"),
    *("actor_execute", "actor_attribute", "benchmark_disk", "benchmark_memory"),
    *("benchmark_network", "call_stack", "profile", "profile_metadata", "dump_state", "get_logs"),
)
HEARTBEAT_S = 5.0
CONNECT_S = 30.0  # how long a scheduler is waited for
CLOSE_S = 5.0
TAKEN = "name taken"  # in what dask's scheduler answers
LOST = "the scheduler is gone; `bench merge` makes one document of the results here"


def serve(scheduler: SchedulerAddress, station: Station, stop: Callable[[], None], log: Log) -> int:
    """Work for a scheduler until it ends, retires this worker, or somebody interrupts.

    Args:
        scheduler: where it is.
        station: what is offered here, and how cells are measured.
        stop: ends what is measured, called on an interrupt.
        log: told what happens.

    Returns:
        The exit code: 0 once retired, 4 once the scheduler was lost, 130 on an interrupt.

    Raises:
        DeviceError: dask is not installed, or no scheduler answers.
        StorageError: the folder of results cannot be written.
    """
    engine = load_engine()
    try:
        station.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{str(station.out)!r} cannot be made: {error.strerror}", fix="another --out"
        ) from error
    check_handshake(scheduler)
    work_at(station)
    try:
        with (
            only(OF_WORKERS),
            answering(engine, refusing_task),
            tempfile.TemporaryDirectory(prefix="bench-fleet-") as folder,
        ):
            why = asyncio.run(_work(engine, scheduler, station, log, folder))
            station.wait_until_idle()
    except KeyboardInterrupt:
        stop()
        station.wait_until_idle()
        return EXIT_INTERRUPTED
    if why == RETIRED:
        return EXIT_OK
    log(LOST)
    return EXIT_DEVICE


RETIRED = "retired"


async def _work(
    engine: ModuleType, scheduler: SchedulerAddress, station: Station, log: Log, folder: str
) -> str:
    """Be a worker until it closes; returns why."""
    worker = worker_class(engine)(
        scheduler.text,
        nthreads=UNITS,
        name=station.offer.name,
        resources=resources(station.offer),
        startup_information={EXTRA: lambda _worker: msgspec.to_builtins(station.offer)},
        security=engine.Security(**scheduler.security()),
        local_directory=folder,
        host=scheduler.own_host(),
        memory_limit=0,
        heartbeat_interval=f"{HEARTBEAT_S:g}s",
        death_timeout=CONNECT_S,
        blocked_handlers=list(BLOCKED),
    )
    station.begun = lambda cell: worker.log_event(BEGUN, {"cell": cell, "at": worker.address})
    try:
        await worker
    except (TimeoutError, OSError, RuntimeError, ValueError) as error:
        raise _not_taken(scheduler, station.offer.name, _first_cause(error)) from error
    worker.periodic_callbacks["find-missing"].stop()  # of tasks that need others: none does
    log(f"worker {station.offer.name} at {scheduler.text}: {_devices(station)}")
    try:
        await worker.finished()
    except asyncio.CancelledError:
        await worker.close(timeout=CLOSE_S, executor_wait=False)
        raise
    reason: str = worker.closed_for
    return RETIRED if "retire" in reason else reason


def worker_class(engine: ModuleType) -> Any:
    """A class of dask workers: no HTTP server, no plugins, and it knows why it closed."""

    async def close(self: Any, *words: Any, reason: str = "", **named: Any) -> Any:
        self.closed_for = self.closed_for or reason
        named = {"executor_wait": False} | named
        return await engine.Worker.close(self, *words, reason=reason, **named)

    async def plugin_add(self: Any, **_plugin: Any) -> dict[str, str]:
        return {"status": "OK"}  # what a scheduler sends everybody, such as dask's shuffle

    async def heartbeat(self: Any) -> None:
        """As dask's, but not twice a second, as it asks of a small fleet."""
        await engine.Worker.heartbeat(self)
        beat = self.periodic_callbacks["heartbeat"]
        beat.callback_time = max(beat.callback_time, HEARTBEAT_S * 1e3)

    parts = {
        "closed_for": "",
        "heartbeat": heartbeat,
        "plugin_add": plugin_add,
        "start_http_server": lambda _worker, *_words, **_named: None,
        "close": close,
    }
    return type("FleetWorker", (engine.Worker,), parts)


def _not_taken(scheduler: SchedulerAddress, name: str, cause: str) -> DeviceError:
    """Why a scheduler has not become this worker's, in words."""
    if TAKEN in cause:
        return DeviceError(
            f"{scheduler.text} has a worker that is called {name} already",
            fix="--name another word; one that has just gone is forgotten within a minute",
        )
    return DeviceError(
        f"no scheduler takes this worker at {scheduler.text}: {cause}",
        fix="start one (docs/fleet.md), or check address and certificates",
    )


def _devices(station: Station) -> str:
    return ", ".join(
        f"{one.row} (simulated)" if one.simulated else one.row for one in station.offer.devices
    )


def _first_cause(error: BaseException) -> str:
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return str(error) or type(error).__name__
