"""Energy between two readings: of fake trees, so that every state of every counter is met."""

from dataclasses import replace
from itertools import count

import msgspec
import pytest

from harness.core.units import NS_PER_S
from harness.machine.meters import energy_readers
from harness.machine.meters.counters import ABSENT, DENIED, VALUE, Answer
from harness.machine.meters.energy import (
    COUNTERS,
    EnergyReading,
    energy_used,
    own_counter,
    read_energy,
)
from harness.machine.meters.energy_readers import PATH, Zone, read_emi
from harness.results.replies import EnergyUsed
from tests.machine.watch.fake_machine import write
from tests.replies import hardware as hardware_of

CARD = hardware_of(hardware="gpu", kind="gpu", vendor_id="0x10de", discrete=True)
SECOND_NS = NS_PER_S


def package(number, microjoules, name=None, folder="intel-rapl"):
    """One powercap zone; its range is 262 kJ."""
    zone = f"sys/class/powercap/{folder}:{number}"
    return {
        f"{zone}/name": f"{name or f'package-{number}'}\n",
        f"{zone}/energy_uj": f"{microjoules}\n",
        f"{zone}/max_energy_range_uj": "262143328850\n",
    }


def battery(amount, status="Discharging", **files):
    supply = "sys/class/power_supply/BAT0"
    return {
        f"{supply}/type": "Battery\n",
        f"{supply}/status": f"{status}\n",
        **{f"{supply}/{name}": f"{text}\n" for name, text in {**amount, **files}.items()},
    }


def between(tmp_path, first, last, seconds=1, hardware=None, system="linux"):
    """What two states of a fake machine come to."""
    readings = []
    for place, files in enumerate((first, last)):
        root = write(tmp_path / f"{place}", files)
        clock_ns = place * seconds * SECOND_NS
        readings.append(read_energy(root=root, system=system, clock=lambda now=clock_ns: now))
    return energy_used(*readings, hardware)


def test_packages_are_added_up_and_nothing_inside_or_around_them(tmp_path):
    """2 J and 3 J of two packages; core, psys and the second door to package 0 are left."""
    others = {
        **package("0:0", 0, name="core"),
        **package(2, 0, name="psys"),
        **package(0, 0, folder="intel-rapl-mmio"),
    }
    grown = {
        **package("0:0", 9_000_000, name="core"),
        **package(2, 9_000_000, name="psys"),
        **package(0, 9_000_000, folder="intel-rapl-mmio"),
    }
    first = {**package(0, 1_000_000), **package(1, 5_000_000), **others}
    last = {**package(0, 3_000_000), **package(1, 8_000_000), **grown}
    assert between(tmp_path, first, last) == EnergyUsed(
        joules=pytest.approx(5.0),
        host="rapl",
        parts={"rapl": pytest.approx(5.0)},
        zones={"rapl": {"intel-rapl:0": pytest.approx(2.0), "intel-rapl:1": pytest.approx(3.0)}},
    )


def test_a_counter_that_begins_again_has_not_gone_back(tmp_path):
    """From 1 J below its range to 1 J."""
    first, last = package(0, 262_143_328_850 - 1_000_000), package(0, 1_000_000)
    assert between(tmp_path, first, last).joules == pytest.approx(2.0)


def test_a_part_in_which_it_could_have_wrapped_twice_is_not_measured(tmp_path):
    """262 kJ are 263 s at a kilowatt."""
    found = between(tmp_path, package(0, 0), package(0, 10**7), seconds=300)
    assert found.joules is None
    assert "wrapped more than once" in found.reason


def test_nothing_that_counts_is_unavailable_with_every_reason(tmp_path):
    found = between(tmp_path, {}, {})
    assert found.joules is None
    assert "rapl: absent, no package" in found.reason
    assert "battery: absent, no battery" in found.reason
    assert "nvml" not in found.reason, "no card was used"


def test_a_counter_that_stands_still_is_not_zero(tmp_path):
    """Some virtual machines show a package whose counter never moves."""
    found = between(tmp_path, package(0, 7), package(0, 7))
    assert found.joules is None
    assert "rapl: it did not move" in found.reason


def test_a_part_that_is_short_beside_the_steps_is_not_measured(tmp_path):
    found = between(tmp_path, package(0, 0), package(0, 10**6), seconds=0.01)
    assert "too short for its steps; in a plan: sample_seconds = 0.1" in found.reason


def test_what_a_user_may_not_read_is_denied(tmp_path, monkeypatch):
    def refuse(root):
        raise PermissionError(13, "no", "/sys/class/powercap/intel-rapl:0/energy_uj")

    rows = [replace(COUNTERS[0], read=refuse)]
    reading = read_energy(rows, tmp_path, "linux")
    assert reading.answers["rapl"].state == DENIED
    found = energy_used(reading, reading, None, rows)
    assert found.reason == "rapl: denied, energy_uj may not be read by this user"


