"""What a run does about devices that keep compiled graphs."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from harness.core.errors import WorkerError
from harness.devices.compiled import META_FILE, compiled_folder
from harness.devices.device import find_device
from harness.results.replies import Compiled
from harness.results.summarize import compile_metric
from harness.runner.loop import once, session
from harness.runner.loop.entries import Entries
from harness.runner.loop.once import compile_models

QNN, CPU = find_device("qnn"), find_device("cpu")


def group(device, key="g"):
    return SimpleNamespace(
        key=key, device=device, threads=1, batch=1, has_one_shape=False, workloads=(None,)
    )


class FakeBuilds:
    """One artifact for every group."""

    def __init__(self, cache):
        self.artifact = SimpleNamespace(
            folder=cache / "model",
            graph=cache / "model" / "g.onnx",
            content_hash="abc",
            compiled_under="abc",
        )

    def of(self, group):
        return self.artifact


@pytest.fixture
def found(tmp_path, monkeypatch):
    """What is yielded for some groups, and the devices that workers were asked about."""
    monkeypatch.setattr(session, "shapes_json", lambda geometry: {})
    builds = FakeBuilds(tmp_path)
    builds.artifact.geometry = None
    plan = SimpleNamespace(settings=SimpleNamespace(seed=0, timeout=9.0), cell_count=1)
    entries = Entries([])
    monkeypatch.setattr(Entries, "done_of", lambda self, plan: (0, 1))

    def run(*groups):
        plan.groups = groups
        return list(compile_models(plan, builds, entries, lambda *_: None))

    return run


class FakeWorker(nullcontext):
    """Answers, or dies."""

    def __init__(self, error=None):
        super().__init__(self)
        self.error = error

    def start(self, module):
        return self

    def ask(self, command, timeout_s, reply, **arguments):
        assert command == "compile"
        assert arguments["device"].compiled is None
        if self.error:
            raise self.error
        return reply(compile_ns=5_000_000)


def test_a_provider_that_keeps_nothing_is_left_alone(found):
    assert found(group(CPU)) == []


def test_compiling_is_an_entry_of_its_own(found, monkeypatch):
    monkeypatch.setattr(once, "Worker", FakeWorker())
    (entry,) = found(group(QNN))
    assert entry.group == "g"
    assert compile_metric(entry.found)["compile_ms"].value == 5.0
    assert Entries([entry]).compiled == {"g": entry.found}


def test_a_failure_costs_the_compiled_graphs_alone(found, monkeypatch):
    monkeypatch.setattr(once, "Worker", FakeWorker(WorkerError("no room", fix="make some")))
    (entry,) = found(group(QNN))
    assert entry.found == Compiled(compile_ns=None, reason="no room")
    assert compile_metric(entry.found) == {}


def test_what_is_there_is_not_compiled_again(found, monkeypatch, tmp_path):
    monkeypatch.setattr(once, "Worker", None)
    folder = compiled_folder(tmp_path, "abc", QNN)
    folder.mkdir(parents=True)
    (folder / META_FILE).write_text('{"compile_ns": 3000000}')
    (entry,) = found(group(QNN))
    assert compile_metric(entry.found)["compile_ms"].value == 3.0
