"""Environment variables: one table, one place that reads them, one page."""

import ast
from pathlib import Path

import pytest

import harness
from harness.core.environment import (
    CACHE,
    OTHERS,
    OURS,
    TELEMETRY,
    all_variables,
    child_variables,
    chosen_cache,
    keep_quiet,
    set_variable,
    telemetry_as,
    telemetry_is_on,
)
from harness.devices.table import ROWS
from harness.store.cache import default_cache

PACKAGE = Path(harness.__file__).parent


def test_only_one_file_touches_the_environment():
    """`os.environ` stands nowhere else but in the script for machines without bench."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv"):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {"core/environment.py", "fleet/remote/host_side.py"}


def test_what_emulated_devices_need_is_in_the_table():
    names = {
        name for row in ROWS if row.simulation is not None for name, _ in row.simulation.environment
    }
    assert names <= {variable.name for variable in OURS}


def test_no_variable_is_named_twice():
    names = [variable.name for variable in (*OURS, *OTHERS)]
    assert len(set(names)) == len(names)


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE.name, str(tmp_path))
    assert chosen_cache() == default_cache() == tmp_path
    monkeypatch.setenv(CACHE.name, "")
    assert chosen_cache() is None
    assert default_cache().name == "ondevice-bench"


def test_a_variable_is_set_and_taken_away(monkeypatch):
    monkeypatch.setenv("VK_ICD_FILENAMES", "x")
    set_variable("VK_ICD_FILENAMES", "y")
    assert all_variables()["VK_ICD_FILENAMES"] == "y"
    set_variable("VK_ICD_FILENAMES", None)
    set_variable("VK_ICD_FILENAMES", None)
    assert "VK_ICD_FILENAMES" not in all_variables()
    with pytest.raises(KeyError):
        set_variable("OTHER", "1")


def test_telemetry_is_off_unless_somebody_set_it(monkeypatch):
    monkeypatch.delenv(TELEMETRY.name, raising=False)
    assert child_variables()[TELEMETRY.name] == "1"
    assert not telemetry_is_on()
    keep_quiet()
    assert all_variables()[TELEMETRY.name] == "1"


@pytest.mark.parametrize(
    ("value", "on"),
    [
        ("1", False),
        ("true", False),
        ("TRUE", False),
        ("yes", False),
        (" on", False),
        ("2", True),
        ("0", True),
        ("", True),
    ],
)
def test_a_choice_about_telemetry_stays(monkeypatch, value, on):
    """The words are those that onnxruntime 1.32.0 takes: it was tried with each."""
    monkeypatch.setenv(TELEMETRY.name, value)
    keep_quiet()
    assert child_variables()[TELEMETRY.name] == value
    assert telemetry_is_on() == on


@pytest.mark.parametrize(("word", "on"), [("off", False), ("default", True)])
def test_a_run_may_leave_telemetry_as_it_is(monkeypatch, word, on):
    """For its own time, and where nobody has set the variable."""
    monkeypatch.delenv(TELEMETRY.name, raising=False)
    with telemetry_as(word):
        assert telemetry_is_on() == on
    assert not telemetry_is_on()
    monkeypatch.setenv(TELEMETRY.name, "1")
    with telemetry_as(word):
        assert not telemetry_is_on()
