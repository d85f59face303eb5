"""How much memory a device has of its own, where ONNX Runtime, Linux or NVIDIA's driver tells."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from harness.core.units import MIB
from harness.devices.device import Device
from harness.devices.hardware import pick
from harness.machine.meters.counters import NoCounterError, ask, nvml, text_in
from harness.results.replies import Hardware

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
