"""Which sensor tells how warm what is measured is."""

from types import SimpleNamespace

import pytest

from harness.machine.meters.counters import NoCounterError
from harness.machine.meters.temperature import Sensor, hottest


def group(*degrees, label="Core"):
    return [SimpleNamespace(label=f"{label} {n}", current=now) for n, now in enumerate(degrees)]


def found(sensors, boards=(), with_graphics=False):
    return hottest(with_graphics, lambda: sensors, lambda: list(boards))


@pytest.mark.parametrize(
    ("sensors", "name"),
    [
        ({"coretemp": group(41.0, 55.0), "nvme": group(70.0)}, "coretemp Core 1"),
        ({"cpu-0-0-thermal": group(50.0, label=""), "battery": group(60.0)}, "cpu-0-0-thermal  0"),
        ({"k10temp": group(48.0), "acpitz": group(90.0)}, "k10temp Core 0"),
        ({"x86_pkg_temp": group(48.0, label="")}, "x86_pkg_temp  0"),
    ],
)
def test_the_hottest_of_the_processor_counts_and_no_disk(sensors, name):
    assert found(sensors).name == name


def test_a_dead_sensor_is_none():
    """A register of zeros or ones, or a driver without a number."""
    dead = {"coretemp": group(0.0, -273.0, 127.5, float("nan"), None)}
    assert found(dead) is None
    assert found({**dead, "k10temp": group(40.0)}) == Sensor("k10temp Core 0", 40.0)


def test_graphics_count_where_they_do_the_work():
    sensors = {"coretemp": group(40.0), "amdgpu": group(60.0, label="edge")}
    assert found(sensors, [70.0]).celsius == 40.0
    assert found(sensors, with_graphics=True).name == "amdgpu edge 0"
    assert found(sensors, [50.0, 70.0], with_graphics=True).name == "nvml board 1"


def test_what_cannot_be_read_is_no_sensor():
    def refuse():
        raise PermissionError

    def absent():
        raise NoCounterError("no driver")

    assert hottest(False, refuse, absent) is None
    assert hottest(True, dict, absent) is None
