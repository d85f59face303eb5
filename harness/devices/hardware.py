"""The devices behind a row, as ONNX Runtime lists them, and what a record keeps of the one used.

How much memory a device has of its own, ONNX Runtime, Linux or NVIDIA's driver tells.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime as ort

from harness.core.units import MIB
from harness.devices.device import Device
from harness.devices.row import ProviderRow, Registration, installed_version
from harness.devices.states import FewerDevicesError, NoHardwareError
from harness.machine.meters.counters import NoCounterError, ask, nvml, text_in
from harness.results.replies import Hardware


def devices_of(device: Device) -> list[Any]:
    """Every device of a row that is in this process: real ones, or all when it may simulate.

    Raises:
        NoHardwareError: there is none; says what was looked at.
    """
    row, listed = device.row, ort.get_ep_devices()
    mine = [d for d in listed if d.ep_name == row.provider and _matches(d, row)]
    usable = [d for d in mine if device.simulate or not is_simulated(d, row)]
    if usable:
        return usable
    looked = "; ".join(
        f"{d.ep_name} on {d.device.type.name} {d.device.vendor or hex(d.device.vendor_id)}"
        for d in listed
    )
    problem = f"{row.key}: {row.provider} finds no {row.kind} on this machine (listed: {looked})"
    raise NoHardwareError(problem, _way_out(device))


def _way_out(device: Device) -> str:
    """What to try without the hardware: allow the simulation, set it up, or take another row."""
    simulation = device.row.simulation
    if simulation is None:
        return f"install the driver of the {device.kind}, or use another row: bench devices"
    if device.simulate:
        return f"{simulation.what}: {simulation.setup}"
    return f"--allow-simulated runs it on {simulation.what}, marked as simulated"


def pick(device: Device) -> Any | None:
    """The one device that a session is opened on; None: a built-in provider picks by itself.

    Raises:
        NoHardwareError: none.
        FewerDevicesError: fewer than the index asks for.
    """
    if device.row.registration is Registration.BUILT_IN:
        return None
    found = devices_of(device)
    if device.index >= len(found):
        count = f"{len(found)} device{'s' * (len(found) != 1)}"
        last = Device(device.row, len(found) - 1).key
        raise FewerDevicesError(
            f"{device.row.key} has {count} here; there is no {device.key}",
            fix=f"--device {last}, or bench devices",
        )
    return found[device.index]


def is_simulated(listed: Any, row: ProviderRow) -> bool:
    """Whether a listed device is another class than the row serves, or says that it is virtual."""
    virtual = dict(listed.device.metadata).get("is_virtual") == "1"
    return bool(virtual or listed.device.type.name.lower() != row.kind)


def facts_of(device: Device) -> Hardware:
    """What a record keeps of a device whose provider is in this process.

    Raises:
        NoHardwareError: as `pick`.
    """
    row = device.row
    mine = (d for d in ort.get_ep_devices() if d.ep_name == row.provider)
    listed = pick(device) or next(mine, None)
    of_library = dict(listed.ep_metadata).get("version") if listed is not None else None
    return Hardware(
        key=device.key,
        kind=row.kind,
        provider=row.provider,
        wheel=row.wheel,
        version=installed_version(row.wheel) or of_library or ort.__version__,
        hardware=None if listed is None else listed.device.type.name.lower(),
        vendor=(listed.device.vendor or listed.ep_vendor or None) if listed is not None else None,
        vendor_id=row.vendor_id if listed is None else hex(listed.device.vendor_id),
        device_id=None if listed is None else hex(listed.device.device_id),
        memory=None if listed is None else _memory_name(listed),
        options=device.provider_options,
        session_options=dict(device.session_options),
        simulated=device.simulate or (listed is not None and is_simulated(listed, row)),
        discrete=None if listed is None else is_discrete(listed.device.metadata),
    )


def is_discrete(metadata: Mapping[str, str]) -> bool | None:
    """Whether a device is a card, by what ONNX Runtime lists of it; None: it does not tell.

    Where it does not say so itself: what sits on PCI bus 0 is part of the processor.
    """
    said = dict(metadata)
    if "Discrete" in said:
        return said["Discrete"] == "1"
    _, _, rest = said.get("pci_bus_id", "").partition(":")
    return False if rest.startswith("00:") else None


def _matches(listed: Any, row: ProviderRow) -> bool:
    """Whether a device says of itself what the row wants."""
    said = dict(listed.ep_metadata)
    return all(said.get(name) == value for name, value in row.metadata)


def _memory_name(listed: Any) -> str | None:
    """Name of the memory in which a session on this device allocates; None: it says nothing."""
    info = listed.memory_info(ort.OrtDeviceMemoryType.DEFAULT)
    return None if info is None else str(info.name)


Facts = Mapping[str, str | None]


def memory_bytes(device: Device, hardware: Hardware) -> int | None:
    """Size of the memory of a device that is in this process; None: the host's, or nobody tells."""
    listed = pick(device)
    said = {} if listed is None else dict(listed.device.metadata)
    return size_of({**said, "vendor_id": hardware.vendor_id})


def size_of(facts: Facts, root: Path = Path("/")) -> int | None:
    """The first source that tells a size above 0, bytes.

    Args:
        facts: what ONNX Runtime lists of a device, and its `vendor_id`.
        root: of the file system that Linux's facts are read from.
    """
    answers = (ask(partial(read, facts, root)).value for read in SOURCES)
    return next((size for size in answers if size), None)


def _windows(facts: Facts, root: Path) -> int:
    """What DXGI says, `8192 MB`, in which MB are 2**20."""
    return int((facts.get("DxgiVideoMemory") or "0").split()[0]) * MIB


def _linux(facts: Facts, root: Path) -> int:
    """What AMD's driver says of a card on the PCI bus."""
    card = root / "sys/bus/pci/devices" / (facts.get("pci_bus_id") or "none")
    return int(text_in(card / "mem_info_vram_total"))


def _nvidia(facts: Facts, root: Path) -> int:
    """The one NVIDIA board."""
    if facts.get("vendor_id") != "0x10de" or nvml().nvmlDeviceGetCount() != 1:
        raise NoCounterError("another maker's, or several boards")
    return int(nvml().nvmlDeviceGetMemoryInfo(nvml().nvmlDeviceGetHandleByIndex(0)).total)


SOURCES: tuple[Callable[[Facts, Path], int], ...] = (_windows, _linux, _nvidia)
