"""`bench validate-estimates`: formats, what is kept, what is refused, and a run of its own."""

import csv
import io
import json
import signal

import msgspec
import pytest

from harness.cli.validate_estimates import command
from harness.core.errors import HarnessError, StorageError, UsageError
from harness.estimator.calibration import bandwidth
from harness.report.validate_table import shipped_plan_name
from harness.results.document import with_open_parts, write_document
from harness.results.schema import METHOD_VERSION, Cell, Document, Metric, Record
from harness.runner.loop import rounds
from harness.runner.loop.run import Outcome
from harness.runner.plan import make_plan
from harness.runner.settings import find_plan, load_settings, read_plan

PLAN = (
    "model = [{model!r}]\nquant = ['int4']\nprompt = [8]\ngen = [4]\nthreads = ['1']\nrounds = 2\n"
    "min_passes = 2\ncalibrate = false\nwarm_seconds = 0.05\nsample_seconds = 0.01\n"
)
ENVIRONMENT = {"cpu_model": "AMD EPYC", "packages": {"onnxruntime": "1.31.1"}}


def decode(level="int4", measured=100.0, status="ok", **estimated):
    """A decode record with estimates of its rate and an exact one of its weights."""
    return Record(
        cell=Cell(
            model="tiny|model",
            parameters=1000,
            level=level,
            device="cpu",
            provider="CPUExecutionProvider",
            runtime="ort",
            workload="tg16 @ d0",
            prompt=0,
            gen=16,
            depth=0,
            batch=1,
            threads=2,
            weights="seeded",
        ),
        status=status,
        reason=None if status == "ok" else "it died",
        metrics={
            "decode_tok_s": Metric(value=measured, unit="tok/s", processes=3),
            "weights_bytes": Metric(value=512.0, unit="bytes", processes=0),
        },
        estimates={"decode_tok_s": estimated, "weights_bytes": {"structure": 512.0}},
    )


def results(*records, run_id="run-1", **fields):
    """A document of these records."""
    head = {"created_utc": "2026-11-22T10:15:00+00:00", "environment": ENVIRONMENT, "plan": {}}
    return Document(run_id=run_id, records=records, **with_open_parts({**head, **fields}))


@pytest.fixture
def keep(tmp_path):
    """Write a document and return its path as a word of the command line."""

    def write(document):
        path = tmp_path / f"{document.run_id}.json"
        write_document(document, path)
        return str(path)

    return write


@pytest.fixture
def first(keep):
    """Two levels, the second one 10 % slower than calibrated; one cell died."""
    return keep(
        results(
            decode("int8", params=200.0, calibrated=100.0),
            decode("int4", params=200.0, calibrated=110.0),
            decode("fp32", status="crashed"),
        )
    )


def bench(*arguments):
    """Run the command; errors come through."""
    return command.main(list(arguments), prog_name="bench", standalone_mode=False)


def test_csv_holds_every_row_in_percent(first, capsys):
    """ln(100/200) is -69.3 %: all of params; ln(100/110) -9.5 %: half of calibrated."""
    assert bench(first, "--format", "csv") == 0
    out, err = capsys.readouterr()
    header, *rows = csv.reader(io.StringIO(out))
    assert header == [
        *("metric", "threads", "estimator", "n", "median %", "p90 %", "worst %"),
        *("worst cell", "bias ×"),
    ]
    int8, int4 = "tiny|model int8 tg16 @ d0", "tiny|model int4 tg16 @ d0"
    assert rows == [
        ["decode_tok_s", "all", "params", "2", "69.3", "69.3", "69.3", int8, "0.500"],
        ["decode_tok_s", "all", "calibrated", "2", "4.8", "9.5", "9.5", int4, "0.953"],
        ["weights_bytes", "all", "structure", "2", "0.0", "0.0", "0.0", "exact", "1.000"],
    ]
    assert "run-1: left out 1 of 3 cells: 1 crashed\n" in err


def test_the_table_says_what_it_stands_on_and_what_it_leaves_out(first, capsys):
    bench(first)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "Errors of the estimates: run-1 · CPU AMD EPYC · onnxruntime 1.31.1"
    assert "run-1: left out 1 of 3 cells: 1 crashed" in lines
    assert "calibrated has no value of weights_bytes in 2 of 2 cells" in " ".join(lines)
    assert not any(line.startswith("remeasure") for line in lines)
    assert err == ""


