"""Snapshots of fake machines: the difference is arithmetic on counters that a test wrote."""

import os
from dataclasses import replace

import pytest
from msgspec import structs

from harness.machine.watch.probes import Snapshot, difference, pool, snapshot
from harness.machine.watch.reading import Reading, State
from harness.results.background import background_of
from harness.results.replies import WatchInterval
from tests.machine.watch.fake_machine import FILES, TICK_NS, stat, write

IDLE = "0 0 0 100 0 0 0 0"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Two usable processors of four, and nothing happened yet."""
    if not hasattr(os, "sysconf"):
        pytest.skip("the length of a tick is only known on POSIX systems")
    monkeypatch.setattr("harness.machine.watch.probes.usable_processors", lambda: frozenset({0, 2}))
    return write(tmp_path, {**FILES, "proc/stat": stat(IDLE, IDLE, IDLE, IDLE)})


def take(root) -> Snapshot:
    return snapshot(root, system="linux")


def test_background_cpu_is_what_the_processors_did_beyond_our_own(machine):
    """Our processors did 3 + 2 + 1 + 1 + 1 user..softirq ticks and 4 ticks more; 5 were ours."""
    before = take(machine)
    busy = stat("3 2 1 100 9 1 1 0", "50 50 50 100 0 0 0 50", "4 0 0 100 0 0 0 0", IDLE)
    write(machine, {"proc/stat": busy})
    interval = difference(before, take(machine), own_cpu_ns=5 * TICK_NS)
    assert interval.background_cpu_ns == 7 * TICK_NS
    assert interval.processors == 2
    assert interval.steal_ns == 0


def test_steal_is_counted_on_our_processors_only(machine):
    before = take(machine)
    write(machine, {"proc/stat": stat("0 0 0 9 0 0 0 6", "0 0 0 9 0 0 0 99", IDLE, IDLE)})
    assert difference(before, take(machine), own_cpu_ns=0).steal_ns == 6 * TICK_NS


def test_shares_are_of_what_our_processors_could_have_done():
    """20 ms of 2 processors over 500 ms is 2 %; a little negative is rounding, so 0."""
    interval = WatchInterval(wall_ns=500, processors=2, background_cpu_ns=20, steal_ns=-1)
    assert interval.background_cpu_share == 0.02
    assert interval.steal_share == 0.0
    assert WatchInterval(wall_ns=500, processors=2).background_cpu_share is None


def test_no_processor_has_no_share():
    """A file may say so; it is no reason to fail far from it."""
    nothing = WatchInterval(wall_ns=500, processors=0, background_cpu_ns=20, steal_ns=1)
    assert nothing.background_cpu_share is None
    assert background_of([nothing]).cpu_share is None


def test_throttling_heat_and_swap_are_seen(machine):
    heat = "sys/devices/system/cpu/cpu{}/thermal_throttle/{}_throttle_count"
    counters = {
        "sys/fs/cgroup/cpu.stat": "nr_throttled 2\n",
        heat.format(0, "core"): "5\n",
        heat.format(0, "package"): "7\n",
        heat.format(1, "core"): "9\n",
    }
    before = take(write(machine, counters))
    write(
        machine,
        {
            "sys/fs/cgroup/cpu.stat": "nr_throttled 5\n",
            heat.format(0, "package"): "8\n",
            heat.format(1, "core"): "99\n",
            "proc/vmstat": "pswpin 1\npswpout 2\n",
        },
    )
    interval = difference(before, take(machine), own_cpu_ns=0)
    assert interval.throttled_periods == 3
    assert interval.thermal_events == 1
    assert interval.swapped_out_bytes == 2 * interval.swapped_in_bytes > 0


def test_what_a_machine_does_not_tell_is_absent_not_zero(tmp_path):
    interval = difference(take(tmp_path), take(tmp_path), own_cpu_ns=0)
    assert interval.background_cpu_ns is None
    assert interval.throttled_periods is None
    assert interval.unknown["busy_ns"] == "absent"
    assert set(interval.unknown) == {
        *("busy_ns", "steal_ns", "throttled_periods", "thermal_events"),
        *("swapped_in_bytes", "swapped_out_bytes"),
    }


def test_a_processor_that_is_not_listed_makes_the_load_unknown(machine):
    write(machine, {"proc/stat": stat(IDLE, IDLE)})
    interval = difference(take(machine), take(machine), own_cpu_ns=0)
    assert interval.background_cpu_ns is None


def test_sleep_is_the_gap_between_two_clocks():
    counters = {"busy_ns": Reading(State.VALUE, 0)}
    before = Snapshot(wall_ns=0, suspended_ns=5, processors=1, counters=counters)
    after = replace(before, wall_ns=10, suspended_ns=3_000_000_005)
    assert difference(before, after, own_cpu_ns=0).suspended_ns == 3_000_000_000
    assert difference(replace(before, suspended_ns=None), after, 0).suspended_ns is None


def test_this_machine_can_be_watched():
    """Two readings of the real system: time passed, and every counter has a value or a reason."""
    before = snapshot()
    interval = difference(before, snapshot(), own_cpu_ns=0)
    assert interval.wall_ns > 0
    assert interval.processors >= 1
    assert set(interval.unknown.values()) <= {"absent", "denied"}


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_are_watched_through_psutil(system):
    before = snapshot(system=system)
    interval = difference(before, snapshot(system=system), own_cpu_ns=0)
    assert interval.background_cpu_ns is not None
    assert interval.steal_ns is None
    assert (interval.swapped_in_bytes is None) == (system == "win32")


def test_an_interval_survives_the_journal():
    interval = WatchInterval(wall_ns=5, processors=2, unknown={"steal_ns": "denied"})
    assert WatchInterval(**structs.asdict(interval)) == interval


def test_pooled_shares_are_over_the_whole_time():
    """10 of 100 and 0 of 900: 1 % of the whole, not 5 % as the mean of shares says."""
    noisy = WatchInterval(wall_ns=100, processors=1, background_cpu_ns=10, steal_ns=1)
    calm = WatchInterval(wall_ns=900, processors=1, background_cpu_ns=0, steal_ns=1)
    assert pool([noisy, calm]).background_cpu_share == 0.01
    assert pool([noisy, calm]).steal_ns == 2


def test_a_pooled_share_needs_all_parts_and_an_event_only_one():
    seen = WatchInterval(wall_ns=1, processors=1, background_cpu_ns=1, swapped_in_bytes=4096)
    blind = WatchInterval(wall_ns=1, processors=1, unknown={"busy_ns": "denied"})
    both = pool([seen, blind])
    assert both.background_cpu_ns is None
    assert both.swapped_in_bytes == 4096
    assert both.throttled_periods is None
    assert both.unknown == {"busy_ns": "denied"}
