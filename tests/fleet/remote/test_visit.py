"""Visits to a machine that is a folder here: by programs that behave as ssh, scp and adb do."""

import os
import signal
import threading
from pathlib import Path

import pytest

from harness.core.errors import DeviceError
from harness.fleet.remote import host, wire
from harness.fleet.remote.target import parse_target
from harness.fleet.remote.visit import Errand, clean_up, visit, work_folder
from tests.fleet.remote.pretend import null_python, pretend, write_program


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "ADB_FOLDERS", (str(tmp_path / "nowhere"), str(tmp_path)))
    return pretend(monkeypatch, tmp_path)


@pytest.fixture
def python(tmp_path):
    return str(null_python(tmp_path))


def cells(tmp_path: Path, **does: str) -> tuple[Path, list[str]]:
    """A folder here with cells that do something, and their names."""
    folder = tmp_path / "here"
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    for name, content in does.items():
        (folder / "cells" / f"{name}.json").write_text(content, encoding="utf-8")
    return folder, [f"{name}.json" for name in does]


def results(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").glob("result-*"))


@pytest.mark.parametrize("on", ["ssh:me@pi", "adb:good-1"])
def test_cells_go_there_and_results_come_back(home, python, tmp_path, on):
    folder, names = cells(tmp_path, a="ok", b="fails")
    said, begun = [], []
    errand = Errand(parse_target(on), python, ("--wait", "1s"))
    brought = visit(errand, folder, names, said.append, lambda name, _: begun.append(name))
    assert brought.codes == {"a.json": 0, "b.json": 3}
    assert begun == names
    assert results(folder) == ["result-a.json", "result-b.json"]
    assert (folder / "out/result-a.json").read_text() == "ok ['--wait', '1s']"
    assert "null cell fails" in said
    assert "a table that nobody reads" not in said
    clean_up(brought)
    assert list(tmp_path.rglob(work_folder(names))) == []


def test_a_model_that_lies_here_is_brought_once(home, python, tmp_path):
    model = tmp_path / "models here" / "my model"
    model.mkdir(parents=True)
    (model / "model.onnx").write_text("weights", encoding="utf-8")
    folder, names = cells(tmp_path, a="ok")
    errand = Errand(parse_target("ssh:pi"), python, models=(("e" * 64, model),))
    for said in ([], []):
        clean_up(visit(errand, folder, names, said.append, lambda *_: None))
        told = said
    (there,) = home.rglob("my model/model.onnx")
    assert there.parents[1].name == f"models-{'e' * 16}"
    assert (folder / "out/result-a.json").read_text() == (
        f"ok ['--models', '../models-{'e' * 16}']"
    )
    assert not any("bringing" in line for line in told)


def test_an_old_adb_that_gives_no_exit_code_and_ends_lines_as_a_terminal(home, python, tmp_path):
    """Before shell_v2 (Android 7) everything is 0 and ends with a carriage return too."""
    folder, names = cells(tmp_path, a="ok", b="fails")
    errand = Errand(parse_target("adb:good-old"), python)
    assert visit(errand, folder, names, print, lambda *_: None).codes["b.json"] == 3
    with pytest.raises(DeviceError, match="has no Python"):
        visit(Errand(parse_target("adb:good-old"), "/no"), folder, names, print, id)


def test_no_word_of_ours_is_part_of_a_command_there(home, python, tmp_path):
    """The other side's shell gets `sh -s`; a path with a quote and a space runs as it is."""
    folder, names = cells(tmp_path, a="ok")
    visit(Errand(parse_target("ssh:pi"), python), folder, names, print, lambda *_: None)
    shells = [line for line in (tmp_path / "log").read_text().splitlines() if "-T" in line]
    assert set(shells) == {"-T -o BatchMode=yes -- pi sh -s"}


def test_ctrl_c_ends_the_measurement_there_and_brings_what_is_finished(home, python, tmp_path):
    folder, names = cells(tmp_path, a="fails", b="waits", c="ok")

    def say(line: str) -> None:
        if line == "null cell waits":
            os.kill(os.getpid(), signal.SIGINT)

    errand = Errand(parse_target("ssh:pi"), python)
    brought = visit(errand, folder, names, say, lambda *_: None)
    assert brought.is_interrupted
    assert brought.codes == {"a.json": 3, "b.json": 130}
    assert results(folder) == ["result-a.json"]
    again = visit(errand, folder, names, print, lambda *_: None)
    assert again.lost is None
    assert results(folder) == ["result-a.json", "result-b.json", "result-c.json"]


def test_a_lost_connection_ends_the_measurement_and_the_next_visit_goes_on(
    home, python, tmp_path, monkeypatch
):
    """What is killed is our ssh; its end of the other side's stdin is gone with it."""
    folder, names = cells(tmp_path, a="fails", b="waits")
    started = []
    start = wire.Wire._start
    monkeypatch.setattr(
        wire.Wire, "_start", lambda *args: started.append(start(*args)) or started[-1]
    )

    def say(line: str) -> None:
        if line == "null cell waits":  # the fake ssh is the other side itself: end its stdin
            threading.Thread(target=started[-1].stdin.close).start()

    errand = Errand(parse_target("ssh:pi"), python)
    brought = visit(errand, folder, names, say, lambda *_: None)
    assert brought.lost is not None
    assert "lost, after 1 of 2 cells" in brought.lost.problem
    assert results(folder) == ["result-a.json"]
    assert visit(errand, folder, names, print, lambda *_: None).lost is None
    assert results(folder) == ["result-a.json", "result-b.json"]


@pytest.mark.parametrize(
    ("on", "problem"),
    [
        ("adb:locked", "has not allowed this computer"),
        ("adb:asleep", "is offline"),
        ("adb:nobody", "adb knows no device nobody"),
    ],
)
def test_a_device_that_lets_nobody_in(home, python, tmp_path, on, problem):
    folder, names = cells(tmp_path, a="ok")
    with pytest.raises(DeviceError, match=problem):
        visit(Errand(parse_target(on), python), folder, names, print, lambda *_: None)


def test_a_python_that_is_not_there(home, tmp_path):
    folder, names = cells(tmp_path, a="ok")
    with pytest.raises(DeviceError, match=r"pi has no Python '/no such/python'"):
        visit(Errand(parse_target("ssh:pi"), "/no such/python"), folder, names, print, id)


def test_android_has_no_python_and_the_way_out_is_said(home, tmp_path, monkeypatch):
    monkeypatch.setattr(host, "NAMES", ("no-such-python3",))
    folder, names = cells(tmp_path, a="ok")
    with pytest.raises(DeviceError, match="good-1 has no Python") as refused:
        visit(Errand(parse_target("adb:good-1")), folder, names, print, id)
    assert "Termux" in refused.value.fix


def test_a_python_that_is_too_old(home, tmp_path):
    old = write_program(tmp_path / "old", "python3", "#!/bin/sh\necho 3.9\n")
    folder, names = cells(tmp_path, a="ok")
    with pytest.raises(DeviceError, match=r"Python of pi is 3\.9, and 3\.11 is the oldest"):
        visit(Errand(parse_target("ssh:pi"), str(old)), folder, names, print, id)


def test_a_program_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    folder, names = cells(tmp_path, a="ok")
    with pytest.raises(DeviceError, match="--on needs ssh, which is not installed"):
        visit(Errand(parse_target("ssh:pi")), folder, names, print, id)
