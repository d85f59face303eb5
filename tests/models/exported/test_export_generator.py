"""The committed exports and the generator beside them belong together: one is made anew."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

from tests.exports import EXPORTS, STORED, unpack

NAME = "llama-int4"
NEAR = 1e-4  # other processors round the reference otherwise

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder that the generator writes, in the environment that its README describes."""
    folder = tmp_path_factory.mktemp("exporter")
    readme = (STORED / "README.md").read_text(encoding="utf-8")
    packages = re.search(r"genai/bin/pip install (.+)", readme).group(1).split()
    call(sys.executable, "-m", "venv", folder / "env")
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    fast = [shutil.which("uv"), "pip", "install", "--quiet", "--python", str(python), *packages]
    if fast[0] is None or subprocess.run(fast, capture_output=True).returncode:
        call(python, "-m", "pip", "install", "--quiet", *packages)
    call(python, STORED / "make_exports.py", "genai", NAME, "--into", folder)
    return unpack(folder / "genai" / NAME)


def call(*command):
    """Run a command; what it said is shown where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_weights_are_the_same_bytes(made):
    committed = EXPORTS / "genai" / NAME
    assert (made / "model.onnx.data").read_bytes() == (committed / "model.onnx.data").read_bytes()


def test_the_graph_has_the_same_nodes(made):
    first, second = (
        onnx.load(folder / "model.onnx", load_external_data=False).graph
        for folder in (EXPORTS / "genai" / NAME, made)
    )
    assert [(node.op_type, list(node.output)) for node in first.node] == [
        (node.op_type, list(node.output)) for node in second.node
    ]
    assert [tensor.name for tensor in first.initializer] == [
        tensor.name for tensor in second.initializer
    ]


def test_the_reference_is_the_same(made):
    """Recipe, count, inputs and versions to the letter; torch's logits as rounding goes."""
    first, second = (
        json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        for folder in (EXPORTS / "genai" / NAME, made)
    )
    told, anew = (np.array(expected.pop("outputs")["logits"]) for expected in (first, second))
    np.testing.assert_allclose(anew, told, rtol=0, atol=NEAR)
    pinned = ("onnxruntime-genai", "torch", "transformers")
    for expected in (first, second):
        versions = expected.pop("versions")
        expected["pinned"] = {name: versions[name].partition("+")[0] for name in pinned}
    assert first == second
