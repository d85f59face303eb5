"""`bench estimate --on list`, classes as words of `--on`, and names that are none."""

import csv
import io
import json

import pytest

from harness.cli.main import main
from harness.estimator.published.table import engine_table
from harness.models.catalog.devices import catalog_devices, device_classes, device_keys
from harness.models.catalog.families import ENGINE_KINDS
from harness.report.grid import WIDTH


def run(capsys, *arguments):
    """Exit code, stdout, stderr."""
    code = main(["estimate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_people_see_a_table_per_class(capsys):
    code, out, _ = run(capsys, "--on", "list")
    assert code == 0
    assert max(map(len, out.splitlines())) <= WIDTH
    for row in device_classes():
        members = [one for one in catalog_devices() if one.device_class == row.name]
        assert f"{row.name}: {len(members)} devices" in out
    (line,) = [line for line in out.splitlines() if line.startswith("rtx-4060 ")]
    assert line.split() == ["rtx-4060", "8", "272", "60.5", "115", "all"]
    assert "all columns" not in out


def test_every_device_stands_once_in_the_order_of_its_class(capsys):
    _, out, _ = run(capsys, "--on", "list", "--format", "json")
    rows = json.loads(out)
    assert [row["device"] for row in rows] == list(device_keys())
    board = next(row for row in rows if row["device"] == "rpi5")
    assert board["cpu_family"] == "arm-cpu"
    assert board["npu_name"] is None
    assert board["recalled"] == ["power"]
    assert "pi5" in board["aliases"]
    assert board["published_rows"] > 0
    assert sum(row["published_rows"] for row in rows) == sum(
        row.rows for row in engine_table().devices
    )


def test_csv_has_the_same_values(capsys):
    _, out, _ = run(capsys, "--on", "list", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == len(device_keys())
    assert {row["device_class"] for row in rows} == {row.name for row in device_classes()}


@pytest.mark.parametrize("kind", ENGINE_KINDS)
def test_engine_leaves_those_that_have_one(capsys, kind):
    _, out, _ = run(capsys, "--on", "list", "--engine", kind, "--format", "json")
    rows = json.loads(out)
    assert 0 < len(rows) < len(device_keys())
    assert all(row[f"{kind}_family"] for row in rows)


def test_markdown_has_headings_and_names(capsys):
    _, out, _ = run(capsys, "--on", "list", "--format", "md")
    assert "### phone: " in out
    assert "| LPDDR4X-4267, 32 bit " in out
    assert "| source | rows |" in out


def test_a_class_is_every_device_of_it(capsys):
    _, out, _ = run(capsys, "llama-3.2-1b", "--on", "sbc,rpi5,rtx-4060", "--format", "jsonl")
    boards = [one.key for one in catalog_devices() if one.device_class == "sbc"]
    assert [json.loads(line)["device"] for line in out.splitlines()] == [*boards, "rtx-4060"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["llama-3.2-1b", "--on", "list"], "takes no model"),
        (["--params", "7B", "--on", "list"], "takes no model"),
        (["llama-3.2-1b", "--on", "list,rpi5"], "--on list stands alone"),
        (["llama-3.2-1b", "--on", "all,rpi5"], "--on all stands alone"),
        (["llama-3.2-1b", "--on", "rtx-3066"], "did you mean rtx-3060"),
        (["llama-3.2-1b", "--on", "fone"], "--on list"),
        (["llama-3.2-1b"], "--on list"),
    ],
)
def test_what_is_no_device_is_told(capsys, arguments, named):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert named in err


def test_several_models_on_a_class_keep_their_rates(capsys):
    """78 columns have no room for everything: counts leave before what was asked for."""
    _, out, _ = run(capsys, "llama-3.2-1b,llama-3-8b", "--on", "sbc")
    header = next(line for line in out.splitlines() if line.startswith("model"))
    assert "decode" in header
    assert "parameters" not in header
    assert max(map(len, out.splitlines())) <= WIDTH
