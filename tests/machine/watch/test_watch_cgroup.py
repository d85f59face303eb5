"""Container limits and throttling, from fake control groups of both versions."""

import pytest

from harness.machine.watch.cgroup import cpu_quota_cores, memory_limit_bytes, throttled_periods
from tests.machine.watch.fake_machine import write

V1 = "9:memory:/a\n4:cpu,cpuacct:/a/b\n0::/\n"


def test_version_2_takes_the_tightest_group_on_the_way_up(tmp_path):
    """Own group: no limit; the group above: 150 ms of every 100 ms, so 1.5 processors."""
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/pod/memory.max": "1073741824\n",
            "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
            "sys/fs/cgroup/pod/box/memory.max": "max\n",
        },
    )
    assert cpu_quota_cores(root) == 1.5
    assert memory_limit_bytes(root) == 2**30


def test_version_1_has_a_mount_per_controller(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4096\n",
        },
    )
    assert cpu_quota_cores(root) == 0.5
    assert memory_limit_bytes(root) == 4096


def test_a_group_that_only_the_host_sees_is_the_root_of_the_mount(tmp_path):
    root = write(
        tmp_path,
        {"proc/self/cgroup": "0::/docker/0123\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"},
    )
    assert cpu_quota_cores(root) == 2.0


def test_no_limit_is_none(tmp_path):
    root = write(tmp_path, {"proc/self/cgroup": V1, "sys/fs/cgroup/cpu/cpu.shares": "1024\n"})
    assert cpu_quota_cores(root) is None
    assert memory_limit_bytes(root) is None
    assert throttled_periods(root) is None


@pytest.mark.parametrize("mount", ["sys/fs/cgroup", "sys/fs/cgroup/cpu"])
def test_throttling_is_counted_over_all_groups_above(tmp_path, mount):
    """3 periods of our own and 4 of the group above, in either version."""
    line = "0::/a\n" if mount == "sys/fs/cgroup" else "3:cpu:/a\n"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": line,
            f"{mount}/cpu.stat": "nr_periods 9\nnr_throttled 4\n",
            f"{mount}/a/cpu.stat": "nr_periods 9\nnr_throttled 3\nthrottled_usec 7\n",
        },
    )
    assert throttled_periods(root) == 7


def test_a_link_to_the_same_mount_is_not_counted_twice(tmp_path):
    files = {"proc/self/cgroup": "4:cpu,cpuacct:/\n"}
    root = write(tmp_path, {**files, "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_throttled 5\n"})
    try:
        (root / "sys/fs/cgroup/cpu").symlink_to("cpu,cpuacct")
    except OSError as error:
        pytest.skip(f"links cannot be made here: {error}")
    assert throttled_periods(root) == 5
