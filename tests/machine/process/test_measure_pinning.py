"""Another process kept on some processors: asked of the system itself, not of the code."""

import os

import pytest

from harness.machine.process.pinning import pin
from harness.machine.process.worker import Worker

CHILD = "tests.machine.process.faulty_worker"
needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="no sched_setaffinity on this system"
)


@needs_affinity
def test_a_pinned_worker_runs_there_only():
    """The system says so of the child; this process keeps all it had."""
    mine = os.sched_getaffinity(0)
    place = {min(mine)}
    with Worker.start(CHILD) as worker:
        assert worker.pin(place)
        assert os.sched_getaffinity(worker.pid) == place
    assert os.sched_getaffinity(0) == mine


@needs_affinity
def test_what_the_system_refuses_is_said():
    """A processor that is not there, and a process that is not there."""
    with Worker.start(CHILD) as worker:
        assert not pin(worker.pid, {100_000})
        gone = worker.pid
    assert not pin(gone, {min(os.sched_getaffinity(0))})


def test_a_system_without_the_call_is_asked_through_psutil(monkeypatch):
    """Its own answer where it has one; none is no failure."""
    import psutil

    asked = []

    class Process:
        def __init__(self, pid):
            self.pid = pid

        def cpu_affinity(self, processors):
            asked.append((self.pid, processors))

    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    monkeypatch.setattr(psutil, "Process", Process)
    assert pin(7, {3, 1})
    assert asked == [(7, [1, 3])]
    monkeypatch.delattr(Process, "cpu_affinity")
    assert not pin(7, {1})
