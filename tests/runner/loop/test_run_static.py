"""Whole runs of static decoders: on the CPU, and on the emulation of Qualcomm's NPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import EXIT_OK
from harness.estimator.calibration import bandwidth
from harness.report.explained import explain_document
from harness.report.render import render
from harness.results.document import read_document
from harness.runner.loop import rounds
from harness.runner.loop.run import run_plan
from harness.runner.plan import make_plan
from harness.runner.settings import Settings

SHORT = "warm_seconds = 0.05\nsample_seconds = 0.01"
LEVELS = ("fp32", "fp32-static", "a8w8")


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def document(tiny_folder, tmp_path_factory, shared_cache):
    settings = Settings(
        model=(str(tiny_folder),),
        quant=LEVELS,
        prompt=(8,),
        pg=((11, 4),),
        threads=("1",),
        rounds=1,
        min_passes=2,
        calibrate=False,
        warm_seconds=0.05,
        sample_seconds=0.01,
    )
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:  # the hardware peaks' numbers do not matter here
        patch.setattr(bandwidth, "VECTOR_BYTES", 2**20)
        patch.setattr(rounds, "BANDWIDTH_SECONDS", 0.01)
        outcome = run_plan(
            make_plan(settings, 1), results=results, cache=shared_cache, progress=quiet
        )
    assert outcome.exit_code == EXIT_OK
    return read_document(outcome.path)


def records_at(document, level):
    return [record for record in document.records if record.cell.level == level]


def digests(records):
    return [record.samples[0].sample.digest for record in records]


def test_every_level_runs_every_test(document):
    assert [record.status for record in document.records] == ["ok"] * 6
    for record in document.records:
        assert record.metrics["load_ms"].value > 0
        assert record.metrics["peak_rss_bytes"].value > 0
        assert all(sample.sample.finite for sample in record.samples)


def test_floats_choose_the_same_tokens_static_or_fused(document):
    assert digests(records_at(document, "fp32-static")) == digests(records_at(document, "fp32"))


def test_every_static_decoder_was_held_against_the_fused_one(document):
    assert records_at(document, "fp32")[0].hardware.fused_cosine is None
    assert records_at(document, "fp32-static")[0].hardware.fused_cosine > 0.99999
    assert 0.9 < records_at(document, "a8w8")[0].hardware.fused_cosine < 0.99999


def test_estimates_count_the_static_graph(document):
    """A step has one, prompt and memory only that of the parameters; the sum can be read."""
    request = records_at(document, "a8w8")[-1]
    assert set(request.estimates["decode_tok_s"]) == {"params", "rule_of_thumb", "structure"}
    assert set(request.estimates["peak_rss_bytes"]) == {"params"}
    told = explain_document(document, "a8w8 pg11+4", "table")
    assert "memory: no estimate" in told
    assert "cache written" in told


def test_the_shapes_of_the_build_are_in_the_record(document):
    assert {record.shapes is None for record in records_at(document, "fp32")} == {True}
    for record in records_at(document, "a8w8"):
        assert record.shapes == {"prefill_tokens": 11, "capacity_tokens": 64}


def test_placement_is_that_of_both_graphs(document):
    """Each has more nodes than the whole fused decoder."""
    (fused, *_), (static, *_) = records_at(document, "fp32"), records_at(document, "fp32-static")
    assert static.placement.verdict == "FULL"
    assert static.placement.nodes["CPUExecutionProvider"] > 2 * sum(fused.placement.nodes.values())


def test_the_cache_of_fixed_points_is_its_own(document):
    assert {record.cell.kv_cache for record in records_at(document, "a8w8")} == {"uint8"}
    assert "uint8" not in render(document, "table")


@pytest.mark.device("qnn")
def test_the_command_runs_on_the_emulated_npu(tiny_folder, tmp_path, shared_cache):
    """No level is named: the usual ones of the row; marked, without estimate, the CPU's numbers."""
    plan = tmp_path / "quick.toml"
    lines = (f"model = [{str(tiny_folder)!r}]", "prompt = [8]", "gen = [2]", "threads = ['1']")
    plan.write_text("\n".join((*lines, "quant = ['usual']", "rounds = 1", "min_passes = 1", SHORT)))
    command = (sys.executable, "-m", "harness", "--device", "npu", "--allow-simulated")
    done = subprocess.run(
        [*command, "--config", str(plan), "--format", "json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ
        | {
            "BENCH_CACHE": str(shared_cache),
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        },
        check=False,
        timeout=500,
    )
    assert done.returncode == EXIT_OK, done.stderr
    records = json.loads(done.stdout)["records"]
    assert [(r["cell"]["level"], r["status"]) for r in records] == [
        ("a16w8", "ok"),
        ("a16w8", "ok"),
        ("a8w8", "ok"),
        ("a8w8", "ok"),
    ]
    for record in records:
        assert record["simulated"] is True
        assert record["estimates"] == {}
        assert record["placement"]["verdict"] == "FULL"
        assert record["placement"]["nodes"]["QNNExecutionProvider"] > 300, "the model's own"
        assert {sample["open"]["compiled"] for sample in record["samples"]} == {True}
        assert record["metrics"]["compile_ms"]["processes"] == 1
        assert record["hardware"]["least_cosine"] > 0.98
        assert record["hardware"]["fused_cosine"] > 0.9
        assert record["trust"]["reasons"][0]["code"] == "SIMULATED"
