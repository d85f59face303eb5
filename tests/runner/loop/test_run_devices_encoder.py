"""Encoders through the real command on the device rows that run without hardware."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import EXIT_OK
from tests.builder.graph.seeded_folder import encoder_folder

ROOT = Path(__file__).resolve().parents[3]
MODEL = encoder_folder("bert-mean")
PLAN = "rounds = 1\nmin_passes = 1\nthreads = ['1']\nwarm_seconds = 0.05\nsample_seconds = 0.01\n"


def records(tmp_path, cache, *arguments):
    """The records of a short run: what the JSON on stdout holds."""
    plan = tmp_path / "quick.toml"
    plan.write_text(f"model = [{str(MODEL)!r}]\n{PLAN}")
    command = (sys.executable, "-m", "harness", *arguments, "--config", str(plan))
    done = subprocess.run(
        [*command, "--format", "json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"BENCH_CACHE": str(cache), "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=500,
    )
    assert done.returncode == EXIT_OK, done.stderr
    return json.loads(done.stdout)["records"]


@pytest.mark.slow
def test_the_cpu_runs_static_encoders_as_their_reference(tmp_path, shared_cache):
    """Two shapes of one build, each in a session of its own, beside the fused graph."""
    levels = "fp32,fp32-static,a8w8"
    arguments = ("--device", "cpu", "--quant", levels, "--enc", "12x2,8x1", "--no-calibrate")
    found = records(tmp_path, shared_cache, *arguments)
    assert [record["status"] for record in found] == ["ok"] * 6
    for record in found:
        assert record["metrics"]["encode_ms"]["value"] > 0
        assert record["metrics"]["peak_rss_bytes"]["value"] > 0
        if record["cell"]["level"] != "fp32":
            least = {"fp32-static": 0.99999, "a8w8": 0.99}[record["cell"]["level"]]
            assert record["hardware"]["fused_cosine"] > least


@pytest.mark.device("qnn")
def test_the_emulated_npu_runs_every_node(tmp_path, shared_cache):
    """16 rows are those behind whose norm it goes wrong, see graph.static.encoder_block."""
    arguments = ("--device", "npu", "--allow-simulated", "--quant", "a16w8,a8w8", "--enc", "16x1")
    found = records(tmp_path, shared_cache, *arguments)
    assert [(r["cell"]["level"], r["status"]) for r in found] == [("a16w8", "ok"), ("a8w8", "ok")]
    for record in found:
        assert record["simulated"] is True
        assert record["estimates"] == {}
        assert record["placement"]["verdict"] == "FULL"
        assert record["hardware"]["least_cosine"] > 0.998
        assert record["hardware"]["fused_cosine"] > 0.99


@pytest.mark.device("webgpu")
def test_software_vulkan_runs_the_fused_encoder(tmp_path, shared_cache):
    arguments = ("--device", "gpu", "--allow-simulated", "--quant", "fp32", "--enc", "16x1")
    (record,) = records(tmp_path, shared_cache, *arguments)
    assert record["status"] == "ok"
    assert record["simulated"] is True
    assert record["placement"]["verdict"] in ("FULL", "FULL_COMPUTE")
    assert record["hardware"]["least_cosine"] > 0.9999
