"""Energy of Apple's chips: windows of IOReport that follow one another, without root.

macOS keeps a model of the energy of every part of the chip, which `powermetrics` shows to root
alone while it runs; its source, the group "Energy Model" of IOReport, answers everybody. The
package zeus-apple-silicon (extra `apple`) opens a window on it and closes it with what was used in
between, in mJ, whatever unit a channel counts in; a unit that it does not know is an error.
"""

import platform
from functools import cache
from typing import Any, Protocol

from harness.machine.meters.counters import NoCounterError

# zone -> the package's field. The memory of the graphics processor (gpu_sram_mj) is left out:
# nothing says whether its own figure holds it.
FIELDS = {"cpu": "cpu_total_mj", "gpu": "gpu_mj", "ane": "ane_mj", "dram": "dram_mj"}


class Monitor(Protocol):
    """What is used of zeus_apple_silicon.AppleEnergyMonitor."""

    def begin_window(self, key: str, restart: bool = False) -> None:
        """Begin a window of this name."""

    def end_window(self, key: str) -> Any:
        """End it; the fields of the answer are mJ, or None where this chip tells none."""


class Windows:
    """Energy since the first reading: each reading ends one window and begins the next.

    Between an end and the next beginning nothing is counted; it is microseconds.
    """

    def __init__(self, monitor: Monitor) -> None:
        """Begin with nothing used.

        Args:
            monitor: the package's.
        """
        self._monitor = monitor
        self._number = 0
        self._used_mj: dict[str, int] = {}
        self._turn()

    def read(self) -> dict[str, int]:
        """Energy by zone since the first reading, mJ; zones that this chip tells.

        Raises:
            NoCounterError: the window cannot be ended or begun, or tells of no zone.
        """
        ended = f"bench {self._number}"
        try:
            found = self._monitor.end_window(ended)
        except Exception as error:  # of the library's own kinds; an unknown unit is one of them
            self._turn()
            raise NoCounterError(f"IOReport's window cannot be ended: {error}") from error
        self._turn()
        told = {zone: getattr(found, field, None) for zone, field in FIELDS.items()}
        known = {zone: int(amount) for zone, amount in told.items() if amount is not None}
        if "cpu" not in known:
            raise NoCounterError("IOReport tells nothing of the processor of this chip")
        self._used_mj = {zone: self._used_mj.get(zone, 0) + mj for zone, mj in known.items()}
        return dict(self._used_mj)

    def _turn(self) -> None:
        """Begin the next window."""
        self._number += 1
        try:
            self._monitor.begin_window(f"bench {self._number}", restart=True)
        except Exception as error:
            raise NoCounterError(f"IOReport's window cannot be begun: {error}") from error


@cache
def apple_windows() -> Windows:
    """The windows of this process.

    Raises:
        NoCounterError: no such chip, or the package is absent or cannot ask.
    """
    if platform.machine() != "arm64":
        raise NoCounterError("IOReport tells energy of Apple's own chips, not of Intel's")
    try:
        import zeus_apple_silicon as zeus
    except ImportError as error:
        raise NoCounterError(
            "pip install 'ondevice-bench[apple]' reads it, without root"
        ) from error
    try:
        monitor = zeus.AppleEnergyMonitor()
    except Exception as error:
        raise NoCounterError(f"IOReport does not answer: {error}") from error
    return Windows(monitor)
