"""Windows' energy meters, read through its performance counters; no rights are needed.

The channels of Intel's packages are `RAPL_Package0_PKG` and so on. Other makers name theirs by
rails that are no package; they are not added up to one here.
"""

import ctypes
from collections.abc import Callable
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from harness.machine.meters.counters import NoCounterError
from harness.machine.meters.energy_readers import S_PER_H, Zone, Zones

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
