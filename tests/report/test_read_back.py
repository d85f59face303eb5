"""What is drawn for programs, read by the very programs: tables, metrics, test reports."""

import io
import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import structs

from harness.analysis.compare import Question, compare_documents
from harness.analysis.gate import Inconclusive, judge_gates, parse_gate
from harness.report.gates import draw_comparison_junit
from harness.report.render import render
from harness.report.same_keys import READ_LINES, same_keys
from harness.results.document import read_document
from harness.results.schema import Record
from tests.measured_documents import cell, document, quality, record

RESULTS = Path(__file__).resolve().parents[2] / "results" / "reference"
REAL = read_document(RESULTS / "default.json")
TIMES = [10.1, 10.2, 9.8]
LATE = "kld_nats"


@pytest.fixture(scope="module")
def long_run():
    """A run of 130 records, of which the last ten alone have quality and energy."""
    plain = record(TIMES)
    late = record(TIMES, quality=quality(0.125), joules=[1.0, 1.1, 0.9])
    return document(
        *(record_at(plain if place < 120 else late, place) for place in range(129)),
        Record(cell=cell(threads=999), status="crashed", reason="it died"),
    )


def record_at(one, place):
    return structs.replace(one, cell=structs.replace(one.cell, threads=place + 1))


@pytest.fixture(scope="module")
def lines(long_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "run.jsonl"
    path.write_text(render(long_run, "jsonl"))
    return path


def test_every_line_has_every_key(lines):
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(rows) == 130
    assert len({tuple(row) for row in rows}) == 1
    measured = [row for row in rows if row["status"] == "ok"]
    assert len({tuple(row["metrics"]) for row in rows}) == 1
    assert sum(row["metrics"][LATE] is not None for row in measured) == 9


def test_whoever_decides_by_the_first_lines_sees_a_value_of_every_key(lines):
    """Of 130 lines, those that first hold a value stand among the first 100; the rest in order."""
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert any(row["metrics"][LATE] for row in rows[:READ_LINES])
    places = [row["cell"]["threads"] for row in rows]
    assert sorted(places) == sorted([*range(1, 130), 999])
    assert sum(after < before for before, after in pairwise(places)) <= 3


def test_few_lines_keep_their_order():
    rows = [json.loads(line) for line in render(REAL, "jsonl").splitlines()]
    assert [row["cell"]["workload"] for row in rows] == [one.cell.workload for one in REAL.records]


def test_whole_numbers_beside_others_are_no_whole_numbers():
    """By its first lines polars takes a column for whole numbers, and then refuses 2.5."""
    found = same_keys([{"a": 2, "b": True}, {"a": 2.5, "c": {"d": [{"e": 1}, {"f": None}]}}])
    assert found == [
        {"a": 2.0, "b": True, "c": None},
        {"a": 2.5, "b": None, "c": {"d": [{"e": 1, "f": None}, {"e": None, "f": None}]}},
    ]
    assert isinstance(found[0]["a"], float)


def test_polars_reads_lines(lines, long_run):
    """With its own defaults, which look at 100 lines."""
    polars = pytest.importorskip("polars")
    frame = polars.read_ndjson(lines)
    rates = {
        row["cell"]["threads"]: (row["metrics"]["decode_tok_s"] or {}).get("value")
        for row in frame.iter_rows(named=True)
    }
    for one in long_run.records:
        metric = one.metrics.get("decode_tok_s")
        assert rates[one.cell.threads] == (metric and metric.value)
    late = frame.filter(polars.col("metrics").struct.field(LATE).struct.field("value") == 0.125)
    assert late.height == 9


@pytest.mark.parametrize("name", ["default", "three-ways", "first"])
def test_polars_reads_lines_of_real_runs(name):
    polars = pytest.importorskip("polars")
    folder = RESULTS if name != "first" else RESULTS.parent / "validation"
    found = read_document(folder / f"{name}.json")
    frame = polars.read_ndjson(io.BytesIO(render(found, "jsonl").encode()))
    assert frame.height == len(found.records)


def test_pandas_reads_lines_with_every_digit(tmp_path):
    """Only with precise_float: its own reader of digits is off by the last one at times."""
    pandas = pytest.importorskip("pandas")
    found = document(*(record([10 + place / 7]) for place in range(60)))
    path = tmp_path / "run.jsonl"
    path.write_text(render(found, "jsonl"))
    frame = pandas.read_json(path, lines=True, precise_float=True)
    read = [one["decode_tok_s"]["value"] for one in frame.metrics]
    assert read == [one.metrics["decode_tok_s"].value for one in found.records]


def test_pandas_reads_every_digit_of_csv(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "run.csv"
    path.write_text(render(REAL, "csv"))
    frame = pandas.read_csv(path, na_values="–")
    rows = frame[frame.metric == "decode_tok_s"]
    read = dict(zip(rows.level + rows.workload, rows.value, strict=True))
    for one in REAL.records:
        if "decode_tok_s" in one.metrics:
            name = one.cell.level + one.cell.workload
            assert read[name] == one.metrics["decode_tok_s"].value


def test_duckdb_reads_lines_and_documents(lines):
    """A line is a row; of a document, which is one row, the records are a list to unnest."""
    duckdb = pytest.importorskip("duckdb")
    ((count,),) = duckdb.sql(
        f"select count(*) from read_json('{lines}') where metrics.{LATE}.value = 0.125"
    ).fetchall()
    assert count == 9
    rows = duckdb.sql(
        "with run as (select unnest(records) as one from "
        f"read_json('{RESULTS / 'default.json'}', maximum_object_size=100000000)) "
        "select one.cell.workload, one.metrics.decode_tok_s.value from run"
    ).fetchall()
    read = [value for _, value in rows if value is not None]
    assert read == [
        one.metrics["decode_tok_s"].value for one in REAL.records if "decode_tok_s" in one.metrics
    ]


@pytest.mark.parametrize("found", [REAL, document(record(TIMES, model='odd"\\ name\n'))])
def test_promtool_reads_metrics(found):
    """Go's parser of the text format; 3 is its taste in names, 1 a file that it refuses."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: Debian's package prometheus has it")
    ended = subprocess.run(
        [promtool, "check", "metrics"],
        input=render(found, "openmetrics"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in (0, 3), ended.stderr
    assert "parsing error" not in ended.stderr


def test_the_older_text_format_is_read_too():
    """Of the same rules as Go's parser in the client that is at hand."""
    parser = pytest.importorskip("prometheus_client.parser")
    text = render(REAL, "openmetrics")
    families = {one.name: one for one in parser.text_string_to_metric_families(text)}
    known = {"counter", "gauge", "histogram", "summary", "untyped"}
    types = {line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    assert types <= known
    (run,) = families["ondevice_bench_run_info"].samples
    assert run.labels["run_id"] == REAL.run_id


@pytest.mark.parametrize(
    "found",
    [
        REAL,
        document(record(TIMES), Record(cell=cell(threads=4), status="crashed", reason="x")),
        document(Record(cell=cell(), status="skipped", reason="no time")),
    ],
)
def test_strict_schemas_take_junit(found):
    etree = pytest.importorskip("lxml.etree")
    schema = etree.XMLSchema(file=str(Path(__file__).with_name("junit.xsd")))
    schema.assertValid(etree.fromstring(render(found, "junit").encode()))


def test_strict_schemas_take_junit_of_comparisons():
    etree = pytest.importorskip("lxml.etree")
    schema = etree.XMLSchema(file=str(Path(__file__).with_name("junit.xsd")))
    sides = [document(record([9.9, 10.0, 10.1, 10.05, 9.95]), run_id=f"run-{x}") for x in "ab"]
    found = compare_documents(sides[:1], sides[1:], Question(watched=("decode_tok_s",)))
    gates = judge_gates(found, [parse_gate("slower:3%")])
    text = draw_comparison_junit(found, gates, Inconclusive.WARN)
    schema.assertValid(etree.fromstring(text.encode()))
