"""Rows of providers: unique, found by key, extended by other packages."""

import os
import subprocess
import sys
from importlib import metadata

import pytest

from harness.core.errors import EXIT_DEVICE, EXIT_OK, EXIT_USAGE, UsageError
from harness.devices import table
from harness.devices.row import KINDS, ProviderRow, Registration
from harness.devices.table import ROWS, all_rows, find_row

OTHER = ProviderRow("other", "npu", "OtherExecutionProvider", "other-ep", "pip install other-ep")


class Point:
    """An entry point of another package, as importlib.metadata gives it."""

    value = "other.rows:ROWS"
    dist = None

    def __init__(self, value):
        self.loaded = value

    def load(self):
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


@pytest.fixture
def brings(monkeypatch):
    """Let another package bring rows."""

    def bring(value):
        monkeypatch.setattr(metadata, "entry_points", lambda group: [Point(value)])

    return bring


def test_every_key_finds_its_row_and_is_no_class_of_another():
    for row in ROWS:
        assert find_row(row.key) is row
        assert row.key not in KINDS or row.kind == row.key


def test_keys_are_unique_and_every_class_is_served():
    assert len({row.key for row in ROWS}) == len(ROWS)
    assert {row.kind for row in ROWS} == set(KINDS)


def test_a_row_that_is_no_built_in_names_its_module():
    assert [row.key for row in ROWS if bool(row.module) == (row.registration == "built in")] == []


def test_defaults_of_an_own_option_are_allowed_values():
    """What a row sets by itself, a user could have set, where the option is the user's at all."""
    for row in ROWS:
        options = {option.name: option.values for option in row.options}
        for name, value in row.defaults:
            assert value in options.get(name, (value,)) or not options[name]


@pytest.mark.parametrize(
    ("name", "fix"), [("cpuu", "did you mean cpu?"), ("webgpuu", "did you mean webgpu?")]
)
def test_an_unknown_name_is_a_usage_error_with_the_nearest(name, fix):
    with pytest.raises(UsageError) as caught:
        find_row(name)
    assert caught.value.exit_code == EXIT_USAGE
    assert caught.value.fix == fix


def test_a_name_like_none_gets_the_whole_list():
    with pytest.raises(UsageError) as caught:
        find_row("§§§§")
    assert all(word in caught.value.fix for word in ("npu", "auto", "qnn"))


@pytest.mark.parametrize("value", [OTHER, [OTHER], lambda: (OTHER,)])
def test_another_package_adds_rows(brings, value):
    brings(value)
    assert find_row("other") is OTHER
    assert all_rows()[-1] is OTHER


@pytest.mark.parametrize("value", [ImportError("no such module"), ["a row"], 3])
def test_an_entry_point_that_gives_no_rows_is_named(brings, value):
    brings(value)
    with pytest.raises(UsageError, match=r"other\.rows:ROWS"):
        all_rows()
    assert find_row("cpu").key == "cpu"  # ours are found without it


def test_a_second_row_of_one_key_is_refused(brings):
    brings(ROWS[0])
    with pytest.raises(UsageError, match="second row 'cpu'"):
        all_rows()


def test_a_row_of_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="tpu"):
        ProviderRow("x", "tpu", "X", "x", "pip install x")


def test_the_rows_of_windows_ml_come_from_its_catalog():
    rows = [row for row in ROWS if row.key.startswith("winml-")]
    assert {row.registration for row in rows} == {Registration.CATALOG}
    assert {row.systems for row in rows} == {("win32",)}


def test_the_table_needs_no_runtime():
    assert table.ROWS
    program = (
        "import sys, harness.devices.choose, harness.cli.devices; "
        "sys.exit('onnxruntime' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.fixture
def installed(tmp_path):
    """Another package with an entry point, on the path of children; its import leaves a file."""
    (tmp_path / "bringer.py").write_text(
        "from pathlib import Path\n"
        "from harness.devices.row import ProviderRow\n"
        "Path(__file__).with_name('imported').touch()\n"
        "ROW = ProviderRow('other', 'npu', 'OtherExecutionProvider', 'other-ep', 'get other-ep')\n"
    )
    facts = tmp_path / "bringer-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: bringer\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[bench.providers]\nother = bringer:ROW\n")

    def bench(*words):
        done = subprocess.run(
            [sys.executable, "-m", "harness", *words],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        return done, (tmp_path / "imported").exists()

    return bench


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("models",),
        ("estimate", "smollm2-135m", "--on", "raspberry-pi-5"),
        ("explain", "trust"),
    ],
    ids=lambda words: words[0],
)
def test_rows_of_other_packages_are_not_loaded_where_no_device_is_looked_for(installed, words):
    done, loaded = installed(*words)
    assert (done.returncode, loaded) == (EXIT_OK, False), done.stderr


def test_rows_of_other_packages_are_listed(installed):
    done, loaded = installed("devices", "--no-probe", "--format", "jsonl")
    assert (done.returncode, loaded) == (EXIT_OK, True)
    assert '"device":"other"' in done.stdout.replace(" ", "")


def test_rows_of_other_packages_can_be_asked_for(installed):
    done, _ = installed("--device", "other", "--model", "bytelm", "--dry-run")
    assert done.returncode == EXIT_DEVICE
    assert "other: other-ep is not installed\n  try: get other-ep" in done.stderr
