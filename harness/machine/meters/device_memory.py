"""Memory of a device that the driver counts for this process: one row per source of the count.

ONNX Runtime keeps statistics of its allocators, but tells them to no Python program.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.core.units import GIB, KIB, MIB
from harness.machine.meters.counters import VALUE, Answer, NoCounterError, ask, nvml, text_in
from harness.results.replies import DeviceHeld, Hardware

# What a device holds that has no memory of its own.
IN_HOST = DeviceHeld(peak_bytes=None, reason="the device works in the memory of the host")
SIZES = {"": 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}
# What a driver holds for a client, by region of memory; the older name says the same.
RESIDENT, OLDER = "drm-resident-", "drm-memory-"


def read_fdinfo(root: Path) -> int:
    """What Linux's graphics drivers hold for this process, in every region of memory, bytes.

    Each open file of a driver tells what its client holds; several files may be of one client.
    """
    clients: dict[tuple[str, str], int] = {}
    for path in sorted((root / "proc/self/fdinfo").glob("*")):
        fields = _fields(_text_or_nothing(path).splitlines())
        if "drm-driver" in fields:
            client = (fields.get("drm-pdev", ""), fields.get("drm-client-id", path.name))
            clients[client] = max(clients.get(client, 0), _held_bytes(fields))
    if not clients:
        raise NoCounterError("this process has no file of a graphics driver open")
    return sum(clients.values())


def read_board(root: Path) -> int:
    """What NVIDIA's driver holds for this process on the board that it uses most, bytes."""
    library = nvml()
    boards = [library.nvmlDeviceGetHandleByIndex(n) for n in range(library.nvmlDeviceGetCount())]
    mine = [
        client.usedGpuMemory
        for board in boards
        for list_clients in (
            library.nvmlDeviceGetComputeRunningProcesses,
            library.nvmlDeviceGetGraphicsRunningProcesses,
        )
        for client in list_clients(board)
        if client.pid == os.getpid()
    ]
    if not mine:
        raise NoCounterError("the driver lists no such process (in a container numbers differ)")
    if None in mine:
        raise NoCounterError("the driver does not tell what a process holds")
    return int(max(mine))


@dataclass(frozen=True, slots=True)
class MemoryCounter:
    """One source.

    Attributes:
        name: the word in results.
        systems: values of sys.platform on which it exists.
        read: bytes held for this process, by a file system root.
        vendor_id: of the devices it counts; None: any.
    """

    name: str
    systems: tuple[str, ...]
    read: Callable[[Path], int]
    vendor_id: str | None = None


COUNTERS = (
    MemoryCounter("nvml", ("linux", "win32"), read_board, vendor_id="0x10de"),
    MemoryCounter("fdinfo", ("linux",), read_fdinfo),
)


def read_device_memory(
    counters: Sequence[MemoryCounter] = COUNTERS,
    root: Path = Path("/"),
    system: str = sys.platform,
) -> Mapping[str, Answer]:
    """What every counter of this system says now, by name.

    Args:
        counters: rows; those of other systems are left out.
        root: of the file system that Linux's counters are read from.
        system: a value of sys.platform.
    """
    asked = (counter for counter in counters if system in counter.systems)
    return {counter.name: ask(partial(counter.read, root)) for counter in asked}


def device_bytes(
    marks: Mapping[str, Mapping[str, Answer]],
    hardware: Hardware,
    counters: Sequence[MemoryCounter] = COUNTERS,
) -> DeviceHeld:
    """The largest of several readings by the first counter that answers for a device.

    Args:
        marks: readings by the name of their moment.
        hardware: the device.
        counters: rows, the best first.
    """
    if hardware.device_class == "cpu":
        return IN_HOST
    reasons = []
    for row in counters:
        if row.vendor_id not in (None, hardware.vendor_id):
            continue
        answers = {moment: answered.get(row.name) for moment, answered in marks.items()}
        held = {
            moment: int(answer.value)
            for moment, answer in answers.items()
            if answer is not None and answer.state == VALUE
        }
        if len(held) == len(marks) and max(held.values()) > 0:
            return DeviceHeld(peak_bytes=max(held.values()), counter=row.name, held_bytes=held)
        reasons += _reason(row.name, answers.values())
    reason = "; ".join(reasons) or "no counter on this system"
    return DeviceHeld(peak_bytes=None, reason=reason)


def _reason(name: str, answers: Iterable[Answer | None]) -> list[str]:
    """Why one counter told nothing; no word where it does not exist here."""
    known = [answer for answer in answers if answer is not None]
    if not known:
        return []
    failed = next((answer for answer in known if answer.state != VALUE), None)
    return [f"{name}: {failed.reason if failed else 'it counts nothing for this process'}"]


def _text_or_nothing(path: Path) -> str:
    """A file's text; nothing of one that was closed meanwhile.

    Raises:
        PermissionError: it may not be read.
    """
    try:
        return text_in(path)
    except FileNotFoundError:
        return ""


def _fields(lines: Iterable[str]) -> dict[str, str]:
    """The lines `name: value` by name."""
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _held_bytes(fields: Mapping[str, str]) -> int:
    """Memory of one client over its regions; each region counts once, by the newer name."""
    regions: dict[str, int] = {}
    for prefix in (OLDER, RESIDENT):
        for name, text in fields.items():
            if name.startswith(prefix):
                number, _, unit = text.partition(" ")
                regions[name.removeprefix(prefix)] = int(number) * SIZES[unit]
    return sum(regions.values())
