"""What another machine lacks, each in one sentence before anything is brought there."""

from dataclasses import replace

import pytest

from harness.core.errors import EXIT_DEVICE, DeviceError
from harness.fleet.remote import host
from harness.fleet.remote.host import Host, ensure_bench, open_wire
from harness.fleet.remote.target import parse_target
from harness.fleet.remote.wire import Wire
from tests.fleet.remote.pretend import pretend

GOOD = Host(
    version=(3, 12, 4),
    executable="/usr/bin/python3",
    is_android=False,
    free_bytes=2**34,
    installed="",
    has_venv=True,
    platforms=("manylinux_2_36_aarch64",),
    environment="env-1",
    is_ready=False,
)
BOARD = Wire(parse_target("ssh:board"), "python3", host.HOME_FOLDER)


def refused(monkeypatch, **lacks) -> DeviceError:
    monkeypatch.setattr(host, "_ask_host", lambda *_: replace(GOOD, **lacks))
    monkeypatch.setattr(Wire, "push", lambda *_: pytest.fail("something was brought"))
    with pytest.raises(DeviceError) as error:
        ensure_bench(BOARD, "work-1", print)
    assert error.value.exit_code == EXIT_DEVICE
    return error.value


def test_a_disk_without_room_is_refused_before_anything_is_brought(monkeypatch):
    found = refused(monkeypatch, free_bytes=50 * 2**20)
    assert "the disk of board has 50 MiB free" in found.problem


def test_a_python_without_venv(monkeypatch):
    assert "python3-venv" in refused(monkeypatch, has_venv=False).fix


def test_a_disk_that_fills_up_meanwhile(monkeypatch):
    monkeypatch.setattr(host, "_ask_host", lambda *_: GOOD)
    monkeypatch.setattr(Wire, "push", lambda *_: None)
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    monkeypatch.setattr(Wire, "ask", lambda *_, **__: [{"failed": "pip", "said": said}])
    with pytest.raises(DeviceError, match="the disk of board is full"):
        ensure_bench(BOARD, "work-1", print)


def test_wheels_are_downloaded_for_the_python_and_the_platforms_of_the_host(tmp_path):
    asked = []

    def run(words, **_):
        asked.append(words)
        return type("Done", (), {"returncode": 1, "stderr": "ERROR: nothing fits"})()

    with pytest.raises(DeviceError, match=r"Python 3\.12\.4 on manylinux_2_36_aarch64") as error:
        host._download(GOOD, ["onnxruntime==1.32.0"], tmp_path, run)
    assert "ERROR: nothing fits" in error.value.problem
    (words,) = asked
    place = words.index("--python-version")
    assert words[place + 1] == "3.12"
    assert "manylinux_2_36_aarch64" in words
    assert words[-1] == "onnxruntime==1.32.0"


def test_a_login_script_that_talks_is_passed_over(monkeypatch, tmp_path):
    """What ~/.bashrc prints stands between the answers, and is none."""
    home = pretend(monkeypatch, tmp_path)
    ssh = tmp_path / "bin" / "ssh"
    text = ssh.read_text(encoding="utf-8")
    ssh.write_text(text.replace('cd "', 'echo "Welcome! @bench {"; cd "', 1), encoding="utf-8")
    assert open_wire(parse_target("ssh:board"), "python3").python == "python3"
    assert home.exists()