def test_markdown_is_a_table_that_a_name_cannot_break(first, capsys):
    """The bar of `tiny|model` is escaped: every row has the same number of bars."""
    bench(first, "--format", "md")
    out = capsys.readouterr().out
    rows = [line.replace("\\|", "") for line in out.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert len({row.count("|") for row in rows}) == 1
    assert "- run-1: left out 1 of 3 cells: 1 crashed" in out


def test_json_is_what_is_kept(first, capsys, tmp_path):
    kept = tmp_path / "errors.json"
    bench(first, "--format", "json", "--out", str(kept))
    out, err = capsys.readouterr()
    table = json.loads(out)
    assert table == json.loads(kept.read_text())
    assert (table["schema"], table["schema_version"]) == ("bench.estimate-errors", 1)
    assert table["method_version"] == METHOD_VERSION
    assert table["documents"] == [
        {
            "run_id": "run-1",
            "created_utc": "2026-11-22T10:15:00+00:00",
            "role": "measured",
            "plan": None,
            "cpu_model": "AMD EPYC",
            "runtime": "onnxruntime 1.31.1",
            "threads": [2],
        }
    ]
    row = table["rows"][1]
    assert row["worst_ln"] == pytest.approx(0.0953, abs=1e-4)
    assert (row["estimator"], row["cells"], row["group"]) == ("calibrated", 2, None)
    assert row["p90_is_indicative"] is True
    assert "run-1: left out 1 of 3 cells: 1 crashed" in table["notes"]
    assert str(kept) in err


def test_json_lines_are_one_row_each(first, capsys):
    bench(first, "--format", "jsonl")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["estimator"] for line in lines] == ["params", "calibrated", "structure"]


def test_groups_take_the_place_of_the_estimators(first, capsys):
    bench(first, "--by", "level", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["level"], row["worst %"]) for row in rows] == [("int8", "0.0"), ("int4", "9.5")]


def test_json_of_groups_holds_the_whole_table_too(first, capsys):
    bench(first, "--by", "level", "--format", "json")
    table = json.loads(capsys.readouterr().out)
    assert table["by"] == "level"
    assert [row["group"] for row in table["groups"]] == ["int8", "int4"]
    assert len(table["rows"]) == 3


def test_a_further_run_is_a_row_of_its_own(first, keep, capsys):
    """int4 alone again, at 50 instead of 100 tok/s: ln 2; the int8 cell is not in it."""
    again = keep(results(decode("int4", measured=50.0), run_id="run-2"))
    bench(first, "--remeasure", again, "--wide")
    out = capsys.readouterr().out
    assert "Errors of the estimates: run-1 · remeasured: run-2 · CPU AMD EPYC" in out
    (row,) = [line.split() for line in out.splitlines() if line.split()[2:3] == ["remeasure"]][:1]
    assert row[:5] == ["decode_tok_s", "all", "remeasure", "1", "69.3"]
    assert (
        "cells that run-2 remeasures: 1; only in it: 0; only in what it is compared with: 1" in out
    )
    assert "remeasure: the first run, taken for an estimate of the further one" in out


def test_what_cannot_be_judged_is_refused(first, keep, tmp_path):
    empty = keep(results(decode(), run_id="run-empty"))
    other = keep(results(decode(), run_id="run-other", method_version=METHOD_VERSION + 1))
    for arguments, error, words in (
        ([keep(results(run_id="run-none"))], UsageError, "no cell holds"),
        ([first, "--remeasure", other], UsageError, "method"),
        ([first, first], UsageError, "2 times"),
        ([first, "--config", "validate"], UsageError, "--config"),
        ([first, "--out", first], UsageError, "one of the results"),
        ([first, "--out", str(tmp_path / "no" / "file.json")], StorageError, "folder"),
        ([str(tmp_path / "nonesuch.json")], StorageError, "nonesuch"),
        ([empty, "--by", "model"], UsageError, "calibrated"),
    ):
        with pytest.raises(error, match=words):
            bench(*arguments)


