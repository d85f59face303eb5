"""Visits by OpenSSH itself, to its server on loopback."""

import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.core.errors import DeviceError
from harness.fleet.remote import host
from harness.fleet.remote.host import ensure_bench, open_wire
from harness.fleet.remote.target import parse_target
from harness.fleet.remote.visit import Errand, clean_up, visit, work_folder
from harness.results.document import read_document
from harness.results.enums import Status
from tests.fleet.remote.pretend import ROOT, null_python, write_program
from tests.fleet.remote.sshd import needs_sshd, serving
from tests.fleet.remote.test_visit import cells, results

pytestmark = [pytest.mark.slow, needs_sshd]
BOARD = parse_target("ssh:board")
HERE = """#!/bin/sh
PYTHONPATH="{root}" exec "{python}" "$@"
"""


@pytest.fixture
def board(tmp_path, monkeypatch):
    with serving(tmp_path, monkeypatch) as server:
        yield server


def test_cells_go_there_and_results_come_back(board, tmp_path):
    folder, names = cells(tmp_path, a="ok", b="fails")
    said = []
    errand = Errand(BOARD, str(null_python(tmp_path)))
    brought = visit(errand, folder, names, said.append, lambda *_: None)
    assert brought.codes == {"a.json": 0, "b.json": 3}
    assert results(folder) == ["result-a.json", "result-b.json"]
    assert "null cell fails" in said
    clean_up(brought)
    assert list(board.home.rglob(work_folder(names))) == []


def test_an_unknown_host_key_is_ours_to_refuse(board, tmp_path):
    board.forget_host()
    folder, names = cells(tmp_path, a="ok")
    with pytest.raises(DeviceError, match="ssh does not know the host key of board") as refused:
        visit(Errand(BOARD), folder, names, print, id)
    assert refused.value.fix.endswith("compare the fingerprint: ssh board")


def test_another_host_key_than_the_known_one(board, tmp_path):
    known = board.folder / "known_hosts"
    other = (board.folder / "user.pub").read_text(encoding="utf-8").split()[1]
    place, kind, _ = known.read_text(encoding="utf-8").split()
    known.write_text(f"{place} {kind} {other}\n", encoding="utf-8")
    folder, names = cells(tmp_path, a="ok")
    with pytest.raises(DeviceError, match="another host key"):
        visit(Errand(BOARD), folder, names, print, id)


def test_a_key_that_the_host_does_not_take(board, tmp_path):
    (board.folder / "user.pub").write_text("", encoding="utf-8")
    folder, names = cells(tmp_path, a="ok")
    with pytest.raises(DeviceError, match="lets nobody in without a password"):
        visit(Errand(BOARD), folder, names, print, id)


def test_a_host_that_does_not_answer(board, tmp_path):
    board.child.terminate()
    board.child.wait()
    folder, names = cells(tmp_path, a="ok")
    with pytest.raises(DeviceError, match="board does not answer"):
        visit(Errand(BOARD), folder, names, print, id)


def test_ctrl_c_ends_the_measurement_there(board, tmp_path):
    folder, names = cells(tmp_path, a="ok", b="waits")

    def say(line: str) -> None:
        if line == "null cell waits":
            os.kill(os.getpid(), signal.SIGINT)

    errand = Errand(BOARD, str(null_python(tmp_path)))
    brought = visit(errand, folder, names, say, lambda *_: None)
    assert brought.is_interrupted
    assert brought.codes == {"a.json": 0, "b.json": 130}
    assert results(folder) == ["result-a.json"]


def test_a_connection_that_is_lost_leaves_what_is_finished_there(board, tmp_path):
    folder, names = cells(tmp_path, a="ok", b="waits")

    def say(line: str) -> None:
        if line == "null cell waits":
            board.hang_up()

    errand = Errand(BOARD, str(null_python(tmp_path)))
    brought = visit(errand, folder, names, say, lambda *_: None)
    assert brought.lost is not None
    assert "the connection to board was lost, after 1 of 2 cells" in brought.lost.problem
    again = visit(errand, folder, names, print, lambda *_: None)
    assert again.lost is None
    assert results(folder) == ["result-a.json", "result-b.json"]


def test_a_run_on_it_measures_there_and_draws_here(board, tmp_path, capfd):
    """The whole way, with a real cell: the interpreter there has bench."""
    words = "run --model bytelm --quant int4 --prompt 8 --gen 2 --rounds 1 --no-calibrate -q"
    python = write_program(tmp_path, "python3", HERE, root=ROOT, python=sys.executable)
    where = ("--remote-python", str(python), "--results", str(tmp_path / "out"))
    assert main([*words.split(), "--on", "ssh:board", *where]) == 0
    assert "bytelm" in capfd.readouterr().out
    (file,) = (tmp_path / "out").glob("run-*.json")
    document = read_document(file)
    assert [record.status for record in document.records] == [Status.OK] * 2
    assert "board" not in file.read_text(encoding="utf-8")
    assert list((board.home / ".cache").rglob("bytelm-int4-*"))


def test_the_loop_of_the_docs(tmp_path, monkeypatch):
    """Word for word as docs/fleet.md has it."""
    text = (ROOT / "docs/fleet.md").read_text(encoding="utf-8")
    (loop,) = re.findall(
        r"<!-- tested: tests/fleet/remote/\S+ -->\n```bash\n(.*?)```", text, re.DOTALL
    )
    bench = f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m harness "$@"\n'
    program = write_program(tmp_path / "programs", "bench", bench)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    with serving(tmp_path, monkeypatch, f"PATH={program.parent}:/usr/bin:/bin"):
        (tmp_path / "here").mkdir()
        done = subprocess.run(
            ["sh", "-e", "-c", loop],
            cwd=tmp_path / "here", env=dict(os.environ), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    merged = read_document(tmp_path / "here/fleet.json")
    assert merged.records
    assert {record.status for record in merged.records} == {Status.OK}


def test_a_host_without_bench_and_index_gets_an_environment_once(tmp_path, monkeypatch):
    """Its pip finds nothing, so wheels go there; here one of them stands for what we need."""
    monkeypatch.setattr(host, "_download", _pretend_download)
    said: list[str] = []
    with serving(tmp_path, monkeypatch, "PIP_NO_INDEX=1 PIP_NO_DEPS=1") as server:
        wire = open_wire(BOARD, _bare_python())
        python = ensure_bench(wire, "work-1", said.append)
        assert python.startswith(str(server.home / ".cache/ondevice-bench-fleet/env-"))
        assert ["environment" in line for line in said] == [True, False]
        assert "wheels are downloaded here" in said[1]
        assert ensure_bench(wire, "work-1", said.append) == python
        assert len(said) == 2
    code = "import harness, onnxruntime; print(harness.__file__)"
    words = [python, "-P", "-c", code]
    found = subprocess.run(words, capture_output=True, text=True, check=True, env={})
    assert found.stdout.startswith(python.removesuffix("/bin/python"))


def _pretend_download(_host, requirements: list[str], folder: Path) -> None:
    """Wheels of that name and version that hold an empty package."""
    (folder / "links").mkdir()
    for line in requirements:
        name, version = line.split("==")
        place = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / "links" / f"{name}-{version}-py3-none-any.whl", "w") as one:
            one.writestr(f"{name}/__init__.py", "")
            one.writestr(f"{place}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            said = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            one.writestr(f"{place}/METADATA", said)
            one.writestr(f"{place}/RECORD", "")


def _bare_python() -> str:
    """The interpreter that this environment was made of: it has no package of ours."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return str(Path(sys.base_prefix) / "bin" / name)
