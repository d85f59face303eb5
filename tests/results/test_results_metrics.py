"""The registry of metrics: one row each, and everything else says the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.analysis.compare import Question, compare_documents
from harness.analysis.compare_sides import compared
from harness.analysis.errors import JUDGED
from harness.analysis.gate import GATES
from harness.analysis.scaling import RULES
from harness.analysis.scaling_causes import CAUSES
from harness.estimator.record import ESTIMATORS
from harness.report.exporters import EXPORTERS
from harness.results.document import read_document
from harness.results.glossary import explain
from harness.results.metric_row import Scale, Source
from harness.results.metrics import METRICS, differences, find_metric, judged_by, rate_of_kind
from harness.results.quality import EmbeddingScores, PathQuality, Quality
from harness.results.schema import (
    DECODE,
    ENCODE,
    GRAPH,
    IMAGE,
    PREFILL,
    REQUEST,
    SOUND,
    TURN,
    Document,
    Metric,
    Record,
    Trust,
    kind_of,
)
from harness.results.summarize import QUALITY_PATHS, TEXT_RATES, process_values, timed_metrics
from tests.measured_documents import cell, document

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = [
    read_document(path)
    for folder in ("reference", "validation")
    for path in sorted((ROOT / "results" / folder).glob("[!e]*.json"))
]
NAMES = [row.name for row in METRICS]
# A cell of each kind of test.
CELLS = {
    PREFILL: cell("pp8"),
    DECODE: cell("tg4"),
    REQUEST: cell("pg8+4"),
    TURN: cell("pg8+4", workload="turn8+4 @ d12", depth=12),
    **{
        kind: cell("tg4", workload=name, prompt=8, gen=0)
        for kind, name in (
            (ENCODE, "enc8x1"),
            (IMAGE, "img1"),
            (SOUND, "aud10x1"),
            (GRAPH, "graph"),
        )
    },
}


def test_every_metric_has_one_row():
    assert len(NAMES) == len(set(NAMES))
    for row in METRICS:
        assert row.kinds
        assert set(row.judges) | set(row.in_turns) <= set(row.kinds)
        assert row.definition.endswith(".")


@pytest.mark.parametrize("found", COMMITTED, ids=lambda found: found.run_id)
def test_every_name_of_a_committed_record_has_a_row_of_its_unit_and_kind(found: Document):
    for record in found.records:
        for name, metric in record.metrics.items():
            row = find_metric(name)
            assert row is not None, name
            assert metric.unit == row.unit
            assert kind_of(record.cell) in row.kinds
            assert explain(name).startswith(f"{name} [{row.unit}]: ")
        assert set(record.estimates) <= set(NAMES)
        assert all(set(found) <= set(ESTIMATORS) for found in record.estimates.values())


def test_a_metric_is_computed_where_it_comes_from():
    """Of samples by `value`, of memory by `held`, of everything else by neither."""
    sampled = (Source.SAMPLES, Source.COUNTERS, Source.TURNS)
    for row in METRICS:
        assert (row.value is not None) == (row.source in sampled)
        assert (row.held is not None) == (row.source is Source.MEMORY)
    assert {row.name for row in METRICS if row.source is Source.TEXT} == TEXT_RATES.keys()
    lossy = {kind for row in METRICS if row.source is Source.QUALITY for kind in row.kinds}
    assert lossy == QUALITY_PATHS.keys()


@pytest.mark.parametrize("found", COMMITTED, ids=lambda found: found.run_id)
def test_medians_of_stored_samples_are_the_stored_values(found: Document):
    """`decode_tok_s` above all: total tokens over total time, wherever it stands."""
    for record in found.records[:6]:
        for name in timed_metrics(record) if record.samples else ():
            values = sorted(process_values(record, name).values())
            low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
            assert record.metrics[name].value == pytest.approx((low + high) / 2, rel=1e-9)


def test_every_kind_of_test_is_judged_by_one_rate():
    for kind in CELLS:
        rates = [row for row in judged_by(kind) if row.more_is_better]
        assert rates == [rate_of_kind(kind)]
        assert rates[0].headline
        assert rates[0].gate == "slower"


def test_what_judges_or_gates_can_be_compared():
    known = compared().keys()
    assert {row.name for row in METRICS if row.judges or row.gate or row.headline} <= known
    losses = {"kld", "top1", "cosine", "accuracy", "flips"}
    assert set(GATES) == {"slower", "sustained", "load", "first", "memory", "energy"} | losses
    assert differences().replace(" and ", ", ").split(", ") == [
        row.name for row in METRICS if row.scale is Scale.DIFFERENCE
    ]


def test_studies_speak_of_metrics_that_there_are():
    named = {metric.name for metric in JUDGED} | {rule.metric for rule in RULES}
    named |= {name for cause in CAUSES for name in cause.metrics}
    assert named <= set(NAMES)


def of_one(name: str, value: float) -> Record:
    """A record that holds one metric, surely known."""
    row = find_metric(name)
    assert row is not None
    metric = Metric(value=value, low=value * 0.999, high=value * 1.001, unit=row.unit, processes=5)
    return Record(
        cell=CELLS[row.judges[0] if row.judges else row.kinds[0]],
        status="ok",
        metrics={name: metric},
        trust=Trust(grade="A"),
        quality=Quality(
            prefill=PathQuality(chunks=20),
            decode=PathQuality(chunks=20),
            encode=EmbeddingScores(texts=20),
        ),
    )


@pytest.mark.parametrize("row", compared().values(), ids=lambda row: row.name)
def test_compare_says_better_where_the_registry_does(row):
    """Twice the value: better exactly where more is better, in the metric's own words."""
    sides = [document(of_one(row.name, 0.4))], [document(of_one(row.name, 0.8), run_id="run-b")]
    (line,) = compare_documents(*sides, Question(metrics=(row.name,))).rows
    better, worse = row.words
    assert line.word == (better if row.more_is_better else worse)


