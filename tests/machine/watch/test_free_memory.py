"""Free memory: the machine's, or what a container's limit leaves, whichever is less."""

from harness.machine.watch import free_memory
from harness.machine.watch.free_memory import free_memory_bytes


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