def test_a_battery_counts_only_while_it_feeds_the_machine(tmp_path):
    """1 Wh in 200 s; plugged in it tells nothing."""
    first, last = battery({"energy_now": 50_000_000}), battery({"energy_now": 49_000_000})
    found = between(tmp_path / "on", first, last, seconds=200)
    assert (found.joules, found.host) == (pytest.approx(3600.0), "battery")
    plugged = [battery({"energy_now": 50_000_000}, "Charging")] * 2
    found = between(tmp_path / "off", *plugged, seconds=200)
    assert "it is plugged in" in found.reason


def test_a_gauge_of_charge_is_taken_at_the_mean_voltage(tmp_path):
    """0.1 Ah at (12 + 11) / 2 V are 4140 J."""
    first = battery({"charge_now": 4_000_000, "voltage_now": 12_000_000})
    last = battery({"charge_now": 3_900_000, "voltage_now": 11_000_000})
    assert between(tmp_path, first, last, seconds=200).joules == pytest.approx(4140.0)


def test_the_battery_of_a_mouse_feeds_no_machine(tmp_path):
    mouse = battery({"energy_now": 1}, scope="Device")
    assert "battery: absent, no battery" in between(tmp_path, mouse, mouse).reason


def test_a_package_is_finer_than_the_battery_around_it(tmp_path):
    first = {**package(0, 0), **battery({"energy_now": 50_000_000})}
    last = {**package(0, 10**9), **battery({"energy_now": 49_000_000})}
    assert between(tmp_path, first, last, seconds=200).parts == {"rapl": pytest.approx(1000.0)}


def test_a_reader_that_breaks_costs_no_run(tmp_path):
    first = {**package(0, 0), "sys/class/powercap/intel-rapl:0/energy_uj": "no number\n"}
    assert "rapl: absent, it cannot be read" in between(tmp_path, first, first).reason


def reading(at_s, **amounts):
    """A reading with each counter at an amount of joules, or with an answer of its own."""
    answers = {
        name: told if isinstance(told, Answer) else Answer(VALUE, {"zone": Zone(told, 1.0)})
        for name, told in amounts.items()
    }
    return EnergyReading(at_s * SECOND_NS, answers)


def test_a_card_has_its_own_energy_and_that_of_the_package_that_feeds_it():
    found = energy_used(reading(0, rapl=0, nvml=0), reading(2, rapl=20, nvml=300), CARD)
    assert found.parts == {"rapl": 20.0, "nvml": 300.0}
    assert (found.joules, found.host, found.device) == (320.0, "rapl", "nvml")


def test_the_processor_does_not_pay_for_an_idle_card():
    found = energy_used(reading(0, rapl=0, nvml=0), reading(2, rapl=20, nvml=140), None)
    assert found.parts == {"rapl": 20.0}


def test_without_the_package_a_card_stands_alone_and_says_so():
    denied = Answer(DENIED, reason="no")
    found = energy_used(reading(0, rapl=denied, nvml=0), reading(2, rapl=denied, nvml=300), CARD)
    assert (found.joules, found.host, found.device) == (300.0, None, "nvml")


def test_a_package_alone_is_not_the_energy_of_a_card():
    absent = Answer(ABSENT, reason="2 NVIDIA boards")
    found = energy_used(reading(0, rapl=0, nvml=absent), reading(2, rapl=20, nvml=absent), CARD)
    assert (found.joules, found.reason) == (None, "nvml: absent, 2 NVIDIA boards")


def test_a_battery_feeds_a_card_too():
    absent = Answer(ABSENT, reason="none")
    first, last = (reading(at, rapl=absent, nvml=absent, battery=at * 40) for at in (0, 200))
    found = energy_used(first, last, CARD)
    assert (found.joules, found.host, found.device) == (8000.0, "battery", None)


@pytest.mark.parametrize(
    ("hardware", "counter", "why"),
    [
        ({"hardware": "cpu", "kind": "gpu"}, None, None),  # emulated: the processor works
        (CARD, "nvml", None),
        ({"hardware": None, "kind": "gpu", "vendor_id": "0x10de"}, "nvml", None),
        ({"hardware": "npu", "kind": "npu"}, None, None),
        ({"hardware": "gpu", "vendor_id": "0x8086", "discrete": False}, None, None),
        ({"hardware": "gpu", "vendor_id": "0x8086", "discrete": True}, None, "nothing counts"),
        ({"hardware": "gpu", "vendor_id": "0x1002", "discrete": None}, None, "nothing tells"),
    ],
)
def test_what_a_device_needs_besides_the_package(hardware, counter, why):
    found, reason = own_counter(hardware_of(**hardware) if isinstance(hardware, dict) else hardware)
    assert (found and found.name) == counter
    assert (reason or "").startswith(why or "")
    assert (reason is None) == (why is None)