@pytest.mark.parametrize("name", [row.name for row in METRICS if row.source is not Source.TURNS])
def test_every_exporter_has_the_direction_of_compare(name):
    """Where a format tells a direction it is that of the registry, which compare follows."""
    row, held = find_metric(name), document(of_one(name, 0.5))
    assert row is not None
    drawn = {style: draw(held) for style, draw in EXPORTERS.items()}
    assert (name in drawn["benchmark-action-bigger"]) == row.more_is_better
    assert (name in drawn["benchmark-action"]) != row.more_is_better
    direction = {True: "higher", False: "lower"}[row.more_is_better]
    told = [line for line in drawn["benchstat"].splitlines() if line.startswith("Unit ")]
    assert told == ([f"Unit {name} better={direction}"] if row.value is not None else [])


@pytest.mark.parametrize("found", COMMITTED, ids=lambda found: found.run_id)
def test_committed_numbers_leave_by_one_direction_each(found: Document):
    for style, is_bigger in (("benchmark-action", False), ("benchmark-action-bigger", True)):
        for entry in json.loads(EXPORTERS[style](found)):
            row = find_metric(entry["name"].split()[-1])
            assert row is not None
            assert row.more_is_better == is_bigger


def test_a_metric_of_another_version_has_no_direction():
    held = of_one("tpot_ms", 1.0)
    odd = Record(cell=held.cell, status="ok", metrics={"odd_ms": held.metrics["tpot_ms"]})
    for style in ("benchmark-action", "benchmark-action-bigger"):
        assert json.loads(EXPORTERS[style](document(odd))) == []
    assert "odd_ms" in EXPORTERS["bencher"](document(odd))


def test_a_new_metric_is_a_row_and_a_function():
    """Nothing else is touched: made up here, it is summed up, compared, gated and explained.

    A step of 10 ms gives 50 half steps a second; 20 % more time is slower.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.results.made_up_metric"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout)
    assert (found["value"], found["unit"]) == (pytest.approx(50.0), "steps/s")
    assert found["word"] == "SLOWER"
    assert found["broken"] == ["half:3%", "half_steps_s:3%"]
    assert "half_steps_s" in found["bigger"]
    assert "half_steps_s" not in found["smaller"]
    assert "Unit half_steps_s better=higher" in found["benchstat"].splitlines()
    assert "_half_steps_s half_steps_s [steps/s]: Half of the steps" in found["openmetrics"]
    assert found["turn"]["half_steps_s"] == pytest.approx(50.0)
    assert found["explained"].startswith("half_steps_s [steps/s]: Half of the steps in a second.")
    assert "| `half_steps_s` | steps/s |" in found["page"]
