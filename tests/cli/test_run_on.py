"""`bench run --on`: what it refuses, what it lists, and the table of what came back."""

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_DEVICE, EXIT_OK, EXIT_USAGE
from tests.fleet.remote.pretend import null_python, pretend

SMALL = ("run", "--model", "bytelm", "--quant", "int4,fp32", "--gen", "8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--on", "ssh:-oProxyCommand=id"), "is no name of a host"),
        (("--on", "pi"), "is no machine"),
        (("--on", "ssh:pi", "--resume"), "--resume does not go with --on"),
        (("--on", "ssh:pi", "--machine", "a b"), "is no word"),
        (("--on", "ssh:pi", "--wait", "soon"), "--wait"),
        (("--machine", "a"), "--machine says nothing without --on"),
        (("--remote-python", "python3"), "--remote-python says nothing without --on"),
    ],
)
def test_refused_before_anything_begins(capsys, words, said):
    assert main([*SMALL, *words]) == EXIT_USAGE
    assert said in capsys.readouterr().err


def test_its_cells_are_listed_without_asking_the_machine(capsys):
    assert main([*SMALL, "--on", "ssh:nobody", "--dry-run"]) == EXIT_OK
    assert "2 cells, 2 rows" in capsys.readouterr().out


def test_the_table_of_what_came_back(capsys, monkeypatch, tmp_path):
    pretend(monkeypatch, tmp_path)
    python = str(null_python(tmp_path))
    words = ("--on", "ssh:board", "--remote-python", python, "--results", str(tmp_path / "out"))
    assert main([*SMALL, *words]) == EXIT_OK
    out, err = capsys.readouterr()
    assert "a board" in out
    assert "int4" in out
    assert "board" not in (next((tmp_path / "out").glob("run-*.json"))).name
    assert "results: " in err


def test_a_device_that_is_not_there(capsys, monkeypatch, tmp_path):
    pretend(monkeypatch, tmp_path)
    assert main([*SMALL, "--on", "adb:nobody"]) == EXIT_DEVICE
    assert "adb knows no device nobody" in capsys.readouterr().err
