"""What a run writes at home and sends: nothing, where telemetry would do both."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.environment import TELEMETRY
from tests import no_sockets

ONE_ROW = "run --model bytelm --quant int4 --prompt 8 --gen 2 --rounds 1 --no-calibrate"
WITHOUT = [sys.executable, no_sockets.__file__] if no_sockets.is_possible() else []


@pytest.mark.slow
def test_a_run_leaves_nothing_in_the_home_folder_and_opens_no_socket(tmp_path):
    """With telemetry onnxruntime 1.32.0 leaves a device id and a database: see the finding."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {n: v for n, v in os.environ.items() if n not in ("XDG_CACHE_HOME", TELEMETRY.name)}
    places = {"HOME": str(home), "TMPDIR": str(home), "BENCH_CACHE": str(tmp_path / "cache")}
    words = [*ONE_ROW.split(), "--results", str(tmp_path / "out")]
    subprocess.run(
        [*WITHOUT, sys.executable, "-m", "harness", *words],
        env=kept | places,
        check=True,
        capture_output=True,
    )
    assert [path for path in Path(home).rglob("*") if path.is_file()] == []
    assert list((tmp_path / "out").glob("*.json"))


@pytest.mark.skipif(not WITHOUT, reason="seccomp filters of Linux, on x86-64 and ARM64")
def test_a_socket_of_a_child_would_end_it():
    """What the run above is proven by: the filter holds for whatever a process starts."""
    opens = "import socket; socket.socket()"
    starts = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {opens!r}]))"
    done = subprocess.run([*WITHOUT, sys.executable, "-c", starts], check=False)
    assert done.returncode == 256 - signal.SIGSYS
