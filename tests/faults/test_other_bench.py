"""Fault: two measurements at once on one machine; or what is left of one that was killed.

What must remain true: they do not measure at once unless somebody wants it, and then both say so;
a lock of a dead process holds nobody up; nobody waits for himself, and no two for each other.
"""

import json
import os
import subprocess
import sys

import pytest

from harness.machine.watch import sole
from harness.machine.watch.probes import Snapshot, difference
from harness.machine.watch.sole import (
    KINDS,
    Others,
    locked_kinds,
    other_measurements,
    sole_measurement,
    who_measures,
)
from tests.other_bench import elsewhere

CPU, GPU, NPU = KINDS
HOLD = """
import sys
from pathlib import Path
from harness.machine.watch.sole import sole_measurement
with sole_measurement(Path(sys.argv[1]), ["cpu"], "bench run"):
    print("held", flush=True)
    sys.stdin.read()
"""
ENTER = """
import sys
from pathlib import Path
from harness.machine.watch.sole import other_measurements, sole_measurement
said = []
with sole_measurement(Path(sys.argv[1]), ["cpu"], "bench run", 0.0, said.append):
    print(other_measurements().there, said)
"""


@pytest.fixture(autouse=True)
def in_the_cache(monkeypatch):
    """As it is outside of tests, where each process has its own."""
    monkeypatch.setattr(sole, "lock_folder", lambda cache: cache / "locks")


@pytest.mark.parametrize(
    ("kinds", "taken"),
    [
        ([CPU], KINDS),
        ([GPU], (GPU,)),
        ([NPU, GPU], (GPU, NPU)),
        ([GPU, CPU], KINDS),
        (["a server"], KINDS),
        ([], KINDS),
    ],
)
def test_a_processor_is_part_of_every_measurement_and_a_device_of_its_own(kinds, taken):
    assert locked_kinds(kinds) == taken


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ([CPU], [CPU], True),
        ([CPU], [GPU], True),
        ([GPU], [CPU], True),
        ([GPU], [GPU], True),
        ([GPU], [NPU], False),
    ],
)
def test_two_that_share_what_they_measure_both_say_so(tmp_path, first, second, meet):
    said = []
    with elsewhere(tmp_path, first) as look:
        assert look() == Others()
        with sole_measurement(tmp_path, second, "bench run", 0.0, said.append):
            assert other_measurements().there == meet
            assert look().there == meet
        assert not look().there  # it has gone, and is remembered
        assert (look().came > 0) == meet
    assert ["OTHER_BENCH" in line for line in said] == ([True] if meet else [])
    if meet:
        assert f"bench tune (process {os.getpid()})" in said[0]


def test_who_goes_on_beside_is_alone_once_the_other_has_ended(tmp_path):
    with elsewhere(tmp_path, [GPU]):
        beside = sole_measurement(tmp_path, [GPU], "bench run", 0.0)
        beside.__enter__()
        first = other_measurements()
    second, third = other_measurements(), other_measurements()
    assert (first.there, second.there, third.there) == (True, False, False)
    with elsewhere(tmp_path, [GPU]) as look:  # the lock is ours now
        assert look().there
        assert other_measurements().there
    beside.__exit__(None, None, None)


def test_who_may_wait_waits_until_the_other_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(sole, "POLL_S", 0.001)
    other = elsewhere(tmp_path, [GPU])
    other.__enter__()

    def said(line):
        """The other one ends as soon as it is waited for."""
        assert "waiting for it" in line
        other.__exit__(None, None, None)

    with sole_measurement(tmp_path, [GPU], "bench run", log=said):
        assert other_measurements() == Others()


def test_nobody_waits_for_himself(tmp_path):
    """A block in a block; and one that needs more than the outer has does not wait for it."""
    with (
        sole_measurement(tmp_path, [GPU], "bench run"),
        sole_measurement(tmp_path, [GPU], "bench calibrate"),
    ):
        assert other_measurements() == Others()
        with elsewhere(tmp_path, [NPU]), sole_measurement(tmp_path, [CPU], "bench calibrate"):
            assert other_measurements().there
    with sole_measurement(tmp_path, [CPU], "bench run"):
        assert other_measurements() == Others()
    assert other_measurements() == Others()


def test_a_bench_that_a_measurement_started_is_a_part_of_it(tmp_path):
    with sole_measurement(tmp_path, [CPU], "a script"):
        words = [sys.executable, "-c", ENTER, str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "False []"
        assert other_measurements() == Others()


def test_a_lock_of_a_killed_process_is_free(tmp_path):
    """And its number may belong to another process by now."""
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"held\n"
        child.kill()
        child.wait()
    owners = list(tmp_path.rglob("*.owner"))
    assert [json.loads(file.read_text())["pid"] for file in owners] == [child.pid] * len(KINDS)
    for file in owners:
        file.write_text(json.dumps({"pid": os.getppid(), "started_s": 0.0}))
    said = []
    with sole_measurement(tmp_path, [CPU], "bench run", log=said.append):
        assert other_measurements() == Others()
    assert said == []


def test_whoever_looks_who_measures_sees_it_and_is_in_nobodys_way(tmp_path):
    """What a killed process left is nobody; a look leaves no lock and no word behind."""
    assert who_measures(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
    mine = f"bench tune (process {os.getpid()})"
    with elsewhere(tmp_path, [GPU, NPU]) as look:
        assert who_measures(tmp_path) == {mine: (GPU, NPU)}
        assert look() == Others()
    assert who_measures(tmp_path) == {}
    with elsewhere(tmp_path, [CPU]):
        assert who_measures(tmp_path) == {mine: KINDS}
    for file in tmp_path.rglob("*.owner"):
        file.write_text(json.dumps({"doing": "bench run", "pid": 1, "started_s": 0.0}))
    assert who_measures(tmp_path) == {}
    with sole_measurement(tmp_path, [CPU], "bench run"):
        assert other_measurements() == Others()


def test_a_cache_without_locks_keeps_nobody_from_measuring(tmp_path):
    (tmp_path / "locks").write_text("a file")
    with sole_measurement(tmp_path, [CPU], "bench run"):
        assert other_measurements() == Others()


@pytest.mark.parametrize(
    ("before", "after", "beside"),
    [
        (Others(), Others(), False),
        (Others(1, there=True), Others(1), True),
        (Others(), Others(1, there=True), True),
        (Others(), Others(1), True),  # it came and went
        (Others(1), Others(1), False),
    ],
)
def test_an_interval_is_marked_that_another_measurement_touched(before, after, beside):
    watch = difference(Snapshot(0, 0, 2, {}, before), Snapshot(9, 0, 2, {}, after), 0)
    assert watch.other_bench == beside
