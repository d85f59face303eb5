"""`bench calibrate`: the table of constants, its formats, and what it refuses."""

import csv
import io
import json

import pytest

from harness.builder.quantize.levels import LEVELS
from harness.cli.calibrate import thread_counts
from harness.cli.main import main
from harness.core.errors import EXIT_USAGE, UsageError
from harness.report.calibration_table import COLUMNS
from harness.results.calibration import Constants, RatePoint, StoredConstants, TimePoint


@pytest.fixture
def asked(monkeypatch):
    """The keys and levels asked for; no process is started."""
    calls = []

    def ensure(cache, key, levels, *, full, again, log):
        calls.append((key, levels, full, again))
        log("calibrating")
        constants = Constants(
            basis="measured here",
            bandwidth=(RatePoint(20e9, 2**20, 1, 19e9, 21e9, 3),),
            rates={"float-32": (RatePoint(50e9, 2**22, 16, 49e9, 51e9, 3),)},
            operator_s=1e-6,
            threads=key.threads,
            times={"operator call": TimePoint(1e-6, 0.5e-6, 2e-6, 3)},
        )
        return StoredConstants("f", "1.31.1", key.device, 1, full, constants)

    monkeypatch.setattr("harness.estimator.calibration.calibrate.ensure_constants", ensure)
    return calls


def test_every_constant_is_a_row_with_its_interval(asked, capsys, tmp_path):
    assert main(["calibrate", "--threads", "1", "--format", "csv", "--cache", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    header, *rows = csv.reader(io.StringIO(out))
    assert header == [column.header for column in COLUMNS]
    assert rows == [
        ["read bandwidth", "1", "1.0", "1", "20.00", "19.00", "21.00", "GB/s", "3"],
        ["float-32", "16", "4.0", "1", "50.00", "49.00", "51.00", "Gflop/s", "3"],
        ["operator call", "", "", "1", "1.00", "0.50", "2.00", "µs", "3"],
    ]
    assert err == "calibrating\n"


def test_quiet_leaves_out_what_goes_on(asked, capsys, tmp_path):
    assert main(["calibrate", "--threads", "1", "-q", "--cache", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


def test_json_is_the_stored_record(asked, capsys, tmp_path):
    main(["calibrate", "--threads", "1", "--full", "--format", "json", "--cache", str(tmp_path)])
    (record,) = json.loads(capsys.readouterr().out)
    assert record["complete"] is True
    assert record["constants"]["bandwidth"][0]["rate_per_s"] == 20e9


@pytest.mark.parametrize("style", ["table", "md", "jsonl"])
def test_other_formats_draw(asked, capsys, tmp_path, style):
    assert main(["calibrate", "--threads", "1", "--format", style, "--cache", str(tmp_path)]) == 0
    assert "float-32" in capsys.readouterr().out


def test_levels_and_switches_are_passed_on(asked, tmp_path):
    main(
        ["calibrate", "--quant", "fp32,int4", "--threads", "1", "--again", "--cache", str(tmp_path)]
    )
    ((key, levels, full, again),) = asked
    assert (key.device, key.threads, levels) == ("cpu", 1, ("fp32", "int4"))
    assert (full, again) == (False, True)


def test_sweep_covers_every_level(asked, tmp_path):
    main(["calibrate", "--quant", "sweep", "--threads", "1", "--cache", str(tmp_path)])
    ((_key, levels, _full, _again),) = asked
    assert levels == tuple(LEVELS)


def test_thread_counts_are_a_grid():
    """1,all,2 of 2 usable cores are two counts."""
    assert thread_counts("1,all,2", usable=2) == (1, 2)
    for text in ("0", "3", "x", "-1"):
        with pytest.raises(UsageError, match="usable"):
            thread_counts(text, usable=2)


@pytest.mark.parametrize("flags", [["--quant", "int5"], ["--device", "tpu"], ["--threads", "0"]])
def test_unknown_names_are_refused_before_a_process_starts(flags, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("harness.estimator.calibration.calibrate.measure_constants", pytest.fail)
    assert main(["calibrate", "--cache", str(tmp_path), *flags]) == EXIT_USAGE
    assert "try:" in capsys.readouterr().err
