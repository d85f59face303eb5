"""Runs of two levels and two tests of a tiny model, whose workers are scripted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.runner.loop import interleaved, rounds, session
from harness.runner.loop.run import Outcome, run_plan
from harness.runner.plan import Plan, make_plan
from harness.runner.settings import Settings
from tests.faults.runs import QUIET, READ, Script, ScriptedWorker
from tests.inline_worker import none_waiting


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """What goes wrong in the runs of a test; nothing, until it says so."""
    made = Script()
    monkeypatch.setattr(ScriptedWorker, "script", made)
    for module in (interleaved, session):
        monkeypatch.setattr(module, "Worker", ScriptedWorker)
        monkeypatch.setattr(module, "difference", lambda *_: QUIET)
    monkeypatch.setattr(rounds, "measure_read_bandwidth", lambda *_: READ)
    monkeypatch.setattr(rounds, "started_together", none_waiting)
    return made


@pytest.fixture
def planned(tiny_folder: Path) -> Callable[..., Plan]:
    """A function: settings of a plan -> the plan."""

    def make(**others: Any) -> Plan:
        usual = {"quant": ("fp32", "int4"), "prompt": (8,), "gen": (4,), "threads": ("1",)}
        usual |= {"rounds": 3, "calibrate": False, "sample_seconds": 1e-3}
        settings = Settings(model=(str(tiny_folder),), **{**usual, **others})
        return make_plan(settings, usable_threads=1)

    return make


@pytest.fixture
def measured(script: Script, tmp_path: Path, shared_cache: Path) -> Callable[..., Outcome]:
    """A function: a plan -> what its run leaves, in the folder `results` of the test."""

    def run(plan: Plan, resume: bool = False) -> Outcome:
        return run_plan(
            plan,
            results=tmp_path / "results",
            cache=shared_cache,
            progress=lambda what, done, total: None,
            resume=resume,
            command=("bench", "run", "--resume"),
        )

    return run
