"""What a run writes: nothing at home, where telemetry of the runtime would leave files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.environment import TELEMETRY

ONE_ROW = "run --model bytelm --quant int4 --prompt 8 --gen 2 --rounds 1 --no-calibrate"


@pytest.mark.slow
def test_a_run_leaves_nothing_in_the_home_folder(tmp_path):
    """With telemetry onnxruntime 1.32.0 leaves a device id and a database: see the finding."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {n: v for n, v in os.environ.items() if n not in ("XDG_CACHE_HOME", TELEMETRY.name)}
    places = {"HOME": str(home), "TMPDIR": str(home), "BENCH_CACHE": str(tmp_path / "cache")}
    subprocess.run(
        [sys.executable, "-m", "harness", *ONE_ROW.split(), "--results", str(tmp_path / "out")],
        env=kept | places,
        check=True,
        capture_output=True,
    )
    assert [path for path in Path(home).rglob("*") if path.is_file()] == []
    assert list((tmp_path / "out").glob("*.json"))
