"""Free memory: the machine's, or what a container's limit leaves, whichever is less."""

import pytest

from harness.core.units import GIB
from harness.machine.watch import free_memory
from harness.machine.watch.free_memory import free_memory_bytes
from tests.machine.watch.fake_machine import write


def fake_container(root, limit, used):
    """A version 2 control group with a limit and a count, in bytes."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/job\n")
    group = root / "sys/fs/cgroup/job"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{used}\n")


def test_a_container_leaves_its_limit_minus_what_it_uses(tmp_path, monkeypatch):
    """1000 of the limit, 400 used: 600, though the machine has 5000."""
    monkeypatch.setattr(free_memory, "_machine_free", lambda: 5000)
    fake_container(tmp_path, limit=1000, used=400)
    assert free_memory_bytes(tmp_path) == 600


def test_an_overfull_container_has_nothing_left(tmp_path, monkeypatch):
    monkeypatch.setattr(free_memory, "_machine_free", lambda: 5000)
    fake_container(tmp_path, limit=1000, used=1400)
    assert free_memory_bytes(tmp_path) == 0


def test_without_a_limit_it_is_the_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(free_memory, "_machine_free", lambda: 5000)
    fake_container(tmp_path, limit="max", used=400)
    assert free_memory_bytes(tmp_path) == 5000


def test_an_unreadable_machine_is_unknown_not_zero(tmp_path, monkeypatch):
    def refused():
        raise PermissionError

    monkeypatch.setattr(free_memory, "_machine_free", refused)
    assert free_memory_bytes(tmp_path) is None


def version_2(limit_gib, used_gib, cache_gib=0.0, active_gib=0.0, shared_gib=0.0):
    """Files of one group: its limit, its use, and how much of that is pages of files."""
    limit = limit_gib if limit_gib == "max" else f"{int(limit_gib * GIB)}"
    file = cache_gib + active_gib + shared_gib
    stat = {
        "anon": used_gib - file,
        "file": file,
        "shmem": shared_gib,
        "inactive_anon": shared_gib,
        "active_file": active_gib,
        "inactive_file": cache_gib,
    }
    return {
        "memory.max": f"{limit}\n",
        "memory.current": f"{int(used_gib * GIB)}\n",
        "memory.stat": "".join(f"{name} {int(gib * GIB)}\n" for name, gib in stat.items()),
    }


def place(root, line, **groups):
    """A process in the group that `line` names, and the files of each group."""
    write(root, {"proc/self/cgroup": f"{line}\n"})
    for group, files in groups.items():
        folder = "sys/fs/cgroup/" + group.replace("_", "/")
        write(root, {f"{folder}/{name}": text for name, text in files.items()})
    return root


@pytest.mark.parametrize(
    ("group", "free_gib"),
    [
        (version_2(4, 3.7, cache_gib=3.3), 3.6),  # 4 - (3.7 - 3.3)
        (version_2(4, 3.7, cache_gib=2.3, active_gib=1.0), 3.6),  # read twice, still of a file
        (version_2(4, 3.7), 0.3),
        (version_2(4, 3.7, shared_gib=3.3), 0.3),  # shared memory has nowhere to go
        ({**version_2(4, 1.0), "memory.high": f"{2 * GIB}\n"}, 1.0),
    ],
)
def test_what_can_be_given_back_is_free(tmp_path, monkeypatch, group, free_gib):
    monkeypatch.setattr(free_memory, "_machine_free", lambda: 64 * GIB)
    free = free_memory_bytes(place(tmp_path, "0::/job", job=group))
    assert free == pytest.approx(free_gib * GIB, abs=8)


def test_the_group_above_counts_with_its_own_use(tmp_path, monkeypatch):
    """4 GiB for the slice, 3.5 used in it, by others mostly: 0.5, though the job has no limit."""
    monkeypatch.setattr(free_memory, "_machine_free", lambda: 64 * GIB)
    root = place(
        tmp_path, "0::/slice/job", slice=version_2(4, 3.5), slice_job=version_2("max", 0.1)
    )
    assert free_memory_bytes(root) == pytest.approx(0.5 * GIB, abs=8)


def test_a_tighter_job_in_a_wide_slice_counts_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(free_memory, "_machine_free", lambda: 64 * GIB)
    root = place(tmp_path, "0::/slice/job", slice=version_2(8, 3.5), slice_job=version_2(1, 0.75))
    assert free_memory_bytes(root) == GIB // 4


def test_version_1_counts_the_groups_below_too(tmp_path, monkeypatch):
    """Used 3 of 4 GiB, 2 of it pages of files in this group and those below: 3 are free."""
    monkeypatch.setattr(free_memory, "_machine_free", lambda: 64 * GIB)
    files = {
        "memory.limit_in_bytes": f"{4 * GIB}\n",
        "memory.usage_in_bytes": f"{3 * GIB}\n",
        "memory.stat": f"inactive_file 0\ntotal_inactive_file {2 * GIB}\n",
    }
    root = place(tmp_path, "9:memory:/job", memory_job=files)
    assert free_memory_bytes(root) == 3 * GIB
