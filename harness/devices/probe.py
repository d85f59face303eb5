"""Whether a row is installed and works: looked up in this process, or proven in a child."""

import sys
from dataclasses import dataclass

import msgspec

from harness.core.errors import HarnessError
from harness.devices.device import Device
from harness.devices.row import ProviderRow, is_listed
from harness.results.enums import DeviceState, PlacementVerdict
from harness.results.replies import Hardware

WORKER_MODULE = "harness.devices.probe_worker"
TIMEOUT_S = 120.0  # a first run compiles; the slowest seen took 1 s

WORKS = (DeviceState.WORKS, DeviceState.SIMULATED)


class ProbeReply(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a device that was tried.

    Attributes:
        state: it works, is simulated, or what is wrong.
        problem: what is wrong, in a sentence.
        fix: what to try.
        hardware: of one that works, with the bytes of its own memory.
        verdict: of the probe graph's placement.
        devices: how many the row has.
        first_ms: first run of the probe graph, compilation included.
    """

    state: DeviceState
    problem: str | None = None
    fix: str | None = None
    hardware: Hardware | None = None
    verdict: PlacementVerdict | None = None
    devices: int | None = None
    first_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of one row on this machine.

    Attributes:
        row: which one.
        state: whether it works, and if not, what is wrong.
        problem: what is wrong; None: nothing is.
        fix: what to try.
        hardware: of one that works.
        verdict: of the placement of the probe graph; None where none was opened.
        devices: how many the row has here; None: not known.
        first_ms: first run of the probe graph, compilation included.
    """

    row: ProviderRow
    state: DeviceState
    problem: str | None = None
    fix: str | None = None
    hardware: Hardware | None = None
    verdict: PlacementVerdict | None = None
    devices: int | None = None
    first_ms: float | None = None

    @property
    def works(self) -> bool:
        """Whether the row gave the right answer, with the arithmetic on its provider."""
        return self.state in WORKS


def look_up(row: ProviderRow, system: str = sys.platform) -> Probe:
    """Say what distributions tell about a row, without a child and without an import."""
    if system not in row.systems:
        return Probe(
            row, DeviceState.OTHER_SYSTEM, f"{row.key} exists on {', '.join(row.systems)} only"
        )
    if not is_listed(row):
        return Probe(
            row,
            DeviceState.NOT_INSTALLED,
            f"{row.key}: {row.wheel} is not installed",
            row.install,
        )
    return Probe(row, DeviceState.PRESENT)


def probe_device(device: Device) -> Probe:
    """Prove that a device works by a graph in a child process, if it is installed at all."""
    found = look_up(device.row)
    if found.state != DeviceState.PRESENT:
        return found
    from harness.machine.process.worker import Worker

    try:
        with Worker.start(WORKER_MODULE) as worker:
            reply = worker.ask("probe", TIMEOUT_S, ProbeReply, device=device.sent())
    except HarnessError as error:  # it crashed, hung, or could not be started
        return Probe(device.row, DeviceState.BROKEN, error.problem, error.fix)
    return Probe(
        row=device.row,
        state=reply.state,
        problem=reply.problem,
        fix=reply.fix,
        hardware=reply.hardware,
        verdict=reply.verdict,
        devices=reply.devices,
        first_ms=reply.first_ms,
    )


def probe_row(row: ProviderRow, allow_simulated: bool) -> Probe:
    """Prove a row on its own hardware; where that fails and it may, in its simulation."""
    found = probe_device(Device(row))
    if found.state == DeviceState.NO_HARDWARE and allow_simulated and row.simulation is not None:
        return probe_device(Device(row, simulate=True))
    return found
