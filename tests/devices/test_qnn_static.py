"""Static decoders on the x86 emulation of Qualcomm's NPU: every node, and the CPU's numbers.

Lowest cosine seen against the CPU's run of the same graphs: a16w8 0.99981, a8w8 0.9858.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
CHILD = "tests.devices.qnn_static_child"
LEAST_COSINE = {"a16w8": 0.9995, "a8w8": 0.98}

pytestmark = pytest.mark.device("qnn")


@pytest.mark.parametrize("level", LEAST_COSINE)
@pytest.mark.parametrize(
    ("name", "norm"), [("llama", "operator"), ("llama", "parts"), ("qwen3", "operator")]
)
def test_every_node_runs_there_and_gives_what_the_cpu_gives(name, norm, level, tmp_path):
    """A prompt of two passes and three steps, through the cache that the driver writes."""
    file = tmp_path / "found.json"
    command = [sys.executable, "-m", CHILD, name, level, norm, str(file)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(file.read_text())
    for nodes in found["nodes"]:
        assert set(nodes) == {"QNNExecutionProvider"}
        assert nodes["QNNExecutionProvider"] > 300
    for ours, theirs in zip(np.array(found["qnn"]), np.array(found["cpu"]), strict=True):
        cosine = ours @ theirs / np.sqrt((ours @ ours) * (theirs @ theirs))
        assert LEAST_COSINE[level] < cosine
