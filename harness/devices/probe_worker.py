"""The child process that finds out whether a row works: one row a process."""

import tempfile
import time
from pathlib import Path

from msgspec import structs

from harness.core.errors import DeviceError
from harness.core.units import NS_PER_MS
from harness.devices.device import Device, SentDevice, find_device
from harness.devices.hardware import devices_of, facts_of, memory_bytes
from harness.devices.probe import ProbeReply
from harness.devices.row import Registration
from harness.devices.session import open_session
from harness.devices.states import FellBackError
from harness.devices.wheels import RuntimeReply
from harness.results.enums import DeviceState


def probe(device: SentDevice) -> ProbeReply:
    """Run the probe graph on a device and check its answer.

    Args:
        device: as it travelled.
    """
    chosen = find_device(device)
    try:
        return _run(chosen)
    except DeviceError as error:
        state = getattr(error, "state", DeviceState.BROKEN)
        return ProbeReply(state=state, problem=error.problem, fix=error.fix)


def _run(device: Device) -> ProbeReply:
    """Open, run once, compare."""
    from harness.builder.graph.probe import TOLERANCE, largest_error, probe_input, write_probe

    with tempfile.TemporaryDirectory(prefix="bench-probe-") as folder:
        graph = Path(folder) / "probe.onnx"
        write_probe(graph)
        opened = open_session(graph, device, threads=1)
        start_ns = time.perf_counter_ns()
        (answer,) = opened.session.run(None, {"x": probe_input()})
        first_ms = (time.perf_counter_ns() - start_ns) / NS_PER_MS
    opened.refuse_changed()
    error = largest_error(answer)
    if not error <= TOLERANCE:
        raise FellBackError(
            f"{device.key} gave a wrong product: off by {error:g}",
            fix="install another version of the provider or its driver",
        )
    hardware = facts_of(device)
    built_in = device.row.registration is Registration.BUILT_IN
    return ProbeReply(
        state=DeviceState.SIMULATED if hardware.simulated else DeviceState.WORKS,
        hardware=structs.replace(hardware, memory_bytes=memory_bytes(device, hardware)),
        verdict=opened.placement.verdict,
        devices=1 if built_in else len(devices_of(device)),
        first_ms=first_ms,
    )


def runtime() -> RuntimeReply:
    """Say which onnxruntime this process has."""
    import onnxruntime as ort

    return RuntimeReply(version=ort.__version__, providers=tuple(ort.get_available_providers()))


COMMANDS = {"probe": probe, "runtime": runtime}
