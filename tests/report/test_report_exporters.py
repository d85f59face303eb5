"""Every format of another tool, read back by that tool or by its schema."""

import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from harness.cli.options import DOCUMENT_FORMATS, EXPORTS, FORMATS, GITHUB
from harness.report.export import cell_name
from harness.report.exporters import EXPORTERS
from harness.report.github import annotation_lines, document_annotations
from harness.report.render import FORMATS as RENDERED
from harness.report.render import render
from harness.results.document import read_document
from harness.results.enums import Ending
from harness.results.plan import Progress
from harness.results.schema import Reason, Record, Trust
from tests.measured_documents import busy, cell, document, quality, record

ROOT = Path(__file__).resolve().parents[2]
REAL = read_document(ROOT / "results" / "reference" / "default.json")
TIMES = [10.0, 10.2, 9.8]
INVALID = Trust(grade="INVALID", reasons=(Reason(code="THROTTLED", detail="too <hot> & \x1b[31m"),))
# As https://bencher.dev/bmf.json has it.
BENCHER_SCHEMA = {
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {
                        name: {"type": "number"} for name in ("value", "lower_value", "upper_value")
                    },
                    "required": ["value"],
                }
            },
        }
    },
}


def mixed():
    """A good record, one that is INVALID, one that was emulated, and one that crashed."""
    return document(
        record(TIMES),
        record(TIMES, threads=1, status={"trust": INVALID}),
        record(TIMES, device="npu", status={"simulated": True}),
        Record(cell=cell(threads=4), status="crashed", reason="it died\n  try: less"),
        Record(cell=cell(threads=8), status="skipped", reason="no time"),
    )


def test_the_command_line_offers_every_exporter():
    assert set(EXPORTS) == set(EXPORTERS)
    assert set(DOCUMENT_FORMATS) == {*RENDERED, GITHUB}
    assert set(FORMATS) <= set(RENDERED)


@pytest.mark.parametrize("style", sorted(set(EXPORTS) - {"junit"}))
def test_only_numbers_that_count_leave(style):
    """The INVALID, the emulated and the failed record leave nothing."""
    text = render(mixed(), style)
    assert "/t2/" in text or "threads=2" in text or 'threads="2"' in text
    assert not re.search(r'/t[148]/|threads=[148]|threads="[148]"|npu', text)


def test_names_tell_any_two_cells_apart():
    cells = [cell(), cell("pp8"), cell(depth=4), cell(threads=1), cell(batch=2), cell(level="fp32")]
    cells += [cell(device="gpu"), cell(model="other"), cell(runtime="genai")]
    assert len({cell_name(one) for one in cells}) == len(cells)


def test_pyperf_reads_its_suite():
    pyperf = pytest.importorskip("pyperf")
    suite = pyperf.BenchmarkSuite.loads(render(REAL, "pyperf"))
    name = "smollm2-135m/int4/cpu/ort/t2/b1/tg32 @ d0 tpot_ms"
    found = suite.get_benchmark(name)
    metric = next(
        one.metrics["tpot_ms"]
        for one in REAL.records
        if cell_name(one.cell) == name.removesuffix(" tpot_ms")
    )
    assert found.get_nrun() == metric.processes == 5
    assert found.get_unit() == "second"
    assert found.median() == pytest.approx(metric.value / 1e3)


def test_prometheus_reads_its_text():
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    text = render(REAL, "openmetrics")
    families = {one.name: one for one in parser.text_string_to_metric_families(text)}
    assert {one.type for one in families.values()} == {"gauge"}
    samples = families["ondevice_bench_decode_tok_s"].samples
    values = {one.labels["level"]: one.value for one in samples if "tg32" in one.labels["workload"]}
    record = next(one for one in REAL.records if one.cell.workload.startswith("tg32"))
    assert values[record.cell.level] == record.metrics["decode_tok_s"].value
    assert families["ondevice_bench_decode_tok_s_low"].documentation.startswith("low end")
    assert text.endswith("# EOF\n")


def test_labels_of_any_name_survive_openmetrics():
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    name = 'odd"\\ name\nof } a model'
    text = render(document(record(TIMES, model=name)), "openmetrics")
    run, family, *_ = parser.text_string_to_metric_families(text)
    assert run.samples[0].labels["run_id"] == "run-a"
    assert family.samples[0].labels["model"] == 'odd"\\ name\\nof } a model'


def test_junit_is_read_by_a_junit_reader():
    junitparser = pytest.importorskip("junitparser")
    found = junitparser.JUnitXml.fromstring(render(mixed(), "junit").encode())
    assert (found.tests, found.errors, found.failures, found.skipped) == (5, 2, 0, 1)


def test_junit_holds_outcomes_and_numbers():
    """Text that XML has no letter for is written as its visible escape."""
    root = ElementTree.fromstring(render(mixed(), "junit"))
    suite = root[0]
    assert (suite.get("tests"), suite.get("errors"), suite.get("skipped")) == ("5", "2", "1")
    good, invalid, simulated, crashed, skipped = suite.iter("testcase")
    numbers = {one.get("name"): one.get("value") for one in suite.find("properties")}
    name = cell_name(mixed().records[0].cell)
    assert good.get("name") == name
    assert float(numbers[f"{name}: tpot_ms [ms/token]"]) == pytest.approx(10.0)
    error = invalid.find("error")
    assert error is not None
    assert error.get("message") == "THROTTLED: too <hot> & \\x1b[31m"
    assert numbers[f"{simulated.get('name')}: simulated"] == "true"
    assert crashed.find("error").get("type") == "crashed"
    assert skipped.find("skipped").get("message") == "no time"


