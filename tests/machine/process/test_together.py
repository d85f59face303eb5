"""Children that are started at once: loaded before one is used, closed, and none lost."""

import pytest

from harness.core.errors import WorkerError
from harness.machine.process import together, worker
from harness.machine.process.together import Child, started_together

MODULE = "tests.machine.process.faulty_worker"
LONG_S = 120.0


def test_children_have_loaded_their_modules_and_are_closed_behind_the_block():
    """One that cannot be imported says so to its user, as one that is started alone."""
    children = [Child(MODULE, {"COLOUR": "blue"}), Child("no.such.module")]
    with started_together(children) as (first, second):
        assert first.ask("variable", LONG_S, name="COLOUR") == "blue"
        with pytest.raises(WorkerError, match="no"):
            second.ask("pid", LONG_S)
    for one in (first, second):
        with pytest.raises(WorkerError, match="closed worker"):
            one.ask("pid", LONG_S)


def test_one_alone_is_left_to_its_user(monkeypatch):
    monkeypatch.setattr(together, "Worker", None)
    with started_together([Child(MODULE)]) as workers:
        assert workers == (None,)
    with started_together([]) as workers:
        assert workers == ()


def test_one_that_cannot_be_started_is_left_to_its_user(monkeypatch):
    def refuse(module, env):
        raise WorkerError("no process is free", fix="end some")

    monkeypatch.setattr(together.Worker, "start", refuse)
    with started_together([Child(MODULE)] * 2) as workers:
        assert workers == (None, None)


def test_a_memory_kill_of_another_while_one_waits_is_not_its_own(monkeypatch):
    """The first of the kills fell while it waited: its own end was a crash."""
    kills = [0]
    monkeypatch.setattr(worker, "oom_kills", lambda: kills[0])
    with started_together([Child(MODULE)] * 2) as (one, _other):
        kills[0] = 1
        with pytest.raises(WorkerError) as caught:
            one.ask("kill", LONG_S, name="SIGKILL")
    assert caught.value.status == "crashed"
