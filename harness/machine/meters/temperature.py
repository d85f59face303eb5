"""How warm the machine is: the hottest of the sensors that tell of what is measured.

Of the processor always; of the graphics card where it does the work. Sensors of boards, disks and
batteries tell nothing of either. Few virtual machines and containers have any; psutil reads none on
macOS and Windows.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.machine.meters.counters import VALUE, ask, nvml

# Names of drivers and thermal zones. Of the processor: Intel, AMD, and systems on a chip.
PROCESSOR = re.compile(r"coretemp|k10temp|zenpower|x86_pkg_temp|(cpu|soc|cluster|big|little)\w*")
GRAPHICS = re.compile(r"amdgpu|radeon|nouveau|i915|xe|gpu\w*")
# What a dead sensor says, 0 or a register of ones, is no temperature of a machine that runs.
LEAST_CELSIUS, MOST_CELSIUS = 1.0, 125.0
NO_SENSOR = "no sensor of the processor can be read here"


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor at one moment.

    Attributes:
        name: of its driver or zone, and its label: `coretemp Package id 0`.
        celsius: that it says.
    """

    name: str
    celsius: float


ReadSensors = Callable[[], dict[str, list[Any]]]
ReadBoards = Callable[[], list[float]]


def _system_sensors() -> dict[str, list[Any]]:
    """Every sensor by its driver, as psutil reads them; nothing where it reads none."""
    import psutil

    read = getattr(psutil, "sensors_temperatures", dict)
    return dict(read())


def _boards() -> list[float]:
    """NVIDIA's boards, degrees Celsius."""
    library = nvml()
    boards = (library.nvmlDeviceGetHandleByIndex(n) for n in range(library.nvmlDeviceGetCount()))
    return [float(library.nvmlDeviceGetTemperature(board, 0)) for board in boards]


def hottest(
    with_graphics: bool = False,
    sensors: ReadSensors = _system_sensors,
    boards: ReadBoards = _boards,
) -> Sensor | None:
    """The hottest sensor; None: there is none, or none that may be read.

    Args:
        with_graphics: those of graphics cards count too.
        sensors: reads those of the system, by driver; each has `label` and `current`.
        boards: reads NVIDIA's.
    """
    found = [*_of_system(sensors, with_graphics)]
    answer = ask(boards) if with_graphics else None
    if answer is not None and answer.state == VALUE:
        found += [
            Sensor(f"nvml board {place}", degrees) for place, degrees in enumerate(answer.value)
        ]
    likely = [one for one in found if LEAST_CELSIUS < one.celsius < MOST_CELSIUS]
    return max(likely, key=lambda one: one.celsius, default=None)


def _of_system(sensors: ReadSensors, with_graphics: bool) -> Iterator[Sensor]:
    """Yield those of the system that tell of what is measured."""
    answer = ask(sensors)
    for driver, group in (answer.value or {}).items():
        word = driver.lower().replace("-", "_")
        if PROCESSOR.fullmatch(word) or (with_graphics and GRAPHICS.fullmatch(word)):
            for one in group:
                if isinstance(one.current, int | float) and math.isfinite(one.current):
                    yield Sensor(f"{driver} {one.label}".strip(), float(one.current))
