"""Static encoders on the x86 emulation of Qualcomm's NPU: every node, and the CPU's embeddings.

Lowest cosine seen against the CPU's run of the same graphs: a16w8 0.99998, a8w8 0.9992.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def cosines(ours, theirs):
    """Of each row; both have length 1, the emulation's as nearly as its integers allow."""
    return (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1)


ROOT = Path(__file__).resolve().parents[2]
CHILD = "tests.devices.qnn_encoder_child"
LEAST_COSINE = {"a16w8": 0.9999, "a8w8": 0.998}

pytestmark = pytest.mark.device("qnn")


@pytest.mark.parametrize("level", LEAST_COSINE)
@pytest.mark.parametrize("name", ["bert-cls", "bert-mean", "distilbert-mean"])
def test_every_node_runs_there_and_gives_what_the_cpu_gives(name, level, tmp_path):
    """Three padded texts in a graph of three, four of full length in a graph of four."""
    file = tmp_path / "found.json"
    command = [sys.executable, "-m", CHILD, name, level, str(file)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(file.read_text())
    for nodes in found["nodes"]:
        assert set(nodes) == {"QNNExecutionProvider"}
    for ours, theirs in zip(found["qnn"], found["cpu"], strict=True):
        near = cosines(np.array(ours), np.array(theirs))
        assert LEAST_COSINE[level] < near.min()
