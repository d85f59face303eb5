"""`bench devices` and `bench doctor` as a user runs them."""

import csv
import io
import json
import subprocess
import sys

import pytest

from harness.cli import devices, doctor
from harness.cli.main import main
from harness.core.errors import EXIT_DEVICE, EXIT_OK, EXIT_USAGE
from harness.core.findings import ERROR, OK, Finding
from harness.devices.probe import Probe
from harness.devices.row import KINDS
from harness.devices.table import ROWS, find_row
from tests.replies import hardware


def test_without_probing_every_row_is_listed_and_nothing_heavy_is_loaded():
    script = (
        "import sys\nfrom harness.cli.main import main\n"
        "code = main(['devices', '--no-probe', '--format', 'jsonl'])\n"
        "heavy = [n for n in ('numpy', 'onnxruntime', 'onnx', 'rich') if n in sys.modules]\n"
        "print(heavy, code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    *rows, last = done.stdout.splitlines()
    assert last == "[] 0"
    assert [json.loads(row)["device"] for row in rows] == [row.key for row in ROWS]
    assert {json.loads(row)["class"] for row in rows} == set(KINDS)


def test_the_cpu_works_here(capsys):
    assert main(["devices", "--class", "cpu", "--format", "json"]) == EXIT_OK
    cpu = json.loads(capsys.readouterr().out)[0]
    assert (cpu["state"], cpu["verdict"], cpu["simulated"]) == ("works", "FULL", False)
    assert cpu["version"]


@pytest.fixture
def probed(monkeypatch):
    """Probes that answer from here: one of every state."""
    answers = {
        "webgpu": Probe(
            find_row("webgpu"),
            "simulated",
            hardware=hardware(
                version="0.4.0",
                vendor="Mesa",
                vendor_id="0x1",
                device_id="0x2",
                memory="WebGPU_Buf",
                memory_bytes=2**34,
            ),
            verdict="FULL",
            devices=2,
        ),
        "qnn": Probe(find_row("qnn"), "no hardware", "qnn: no npu", "install its driver"),
        "openvino-npu": Probe(
            find_row("openvino-npu"), "not installed", "no wheel", "pip install 'this one'"
        ),
    }
    monkeypatch.setattr(
        devices, "probe_row", lambda row, _: answers.get(row.key, Probe(row, "other system"))
    )


def test_a_table_says_what_works_and_the_exact_way_out_of_the_rest(probed, capsys):
    assert main(["devices", "--wide"]) == EXIT_OK
    text = capsys.readouterr().out
    for words in (
        "qnn: no npu; try: install its driver",
        "openvino-npu: pip install 'this one'",
        "webgpu: 2 devices; webgpu:1 is the second",
        "its speed means nothing",
        f"{len(ROWS) - 3} rows of other operating systems: --all",
    ):
        assert words in text
    assert "coreml" not in text
    assert "WebGPU_Buf 16.0 GiB" in text


def test_programs_get_the_memory_of_every_row_in_bytes(probed, capsys):
    assert main(["devices", "--format", "json"]) == EXIT_OK
    rows = {row["device"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["webgpu"]["memory"], rows["webgpu"]["memory_bytes"]) == ("WebGPU_Buf", 2**34)
    assert rows["qnn"]["memory_bytes"] is None


@pytest.mark.parametrize("style", ["md", "csv"])
def test_other_formats_hold_the_same_rows(probed, capsys, style):
    assert main(["devices", "--format", style, "--all"]) == EXIT_OK
    text = capsys.readouterr().out
    assert all(row.key in text for row in ROWS)
    if style == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert next(row for row in rows if row["device"] == "webgpu")["id"] == "0x1 0x2"


def test_the_doctor_ends_with_4_where_numbers_would_be_wrong(monkeypatch, capsys):
    bad = Finding("wheels", ERROR, "two of them", "remove one")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [bad],))
    assert main(["doctor", "--format", "json"]) == EXIT_DEVICE
    assert json.loads(capsys.readouterr().out)[0]["fix"] == "remove one"


def test_the_doctor_is_content_with_a_sound_installation(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", (lambda: [Finding("wheels", OK, "one of them")],))
    assert main(["doctor"]) == EXIT_OK
    assert "one of them" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--device", "directml"], "exists on win32 only", EXIT_DEVICE),
        (["--device", "webgpuu"], "did you mean webgpu?", EXIT_USAGE),
        (["--device", "gpu:one"], "is no number", EXIT_USAGE),
        (["--ep", "nothing"], "no device is called 'nothing'", EXIT_USAGE),
        (["--device", "cpu", "--ep", "webgpu"], "does not serve --device cpu", EXIT_USAGE),
        (["--ep-option", "a=b"], "know no such option", EXIT_USAGE),
        (["--ep-option", "a"], "is no NAME=VALUE", EXIT_USAGE),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="names a row that exists there")
def test_a_device_that_cannot_be_used_is_one_message(arguments, words, code, capsys):
    assert main([*arguments, "--model", "bytelm", "--dry-run"]) == code
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


@pytest.mark.device("webgpu")
@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("webgpu:1", ("webgpu has 1 device here; there is no webgpu:1", "try: --device webgpu")),
        (
            "gpu:1",
            ("no gpu:1 works on this machine", "webgpu (fewer devices)", "try: --device gpu"),
        ),
    ],
)
def test_a_second_device_that_is_not_there_ends_a_run_before_it_begins(
    word, words, capsys, tmp_path
):
    """Of a row, or of a class whose first device does work: nothing is built, nothing written."""
    results, cache = tmp_path / "results", tmp_path / "cache"
    arguments = ["--device", word, "--allow-simulated", "--model", "bytelm", "--quant", "fp32"]
    places = ["--results", str(results), "--cache", str(cache)]
    assert main([*arguments, *places]) == EXIT_DEVICE
    out, err = capsys.readouterr()
    assert [part for part in words if part not in err] == []
    assert (out, results.exists(), cache.exists()) == ("", False, False)
