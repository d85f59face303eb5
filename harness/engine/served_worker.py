"""The commands of the measuring child that asks a server; see worker.py.

It imports neither numpy nor a runtime: it is a client.
"""

from collections.abc import Callable
from typing import Any

from harness.core.addresses import Address
from harness.core.errors import MeasurementError
from harness.core.units import NS_PER_S
from harness.devices.device import SentDevice
from harness.engine.served.measuring import ServedMeasuring, begin_asking
from harness.engine.served.wire import Wire
from harness.engine.workload import Workload
from harness.machine.meters.listener import Listener, find_listener
from harness.machine.meters.samples import usage_now
from harness.models.served import ServedGeometry, short_name
from harness.results.enums import PlacementVerdict
from harness.results.replies import (
    Done,
    Hardware,
    MemoryTaken,
    Opened,
    Placement,
    Sample,
    Warmed,
)

PROVIDER, CLASS = "http", "server"
REMOTE = "the server's memory is its own: it runs on another machine"


class ServedChild:
    """Asks at most one server between commands."""

    def __init__(self) -> None:
        """Begin without one."""
        self._open: ServedMeasuring | None = None
        self._listener: Listener | None = None

    def open(
        self,
        graph: str,
        geometry: dict[str, Any],
        device: str | SentDevice,
        threads: int,
        batch: int,
        capacity_tokens: int,
        seed: int,
        first: Workload | None = None,
        stop_spinning: bool = False,
    ) -> Opened:
        """Find out how a server is to be asked; arguments are those of MeasuringChild.open.

        Only `geometry` decides anything: a ServedGeometry. Nothing is loaded here, so there is no
        time of loading and of a first run; where the server computes is UNKNOWN.

        Raises:
            DeviceError: the server is away.
            HarnessError: it gives no answer that can be used.
        """
        told = ServedGeometry(**geometry)
        address = _address(told)
        asking = begin_asking(Wire(address), told)
        found = find_listener(address.port) if address.is_loopback else REMOTE
        self._listener = found if isinstance(found, Listener) else None
        self._open = ServedMeasuring(asking)
        options = {
            "dialect": asking.dialect.name,
            "question": asking.way.name,
            "tokens": f"by {asking.counted_by}",
            "prompts": _prompt_words(asking.counts_prompts, asking.prompts is not None),
            "where": address.where,
            "model": short_name(told.model),
        }
        return Opened(
            load_ns=None,
            placement=Placement(verdict=PlacementVerdict.UNKNOWN),
            hardware=Hardware(
                key=CLASS,
                kind=CLASS,
                provider=PROVIDER,
                wheel=told.kind,
                version=told.version,
                hardware=None,
                vendor=None,
                vendor_id=None,
                device_id=None,
                memory=None,
                options=options,
                simulated=False,
            ),
            provider=PROVIDER,
        )

    def warm(self, workload: Workload, cap_s: float) -> Warmed:
        """Run a test until its passes are steady."""
        found = self._measuring().warm(workload, cap_s)
        return Warmed(
            steady=found.steady,
            seconds=found.duration_ns / NS_PER_S,
            calls=len(found.durations_ns),
            window_medians_ns=found.window_medians_ns,
        )

    def sample(self, workload: Workload, min_passes: int, min_seconds: float) -> Sample:
        """Run a test at least `min_passes` times and for `min_seconds`.

        The processor time is that of this process and, on this machine, of the server's.
        """
        measuring = self._measuring()
        before, server_ns = usage_now(), self._server_ns()
        passes = measuring.sample(workload, min_passes, min_seconds)
        usage = usage_now().since(before)
        return Sample(
            prefill_ns=tuple(one.prefill_ns for one in passes if one.prefill_ns is not None),
            ttft_ns=tuple(one.ttft_ns for one in passes if one.ttft_ns is not None),
            itl_ns=() if workload.gen_tokens == 0 else tuple(one.itl_ns for one in passes),
            e2e_ns=tuple(one.e2e_ns for one in passes if one.e2e_ns is not None),
            cpu_ns=usage.cpu_ns + max(0, self._server_ns() - server_ns),
            major_faults=usage.major_faults,
            involuntary_switches=usage.involuntary_switches,
            finite=True,
            digest="",
            cached_tokens=measuring.cached_tokens,
        )

    def close(self) -> Done:
        """Ask no more."""
        self._open = None
        return Done()

    def commands(self) -> dict[str, Callable[..., object]]:
        """What it is asked."""
        return {
            "open": self.open,
            "warm": self.warm,
            "sample": self.sample,
            "close": self.close,
        }

    def _server_ns(self) -> int:
        """Processor time of the server so far; 0: it is not seen."""
        return 0 if self._listener is None else self._listener.cpu_ns()

    def _measuring(self) -> ServedMeasuring:
        """What asks the server.

        Raises:
            MeasurementError: nothing is open.
        """
        if self._open is None:
            raise MeasurementError("no server is open", fix="ask `open` first")
        return self._open


def memory(
    graph: str,
    geometry: dict[str, Any],
    device: str | SentDevice,
    threads: int,
    batch: int,
    workload: Workload,
    seed: int,
    capacity_tokens: int = 0,
) -> MemoryTaken:
    """Look at the memory of a server on this machine; arguments are those of worker.memory.

    Nothing is asked of it: its high-water mark is that of all it has done since it began.
    """
    address = _address(ServedGeometry(**geometry))
    found = find_listener(address.port) if address.is_loopback else REMOTE
    if isinstance(found, str):
        return _unknown(f"not measured: {found}")
    mark = found.memory()
    if mark is None:
        return _unknown("not measured: this system tells no high-water mark of other processes")
    return MemoryTaken(
        baseline=None,
        loaded=None,
        steady=mark.held(),
        peak_bytes=mark.peak_bytes,
    )


def _unknown(reason: str) -> MemoryTaken:
    """Memory that is not known, and why."""
    return MemoryTaken(baseline=None, loaded=None, steady=None, peak_bytes=None, reason=reason)


def _prompt_words(in_answers: bool, in_trials: bool) -> str:
    """Who says how many tokens a prompt has."""
    if in_answers:
        return "counted in every answer"
    return "counted in answers that were not timed" if in_trials else "not counted"


def _address(told: ServedGeometry) -> Address:
    """Where the server listens."""
    return Address(told.scheme, told.host, told.port, told.base)


_CHILD = ServedChild()
COMMANDS = {
    **_CHILD.commands(),
    "memory": memory,
}
