"""What a worker does with a cell: its own folder, its own child, its own last words."""

import os
import subprocess
import sys
import threading

import pytest

from harness.core.errors import EXIT_INTERRUPTED, EXIT_USAGE
from harness.fleet.scheduling import task
from harness.fleet.scheduling.task import Children, Ended, Reply, Station, run_cell, work_at
from tests.fleet.scheduling.null_worker import null_measure
from tests.fleet.scheduling.processes import null_cells
from tests.fleet.scheduling.recording import offer

WAITS = "import sys, time; print('waits', flush=True); time.sleep(600)"


@pytest.fixture(scope="module")
def cell():
    return null_cells(1)[0]


def station(out, measure):
    out.mkdir()
    return Station(offer("a"), out, measure)


def test_a_result_lies_on_the_disk_before_it_is_sent(cell, tmp_path):
    one = station(tmp_path / "out", null_measure("a", 0.0, threading.Event()))
    reply = one.run(cell.hash, cell.encoded().decode())
    path = tmp_path / "out" / reply.file
    assert path.read_text() == reply.result
    assert (tmp_path / "out" / "cells" / cell.file_name).read_bytes() == cell.encoded()


@pytest.mark.parametrize("hash_", ["../../evil", "", "A" * 16, f"{'0' * 16}/x", "0" * 17])
def test_what_is_no_cell_is_written_nowhere(tmp_path, hash_):
    def never(path, out):
        raise AssertionError

    one = station(tmp_path / "out", never)
    assert one.run(hash_, "{}").exit_code == EXIT_USAGE
    assert one.run("0" * 16, "x" * (task.MOST_CELL_BYTES + 1)).exit_code == EXIT_USAGE
    assert list((tmp_path / "out").iterdir()) == []


def test_without_a_result_the_last_words_go_back(cell, tmp_path):
    one = station(tmp_path / "out", lambda path, out: Ended(2, ("bench: no", "try: yes")))
    reply = one.run(cell.hash, "{}")
    assert (reply.exit_code, reply.result, reply.said) == (2, None, ("bench: no", "try: yes"))


def test_the_task_answers_in_json_and_only_at_a_worker(cell, tmp_path, monkeypatch):
    monkeypatch.setattr(task, "_station", [])
    assert run_cell(cell.hash, "{}") == ""
    work_at(station(tmp_path / "out", lambda path, out: Ended(3, ())))
    assert task.msgspec.json.decode(run_cell(cell.hash, "{}"), type=Reply).exit_code == 3


def test_bench_cell_is_a_child_that_refuses_a_cell_itself(tmp_path):
    """The command line is that of `bench cell`: a file that is none ends with its words."""
    file = tmp_path / "cell-0000000000000000.json"
    file.write_text("{}")
    ended = Children(["-q"])(file, tmp_path)
    assert ended.exit_code == EXIT_USAGE
    assert "bench.cell" in " ".join(ended.said)


def test_a_stopped_worker_starts_nothing(tmp_path):
    children = Children()
    children.stop()
    assert children(tmp_path, tmp_path).exit_code == EXIT_INTERRUPTED


@pytest.mark.skipif(os.name != "posix", reason="a pipe that is read without looking")
def test_a_child_is_interrupted_when_its_owner_is_gone(tmp_path):
    """Its stdin ends, whoever ended the owner; without that it would stay for ten minutes."""
    code = (
        "from harness.fleet.scheduling.child import end_with_owner; end_with_owner();"
        f"exec({WAITS!r})"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout.readline() == b"waits\n"
    _, said = child.communicate(timeout=60)  # closes stdin
    assert b"KeyboardInterrupt" in said
