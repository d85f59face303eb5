"""Counters of the kernel's memory killer, and messages without places."""

from pathlib import Path

import pytest

from harness.machine.process.ending import ended_error, last_lines, oom_kills, without_folders


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_memory_kills_are_added_from_both_kinds_of_control_group(tmp_path):
    """4 on the machine + 2 in the v2 group + 1 in the v1 group = 7; group roots have no file."""
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    write(proc / "vmstat", "nr_free_pages 1\noom_kill 4\n")
    write(proc / "self" / "cgroup", "4:memory:/box/a\n3:cpuset:/\n0::/box/b\n")
    write(cgroup / "memory" / "box" / "a" / "memory.oom_control", "under_oom 0\noom_kill 1\n")
    write(cgroup / "box" / "b" / "memory.events", "oom 9\noom_kill 2\n")
    assert oom_kills(proc, cgroup) == 7


def test_memory_kills_are_zero_where_nothing_tells(tmp_path):
    assert oom_kills(tmp_path / "none", tmp_path / "nothing") == 0


def test_a_kill_beside_a_memory_kill_is_out_of_memory_and_others_are_not():
    def status(returncode, killed_for_memory):
        error = ended_error(
            "x",
            returncode,
            log_tail="",
            timeout_s=None,
            killed_for_memory=killed_for_memory,
        )
        return error.status

    assert status(-9, True) == "out_of_memory"
    assert status(-9, False) == "crashed"
    assert status(-11, True) == "crashed"


def test_windows_status_codes_are_hexadecimal():
    error = ended_error("x", 0xC0000005, log_tail="", timeout_s=None, killed_for_memory=False)
    assert "0xc0000005" in error.problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open /a/b c/d.onnx now", "open b c/d.onnx now"),
        ("at C:\\Users\\me\\m.onnx", "at m.onnx"),
        ('File "/usr/lib/x.py", line 3', 'File "x.py", line 3'),
        ("see https://host/a/b and 3/4/5", "see https://host/a/b and 3/4/5"),
        ("tok/s of tests/measure/x", "tok/s of tests/measure/x"),
    ],
)
def test_absolute_paths_lose_their_folders(text, expected):
    assert without_folders(text) == expected


def test_the_home_folder_is_not_named(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert without_folders("in /home/someone: no, /home/someone/m.onnx") == "in ~: no, ~/m.onnx"


def test_relative_to_the_working_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert without_folders(f"{Path.cwd()}/a.py") == "a.py"


def test_last_lines_skips_empty_ones():
    assert last_lines("1\n\n2\n3\n4\n5\n6\n7\n") == " | 2 | 3 | 4 | 5 | 6 | 7"
    assert last_lines("") == ""


@pytest.mark.parametrize("timeout_s", [None, 5.0])
@pytest.mark.parametrize("killed_for_memory", [False, True])
def test_the_way_out_follows_the_word_try(timeout_s, killed_for_memory):
    """The message reads `try: a smaller model`, never `try: try`."""
    error = ended_error(
        "x", -9, log_tail="", timeout_s=timeout_s, killed_for_memory=killed_for_memory
    )
    assert "try: " in str(error)
    assert "try: try" not in str(error)