def test_a_refused_study_keeps_no_file(keep, tmp_path):
    kept = tmp_path / "errors.json"
    with pytest.raises(UsageError):
        bench(keep(results(run_id="run-none")), "--out", str(kept))
    assert not kept.exists()


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Stand for the run: returns `outcome` and keeps what was asked for."""
    asked = []

    def measure(document, code):
        def fake(plan, folder, cache):
            asked.append((plan, folder, cache))
            return Outcome(document, tmp_path / "run.json", code)

        monkeypatch.setattr("harness.cli.validate_estimates.measure_plan", fake)
        return asked

    return measure


def test_without_results_the_plan_is_measured(measured, capsys, tmp_path):
    plan = tmp_path / "mine.toml"
    plan.write_text(PLAN.format(model="smollm2-135m"))
    asked = measured(results(decode(params=200.0)), 3)
    flags = ["--config", str(plan), "--results", str(tmp_path / "kept"), "--format", "csv"]
    assert bench(*flags) == 3  # a failed cell of the run
    ((chosen, folder, cache),) = asked
    assert [workload.name for workload in chosen.groups[0].workloads] == ["pp8 @ d0", "tg4 @ d0"]
    assert (folder, cache) == (tmp_path / "kept", None)
    assert "params,1,69.3" in capsys.readouterr().out


def test_a_run_that_gave_nothing_ends_with_its_own_code(measured, capsys, tmp_path):
    """Interrupted before the first cell: 130, not the code of a bad flag."""
    plan = tmp_path / "mine.toml"
    plan.write_text(PLAN.format(model="smollm2-135m"))
    measured(results(decode(status="skipped")), 130)
    assert bench("--config", str(plan)) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert "1 skipped\n  try: " in err


def test_another_method_is_refused_before_the_run(measured, keep, tmp_path):
    plan = tmp_path / "mine.toml"
    plan.write_text(PLAN.format(model="smollm2-135m"))
    asked = measured(results(decode(params=1.0)), 0)
    old = keep(results(decode(), run_id="run-old", method_version=METHOD_VERSION + 1))
    with pytest.raises(HarnessError, match="method"):
        bench("--config", str(plan), "--remeasure", old)
    assert asked == []


def test_a_tiny_model_is_measured_and_judged(
    tiny_folder, shared_cache, tmp_path, monkeypatch, capsys
):
    """A real run: the file that it names, read again, gives the same rows."""
    monkeypatch.setattr(bandwidth, "VECTOR_BYTES", 2**20)
    monkeypatch.setattr(rounds, "BANDWIDTH_SECONDS", 0.01)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its handlers
    plan = tmp_path / "tiny.toml"
    plan.write_text(PLAN.format(model=str(tiny_folder)))
    folder = tmp_path / "results"
    flags = ["--config", str(plan), "--results", str(folder), "--cache", str(shared_cache)]
    assert bench(*flags, "--format", "json") == 0
    out, err = capsys.readouterr()
    (path,) = folder.glob("run-*.json")
    *told, last = err.splitlines()
    assert last == f"results: {path}"
    assert sum(line.startswith("measured: ") for line in told) == 2
    table = json.loads(out)
    found = {(row["metric"], row["estimator"]): row["cells"] for row in table["rows"]}
    assert found["decode_tok_s", "params"] == 1
    assert found["peak_rss_bytes", "params"] == 2
    bench(str(path), "--format", "json")
    assert json.loads(capsys.readouterr().out) == table


def test_a_shipped_plan_is_known_by_its_cells():
    """As read from a file, with the rounds that were done; one changed key is another plan."""
    plan = make_plan(read_plan(find_plan("ci")), usable_threads=2)
    table = {**msgspec.to_builtins(plan.as_asked()), "rounds_done": 1}
    assert shipped_plan_name(results(decode(), plan=table)) == "ci"
    assert shipped_plan_name(results(decode(), plan={**table, "seed": 99})) is None


def test_the_default_plan_ships():
    """Its document is known by name: what is measured without any flag."""
    plan = make_plan(load_settings("validate"), usable_threads=2)
    assert shipped_plan_name(results(decode(), plan=plan.as_asked())) == "validate"
