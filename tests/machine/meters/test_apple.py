"""Energy of Apple's chips by a fake of the package that asks IOReport."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from harness.core.units import NS_PER_S
from harness.machine.meters import apple
from harness.machine.meters.apple import Windows, apple_windows
from harness.machine.meters.counters import ABSENT, VALUE, NoCounterError
from harness.machine.meters.energy import energy_used, read_energy
from harness.machine.meters.energy_readers import MILLI, Zone, read_ioreport

CHIP = {"cpu_total_mj": 0, "gpu_mj": 0, "gpu_sram_mj": 0, "ane_mj": 0, "dram_mj": 0}


class Monitor:
    """The package's class over a chip whose parts have used what the test says."""

    def __init__(self, **used_mj):
        self.used_mj = {**CHIP, **used_mj}
        self.windows = {}
        self.refusal = None

    def begin_window(self, key, restart=False):
        assert restart or key not in self.windows
        self.windows[key] = dict(self.used_mj)

    def end_window(self, key):
        begun = self.windows.pop(key)
        if self.refusal is not None:
            raise self.refusal
        told = {
            name: None if value is None else value - (begun[name] or 0)
            for name, value in self.used_mj.items()
        }
        return SimpleNamespace(**told)


def test_each_reading_ends_one_window_and_begins_the_next():
    """1.5 J of the processor in the first window, 0.5 J in the second."""
    monitor = Monitor(cpu_total_mj=90_000)
    windows = Windows(monitor)
    assert windows.read() == {"cpu": 0, "gpu": 0, "ane": 0, "dram": 0}
    monitor.used_mj["cpu_total_mj"] += 1_500
    monitor.used_mj["ane_mj"] += 20
    assert windows.read() == {"cpu": 1_500, "gpu": 0, "ane": 20, "dram": 0}
    monitor.used_mj["cpu_total_mj"] += 500
    assert windows.read()["cpu"] == 2_000
    assert len(monitor.windows) == 1, "one is open, for the next reading"


def test_a_part_that_this_chip_does_not_tell_is_left_out_and_not_zero():
    windows = Windows(Monitor(dram_mj=None))
    assert "dram" not in windows.read()


def test_a_chip_that_does_not_tell_its_processor_counts_nothing():
    with pytest.raises(NoCounterError, match="nothing of the processor"):
        Windows(Monitor(cpu_total_mj=None)).read()


def test_a_window_that_fails_costs_that_reading_alone():
    """An unknown unit is the library's error; the next window is whole again."""
    monitor = Monitor()
    windows = Windows(monitor)
    monitor.refusal = ValueError("Unsupported or invalid energy unit provided: kWh")
    with pytest.raises(NoCounterError, match="unit provided: kWh"):
        windows.read()
    monitor.refusal = None
    monitor.used_mj["gpu_mj"] += 7
    assert windows.read()["gpu"] == 7


@pytest.fixture
def mac(monkeypatch):
    """A Mac with Apple's chip and the package; gives its monitor."""
    monitor = Monitor()
    package = ModuleType("zeus_apple_silicon")
    package.AppleEnergyMonitor = lambda: monitor
    monkeypatch.setitem(sys.modules, "zeus_apple_silicon", package)
    monkeypatch.setattr(apple.platform, "machine", lambda: "arm64")
    apple_windows.cache_clear()
    yield monitor
    apple_windows.cache_clear()


def test_millijoules_become_joules_and_parts_stay_apart(mac, tmp_path):
    """3 J of the processor, 1 J of memory; the memory of the graphics processor is left out."""
    readings = []
    for at_s in (0, 2):
        readings.append(
            read_energy(root=tmp_path, system="darwin", clock=lambda now=at_s: now * NS_PER_S)
        )
        mac.used_mj["cpu_total_mj"] += 3_000
        mac.used_mj["dram_mj"] += 1_000
        mac.used_mj["gpu_sram_mj"] += 50
    found = energy_used(*readings)
    assert (found.joules, found.host) == (pytest.approx(4.0), "ioreport")
    assert found.zones["ioreport"] == pytest.approx({"cpu": 3.0, "gpu": 0, "ane": 0, "dram": 1.0})
    assert readings[0].answers["ioreport"].state == VALUE


def test_a_counter_that_shrinks_is_no_energy(mac, tmp_path):
    first = read_energy(root=tmp_path, system="darwin", clock=lambda: 0)
    mac.used_mj["cpu_total_mj"] -= 5
    last = read_energy(root=tmp_path, system="darwin", clock=lambda: NS_PER_S)
    assert energy_used(first, last).reason == "ioreport: it went backwards"


def test_zones_are_in_the_unit_of_the_package(mac, tmp_path):
    assert read_ioreport(tmp_path)["cpu"] == Zone(0, MILLI)


@pytest.mark.parametrize(
    ("machine", "package", "reason"),
    [
        ("x86_64", None, "of Apple's own chips, not of Intel's"),
        ("arm64", None, "pip install 'ondevice-bench[apple]' reads it"),
        ("arm64", ModuleType("zeus_apple_silicon"), "IOReport does not answer"),
    ],
)
def test_what_is_missing_is_said(machine, package, reason, monkeypatch, tmp_path):
    """A None among the modules is an import that fails; an empty one is of another version."""
    apple_windows.cache_clear()
    monkeypatch.setitem(sys.modules, "zeus_apple_silicon", package)
    monkeypatch.setattr(apple.platform, "machine", lambda: machine)
    answer = read_energy(root=tmp_path, system="darwin").answers["ioreport"]
    assert answer.state == ABSENT
    assert reason in answer.reason
