"""What `bench doctor` says of a machine: each check sees its own trouble and nothing else."""

from dataclasses import replace

import pytest
from msgspec import structs

from harness.core.findings import OK, WARNING
from harness.machine.meters.counters import DENIED, VALUE, Answer
from harness.machine.meters.energy import EnergyReading
from harness.machine.meters.energy_readers import Zone
from harness.machine.watch import doctor
from harness.machine.watch.doctor import (
    CHECKS,
    FIXES,
    LINUX,
    MAC,
    WINDOWS,
    State,
    check_energy,
    check_machine,
)
from harness.machine.watch.doctor import judge_machine as judge
from harness.results.environment import MachineFacts
from harness.results.replies import WatchInterval
from tests.machine.watch.fake_machine import FILES, stat, write

FACTS = MachineFacts(
    governor="performance",
    on_battery=False,
    container_cpu_cores=2.0,
    usable_cores=2,
    clock_source="tsc",
    clock_resolution_ns=1.0,
    onnxruntime_telemetry=False,
)
QUIET = WatchInterval(
    wall_ns=10**9,
    processors=2,
    background_cpu_ns=0,
    steal_ns=0,
    swapped_in_bytes=0,
    swapped_out_bytes=0,
)
FIT = State(FACTS, QUIET, 2**34, 10**11, 45.0, LINUX)


def facts(**changes: object) -> State:
    return replace(FIT, facts=structs.replace(FACTS, **changes))


def watched(**changes: int) -> State:
    return replace(FIT, watch=structs.replace(QUIET, **changes))


def test_a_fit_machine_has_no_warning_and_every_check_has_spoken():
    found = list(judge(FIT))
    assert [one.check for one in found] == list(CHECKS)
    assert {one.state for one in found} == {OK}


@pytest.mark.parametrize(
    ("state", "check"),
    [
        (replace(FIT, measuring={"bench run (process 4)": ("gpu",)}), "other bench"),
        (watched(background_cpu_ns=10**8), "other programs"),
        (watched(steal_ns=10**8), "host"),
        (facts(governor="powersave"), "frequency"),
        (facts(on_battery=True), "power"),
        (replace(FIT, free_memory_bytes=2**29), "memory"),
        (watched(swapped_in_bytes=4096), "swap"),
        (replace(FIT, free_disk_bytes=10**9), "disk"),
        (facts(container_cpu_cores=1.5), "container"),
        (facts(onnxruntime_telemetry=True), "telemetry"),
        (facts(clock_source="hpet"), "clock"),
        (facts(clock_resolution_ns=15_600_000.0), "clock"),
        (replace(FIT, celsius=91.0), "heat"),
    ],
)
def test_one_trouble_gives_one_warning_with_a_way_out(state, check):
    warnings = [one for one in judge(state) if one.state == WARNING]
    assert [one.check for one in warnings] == [check]
    assert warnings[0].fix


def test_what_a_system_does_not_tell_is_no_finding_but_that_of_the_heat():
    """Who else measures the locks of the cache say, on every system."""
    silent = State(MachineFacts(), WatchInterval(wall_ns=1, processors=1), None, None, None, MAC)
    other, heat = judge(silent)
    assert (other.check, other.state) == ("other bench", OK)
    assert (heat.check, heat.state) == ("heat", OK)
    assert "no sensor" in heat.detail


@pytest.mark.parametrize("system", [LINUX, MAC, WINDOWS])
def test_ways_out_are_those_of_the_system(system):
    state = replace(facts(governor="powersave"), system=system)
    (warning,) = [one for one in judge(state) if one.state == WARNING]
    assert warning.fix == FIXES["governor"][system]


def test_a_real_look_reads_the_tree_it_is_given(tmp_path, monkeypatch):
    """Nothing is slept away: the second in between is a fake."""
    monkeypatch.setattr("harness.machine.watch.doctor.time.sleep", lambda seconds: None)
    write(tmp_path, {**FILES, "proc/stat": stat("0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0")})
    governor = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    write(tmp_path, {governor: "schedutil\n"})
    found = {one.check: one for one in check_machine(tmp_path / "cache", tmp_path, "linux")}
    assert found["frequency"].state == WARNING
    assert found["disk"].detail.endswith("free for built models")


def test_what_counts_energy_is_said_and_what_does_not_says_why(tmp_path):
    zone = "sys/class/powercap/intel-rapl:0"
    files = {
        f"{zone}/name": "package-0",
        f"{zone}/energy_uj": "1",
        f"{zone}/max_energy_range_uj": "262143328850",
    }
    waited = []
    found = {one.check: one for one in check_energy(write(tmp_path, files), LINUX, waited.append)}
    assert sum(waited) == 2.0, "an idle and a busy second"
    still = "unavailable: does not follow load: it does not move (0 W idle, 0 W busy)"
    assert found["energy: rapl"].detail == still
    assert found["energy: battery"].detail == "absent: no battery"
    assert {one.state for one in found.values()} == {OK}


def test_load_waits_for_nobody_elses_measurement(tmp_path, monkeypatch):
    """A busy second would fall into what another bench measures."""
    answers = {"rapl": Answer(VALUE, {"package": Zone(1, 1e-6)})}
    monkeypatch.setattr(doctor, "read_energy", lambda **_: EnergyReading(0, answers))
    monkeypatch.setattr(doctor, "who_measures", lambda cache: {"bench run": ["cpu"]})
    waited = []
    (rapl,) = check_energy(tmp_path, LINUX, waited.append, tmp_path)
    assert "not proven now: load would disturb" in rapl.detail
    assert waited == []


def test_a_counter_that_may_not_be_read_is_the_only_one_worth_a_change(tmp_path, monkeypatch):
    denied = Answer(DENIED, reason="energy_uj may not be read by this user")
    reading = EnergyReading(0, {"rapl": denied, "battery": Answer("absent", reason="none")})
    monkeypatch.setattr(doctor, "read_energy", lambda **_: reading)
    (rapl, battery) = check_energy(tmp_path, LINUX)
    assert (rapl.state, battery.state) == (WARNING, OK)
    assert rapl.fix is not None
    assert rapl.fix.startswith("sudo chmod a+r")