def test_a_gpu_of_unknown_kind_is_not_measured_by_its_package():
    unknown = hardware_of(hardware="gpu", vendor_id="0x1002")
    found = energy_used(reading(0, rapl=0), reading(2, rapl=20), unknown)
    assert found.joules is None
    assert "built into the counted package" in found.reason


class RefusedError(Exception):
    """NVIDIA's error, with its number."""

    def __init__(self, value, text):
        super().__init__(text)
        self.value = value


class FakeBoards:
    """NVIDIA's library with some boards that have used 5 J, or that refuse."""

    NVMLError = RefusedError
    NVML_ERROR_NO_PERMISSION = 4

    def __init__(self, boards, refusal=None):
        self.nvmlDeviceGetCount = lambda: boards
        self.nvmlDeviceGetHandleByIndex = lambda index: index
        self._refusal = refusal

    def nvmlDeviceGetTotalEnergyConsumption(self, board):  # noqa: N802  its name
        if self._refusal is not None:
            raise self._refusal
        return 5_000


@pytest.mark.parametrize(("boards", "state"), [(1, VALUE), (2, ABSENT), (0, ABSENT)])
def test_one_board_is_counted_in_millijoules(boards, state, monkeypatch, tmp_path):
    monkeypatch.setattr(energy_readers, "nvml", lambda: FakeBoards(boards))
    answer = read_energy(root=tmp_path, system="linux").answers["nvml"]
    assert answer.state == state
    if state == VALUE:
        assert answer.value["board"] == Zone(5_000, 1e-3)


@pytest.mark.parametrize(
    ("refusal", "state", "reason"),
    [
        (RefusedError(3, "Not Supported"), ABSENT, "Not Supported; Volta and newer do"),
        (RefusedError(4, "Insufficient Permissions"), DENIED, "may not be read by this user"),
        (RefusedError(15, "GPU is lost"), ABSENT, "the board tells no energy (GPU is lost"),
    ],
)
def test_a_board_that_tells_no_energy_says_why(refusal, state, reason, monkeypatch, tmp_path):
    monkeypatch.setattr(energy_readers, "nvml", lambda: FakeBoards(1, refusal))
    answer = read_energy(root=tmp_path, system="linux").answers["nvml"]
    assert answer.state == state
    assert reason in answer.reason


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [
        (5.0, 4.0, "nvml: it went backwards"),
        (0.0, 9_000.0, "nvml: it jumped: 4,500 W is more than any of its kind draws"),
    ],
)
def test_what_no_board_does_is_no_energy(first, last, reason):
    found = energy_used(reading(0, nvml=first), reading(2, nvml=last), CARD)
    assert (found.joules, found.reason) == (None, reason)


def test_a_counter_that_vanishes_in_the_middle_says_so(tmp_path):
    found = between(tmp_path, package(0, 0), {})
    assert "rapl: it vanished meanwhile: absent, no package" in found.reason


def test_a_battery_that_gains_has_gone_backwards(tmp_path):
    first, last = battery({"energy_now": 49_000_000}), battery({"energy_now": 50_000_000})
    assert "battery: it went backwards" in between(tmp_path, first, last, seconds=200).reason


def test_a_package_that_was_set_back_has_jumped_and_not_wrapped(tmp_path):
    """From 100 kJ to 1 J in 2 s: a wrap would be 162 kJ, 81 kW."""
    found = between(tmp_path, package(0, 10**11), package(0, 10**6), seconds=2)
    assert "rapl: it jumped" in found.reason


def test_windows_meters_of_every_package_are_added_up(tmp_path):
    """1e12 pWh are 3600 J."""
    amounts = {PATH.format(0): 10**12, PATH.format(1): 10**12}
    zones = read_emi(tmp_path, amounts.get)
    assert [zone.amount * zone.joules_per_unit for zone in zones.values()] == [3600.0, 3600.0]


def test_systems_read_their_own_counters_and_say_why_they_have_none(tmp_path):
    mac = read_energy(root=tmp_path, system="darwin").answers
    assert list(mac) == ["ioreport"]
    assert mac["ioreport"].state == ABSENT, "this machine has no such chip"
    assert list(read_energy(root=tmp_path, system="sunos5").answers) == []
    ticks = count()
    nothing = [read_energy(root=tmp_path, system="sunos5", clock=ticks.__next__) for _ in "ab"]
    assert energy_used(*nothing) == EnergyUsed(joules=None, reason="no counter on this system")


def test_what_is_kept_of_it_comes_back(tmp_path):
    found = between(tmp_path, package(0, 0), package(0, 10**6))
    assert msgspec.json.decode(msgspec.json.encode(found), type=EnergyUsed) == found