def test_junit_times_are_those_of_the_watched_processes():
    """Two processes of 1 s and none of the others'; without a watch a case took no known time."""
    watched = busy(record(TIMES[:2]), 0.0)
    suite = ElementTree.fromstring(render(document(watched, record(TIMES, "pp8")), "junit"))[0]
    assert [one.get("time") for one in suite.iter("testcase")] == ["2.000", "0.000"]
    assert suite.get("time") == "2.000"
    assert suite.get("timestamp") == "2026-11-22T10:15:00"


def test_bencher_metrics_fit_its_schema():
    jsonschema = pytest.importorskip("jsonschema")
    table = json.loads(render(REAL, "bencher"))
    jsonschema.validate(table, BENCHER_SCHEMA)
    measure = table["smollm2-135m/int4/cpu/ort/t2/b1/tg32 @ d0"]["decode_tok_s"]
    assert measure["lower_value"] < measure["value"] < measure["upper_value"]
    assert all(len(name) <= 64 for found in table.values() for name in found)
    assert all(len(name) <= 1024 for name in table)


def test_benchmark_action_has_one_file_per_direction():
    """The tool asks for name, unit and value; each metric is in exactly one of both files."""
    smaller = json.loads(render(REAL, "benchmark-action"))
    bigger = json.loads(render(REAL, "benchmark-action-bigger"))
    for entry in (*smaller, *bigger):
        assert isinstance(entry["name"], str)
        assert isinstance(entry["unit"], str)
        assert isinstance(entry["value"], float)
        assert set(entry) <= {"name", "unit", "value", "range", "extra"}
    assert {entry["unit"] for entry in bigger} == {"tok/s", "share"}
    assert not {entry["unit"] for entry in smaller} & {"tok/s", "share"}
    names = [entry["name"] for entry in (*smaller, *bigger)]
    assert len(names) == len(set(names))


def test_a_zero_is_no_base_of_a_ratio():
    """github-action-benchmark divides by the value before: after a 0 anything is an alert."""
    found = document(record(TIMES, quality=quality(0.0, top1=0.0)))
    assert found.records[0].metrics["kld_nats"].value == 0.0
    entries = [
        entry
        for style in ("benchmark-action", "benchmark-action-bigger")
        for entry in json.loads(render(found, style))
    ]
    assert entries
    assert all(entry["value"] for entry in entries)


def test_benchstat_lines_have_its_form():
    """A name, a count, then pairs of value and unit; one line per process."""
    lines = render(REAL, "benchstat").splitlines()
    units = [line for line in lines if line.startswith("Unit ")]
    assert "Unit decode_tok_s better=higher" in units
    assert "Unit ttft_ms better=lower" in units
    results = [line.split() for line in lines if line.startswith("Benchmark")]
    assert len(results) == 5 * len(REAL.records)
    for name, count, *pairs in results:
        assert re.fullmatch(r"BenchmarkCell(/[a-z_]+=[^/=]+)+", name)
        assert count == "1"
        assert all(float(value) > 0 for value in pairs[::2])
        assert {f"Unit {unit}" for unit in pairs[1::2]} <= {
            line.rsplit(" ", 1)[0] for line in units
        }


def test_benchstat_says_how_many_rounds_it_needs():
    """Its interval is ± ∞ under six values; the line is none that it reads."""
    few, enough = (render(document(record([10.0] * count)), "benchstat") for count in (5, 6))
    first = few.partition("\n")[0]
    assert "--rounds 6" in first
    assert not re.match(r"Benchmark|Unit |[a-z]\S*:", first)
    assert "--rounds" not in enough


def test_labels_hold_values_alone():
    """A field without a value is no label; the word None was one."""
    for style in ("openmetrics", "benchstat"):
        assert "None" not in render(document(record(TIMES, active_parameters=None)), style)


def test_nothing_measured_is_still_a_document_of_each_format():
    empty = document(Record(cell=cell(), status="crashed", reason="it died"))
    assert json.loads(render(empty, "bencher")) == {}
    assert json.loads(render(empty, "benchmark-action")) == []
    assert len(render(empty, "openmetrics").splitlines()) == 4
    ElementTree.parse(io.StringIO(render(empty, "junit")))


def test_a_cell_keeps_its_name_when_fields_come_later():
    """The level's own cache goes unsaid; another one tells two cells apart."""
    usual = cell("tg32")
    assert cell_name(usual) == "smollm2-135m/int4/cpu/ort/t2/b1/tg32 @ d0"
    other = cell("tg32", kv_cache="int8")
    assert cell_name(other) == "smollm2-135m/int4/cpu/ort/t2/b1/kv_cache=int8/tg32 @ d0"


BROKEN_OFF = {
    "ended": Ending.INTERRUPTED,
    "cells": 2,
    "whole": 1,
    "unmeasured": 1,
    "rounds": 5,
    "resumed": 0,
    "command": "bench run --device cpu --resume",
}


@pytest.mark.parametrize("style", [*sorted(RENDERED), GITHUB])
def test_a_run_that_broke_off_says_so_in_every_format(style):
    """With the command that goes on; the same run, whole, says nothing of the kind."""
    whole = document(record(TIMES))
    broken = msgspec.structs.replace(
        whole, plan=msgspec.structs.replace(whole.plan, progress=Progress(**BROKEN_OFF))
    )
    texts = [
        "\n".join(annotation_lines(document_annotations(one)))
        if style == GITHUB
        else render(one, style)
        for one in (whole, broken)
    ]
    assert ["interrupted" in text.lower() for text in texts] == [False, True]
    assert ["bench run --device cpu --resume" in text for text in texts] == [False, True]


def test_labels_without_a_value_are_left_out():
    text = render(document(record(TIMES, level_label="", active_parameters=None)), "openmetrics")
    assert '=""' not in text
