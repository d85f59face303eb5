"""What counts energy, one reader per source. Each gives its zones or says why there are none.

A zone only grows while energy is used. What a reader reads is below `root`, or a library of the
driver's; no reader starts a process or polls.

Windows' energy meters are read through its performance counters; no rights are needed. The channels
of Intel's packages are `RAPL_Package0_PKG` and so on. Other makers name theirs by rails that are no
package; they are not added up to one here.
"""

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from harness.machine.meters.apple import apple_windows
from harness.machine.meters.counters import NoCounterError, nvml, text_in

MICRO, MILLI = 1e-6, 1e-3
S_PER_H = 3600


@dataclass(frozen=True, slots=True)
class Zone:
    """One counter at one moment.

    Attributes:
        amount: in the counter's own unit; grows while energy is used.
        joules_per_unit: of that unit; of a charge it is the voltage of the moment.
        wraps_at: the counter begins again at 0 behind this amount; None: never.
    """

    amount: int
    joules_per_unit: float
    wraps_at: int | None = None


Zones = Mapping[str, Zone]


def read_rapl(root: Path) -> Zones:
    """Running average power limit: the package domain of every processor, Linux.

    Packages only: core, uncore and dram lie inside or beside them, psys around them, and
    intel-rapl-mmio counts the same package again.
    """
    zones = {}
    for folder in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        if folder.name.count(":") == 1 and text_in(folder / "name").startswith("package"):
            zones[folder.name] = Zone(
                int(text_in(folder / "energy_uj")),
                MICRO,
                int(text_in(folder / "max_energy_range_uj")),
            )
    if not zones:
        raise NoCounterError("no package in /sys/class/powercap (virtual machines have none)")
    return zones


def read_battery(root: Path) -> Zones:
    """What the batteries have given, while they feed the whole machine, Linux."""
    folders = [one for one in sorted((root / "sys/class/power_supply").glob("*")) if _feeds(one)]
    if not folders:
        raise NoCounterError("no battery")
    states = {text_in(folder / "status") for folder in folders}
    if "Discharging" not in states or "Charging" in states:
        raise NoCounterError("the battery does not feed the machine: it is plugged in")
    return {folder.name: _battery_zone(folder) for folder in folders}


def read_nvml(root: Path) -> Zones:
    """The one NVIDIA board of the machine, since its driver was loaded (Volta and newer)."""
    library = nvml()
    count = library.nvmlDeviceGetCount()
    if count != 1:
        raise NoCounterError(f"{count} NVIDIA boards, and nothing tells which one works")
    try:
        board = library.nvmlDeviceGetHandleByIndex(0)
        amount = int(library.nvmlDeviceGetTotalEnergyConsumption(board))
    except library.NVMLError as error:
        if error.value == library.NVML_ERROR_NO_PERMISSION:
            raise PermissionError(str(error)) from error
        raise NoCounterError(f"the board tells no energy ({error}; Volta and newer do)") from error
    return {"board": Zone(amount, MILLI)}


def read_ioreport(root: Path) -> Zones:
    """Processor, graphics processor, neural engine and memory of Apple's chip, each apart."""
    return {zone: Zone(amount, MILLI) for zone, amount in apple_windows().read().items()}


def _feeds(folder: Path) -> bool:
    """Whether a power supply is a battery of the machine, not of a mouse."""
    if text_in(folder / "type") != "Battery":
        return False
    scope = folder / "scope"
    return not scope.is_file() or text_in(scope) != "Device"


def _battery_zone(folder: Path) -> Zone:
    """Energy, or charge times voltage, that has left a battery; counted from full downwards."""
    if (folder / "energy_now").is_file():
        return Zone(-int(text_in(folder / "energy_now")), MICRO * S_PER_H)
    volts = int(text_in(folder / "voltage_now")) * MICRO
    return Zone(-int(text_in(folder / "charge_now")), MICRO * S_PER_H * volts)


PATH = r"\Energy Meter(RAPL_Package{}_PKG)\Energy"
PICO = 1e-12


class RawCounter(ctypes.Structure):
    """Windows' PDH_RAW_COUNTER; `first` of an energy meter is in picowatt hours."""

    _fields_ = (
        ("status", ctypes.c_uint32),
        ("low_time", ctypes.c_uint32),
        ("high_time", ctypes.c_uint32),
        ("first", ctypes.c_longlong),
        ("second", ctypes.c_longlong),
        ("multiple", ctypes.c_uint32),
    )


def read_emi(root: Path, meter: Callable[[str], int | None] | None = None) -> Zones:
    """Every package, counted up from the first one until there is none.

    Args:
        root: not used: no file is read.
        meter: a performance counter's raw value by its path, or None; without it Windows' own.
    """
    read = meter or _meter
    amounts = takewhile(lambda found: found is not None, (read(PATH.format(n)) for n in count()))
    zones = {
        f"package{number}": Zone(amount, PICO * S_PER_H)
        for number, amount in enumerate(amounts)
        if amount is not None
    }
    if not zones:
        raise NoCounterError("Windows lists no energy meter of a package")
    return zones


def _meter(path: str) -> int | None:
    """The raw value of one performance counter now; None: there is none."""
    library: Any = ctypes.WinDLL("pdh")  # type: ignore[attr-defined,unused-ignore]
    query, counter = ctypes.c_void_p(), ctypes.c_void_p()
    raw = RawCounter()
    if library.PdhOpenQueryW(None, None, ctypes.byref(query)):
        return None
    try:
        failed = (
            library.PdhAddEnglishCounterW(query, path, None, ctypes.byref(counter))
            or library.PdhCollectQueryData(query)
            or library.PdhGetRawCounterValue(counter, None, ctypes.byref(raw))
        )
    finally:
        library.PdhCloseQuery(query)
    return None if failed or raw.status > 1 else int(raw.first)
