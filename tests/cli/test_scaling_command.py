"""`bench scaling`: the table, its notes, the machine formats, and what it refuses."""

import csv
import io
import json
import math

import click
import pytest

from harness.cli.scaling import command
from harness.core.errors import ResultFormatError, StorageError, UsageError
from harness.models.catalog.catalog import catalog_model
from harness.report.scaling_table import COLUMNS
from harness.results.document import write_document
from harness.results.environment import Environment
from harness.results.plan import RunPlan
from harness.results.schema import Cell, Document, Metric, Record, Trust

MODELS = ("smollm2-135m", "smollm2-360m", "qwen2.5-0.5b", "tinyllama-1.1b", "qwen2.5-1.5b")
ODD = "qwen2.5-0.5b"  # decodes faster than its size says: no cause; one depth has it on the rule


def record(name, depth, factor=1.0):
    """A decode record on the rule, times a factor; its weights are 4 bytes a parameter."""
    parameters = catalog_model(name).structure.parameters
    values = {"decode_tok_s": factor * 1e10 / parameters, "weights_bytes": 4.0 * parameters}
    return Record(
        cell=Cell(
            model=name,
            parameters=parameters,
            level="fp32",
            device="cpu",
            provider="CPUExecutionProvider",
            runtime="ort",
            workload=f"tg8 @ d{depth}",
            prompt=0,
            gen=8,
            depth=depth,
            batch=1,
            threads=2,
            weights="seeded",
        ),
        status="ok",
        metrics={key: Metric(value=value, unit="", processes=3) for key, value in values.items()},
        trust=Trust(grade="A"),
    )


@pytest.fixture
def results(tmp_path):
    """Two results files of one machine: depth 0 on the rule, and depth 8 with a breaker."""
    paths = []
    for number, depth in enumerate((0, 8)):
        records = [record(name, depth, 1.5 if depth and name == ODD else 1) for name in MODELS]
        document = Document(
            run_id=f"run-{number}",
            created_utc="2026-11-22T10:15:00+00:00",
            environment=Environment(cpu_model="AMD EPYC"),
            plan=RunPlan(),
            records=tuple(records),
        )
        paths.append(tmp_path / f"run-{number}.json")
        write_document(document, paths[-1])
    return [str(path) for path in paths]


def run(capsys, *arguments):
    """What the command prints."""
    command.main(list(arguments), standalone_mode=False)
    return capsys.readouterr()


@pytest.mark.parametrize("style", ["table", "md"])
def test_people_read_the_table_and_why_below_it(results, capsys, style):
    """One device, one thread count and one batch: their columns are left out."""
    out, err = run(capsys, *results, "--format", style, "--wide")
    assert err == ""
    assert "exponent" in out
    assert "threads" not in out.split("\n- ")[0]
    lines = [line for line in out.splitlines() if line.startswith("- ")]
    assert lines[0].startswith("- decode_tok_s fp32 tg @ d8 t2: qwen2.5-0.5b: 38 % faster than")
    assert lines[0].endswith("no cause in the numbers known")
    assert "embedding and head are 12 % (tinyllama-1.1b) to 28 % (qwen2.5-0.5b)" in lines[1]
    assert lines[2].startswith("- exponent: ")


def test_csv_holds_every_value(results, capsys):
    out, err = run(capsys, *results, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["metric"], row["test"]) for row in rows] == [
        ("decode_tok_s", "tg @ d0"),
        ("decode_tok_s", "tg @ d8"),
        ("weights_bytes", ""),
    ]
    assert rows[0]["models"].split() == list(MODELS)
    assert [row["rule_exponent"] for row in rows] == ["-1", "-1", "1"]
    assert [row["breaker"] for row in rows] == ["", "qwen2.5-0.5b", ""]
    assert err.startswith("counts of the 5 models")


@pytest.mark.parametrize("style", ["json", "jsonl"])
def test_json_holds_numbers_and_null(results, capsys, style):
    out, _ = run(capsys, *results, "--format", style)
    rows = json.loads(out) if style == "json" else [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 3
    assert rows[0]["exponent"] == pytest.approx(-1)
    assert rows[0]["breaker"] is None
    assert rows[1]["why"] == "no cause in the numbers known"
    assert rows[2]["threads"] is None
    numbers = [value for row in rows for value in row.values() if isinstance(value, float)]
    assert all(math.isfinite(number) for number in numbers)


def test_the_order_of_the_files_does_not_matter(results, capsys):
    assert run(capsys, *results) == run(capsys, *reversed(results))


def test_every_column_has_a_name_of_its_own():
    assert len({column.header for column in COLUMNS}) == len(COLUMNS)


def test_bad_input_is_refused_with_a_way_out(results, tmp_path, capsys):
    with pytest.raises(StorageError, match="cannot be read"):
        run(capsys, str(tmp_path / "absent.json"))
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(ResultFormatError, match=r"broken\.json"):
        run(capsys, results[0], str(broken))
    with pytest.raises(click.UsageError, match="results"):
        run(capsys)


def test_too_few_models_say_what_to_run(tmp_path, capsys):
    path = tmp_path / "two.json"
    document = Document(
        run_id="run-2",
        created_utc="2026-11-22T10:15:00+00:00",
        environment=Environment(),
        plan=RunPlan(),
        records=tuple(record(name, 0) for name in MODELS[:2]),
    )
    write_document(document, path)
    with pytest.raises(UsageError, match="here are 2") as caught:
        run(capsys, str(path))
    assert "bench run --config scaling" in caught.value.fix
