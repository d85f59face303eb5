#!/usr/bin/env bash
# The exporter stores equal vectors once: an untrained model's file is short of parameters.
#
# torch 2.13.0, onnxscript 0.7.2. One would guess that an export has an initializer for every parameter, so
# that a size can be checked by adding them up. Initializers with equal values become one, and in a model that was
# never trained all norms are equal: weights of ones, biases of zeros. Whoever counts a seeded export to test a
# formula finds it wrong by (layers x norms) vectors; a trained export is right.
# Output seen: 4,352 parameters in the module, 4,224 values in the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 torch==2.13.0
"$folder/venv/bin/python" - <<'END'
import math
import sys
import tempfile
from pathlib import Path

import onnx
import torch


class Twice(torch.nn.Module):
    """Two norms around a product."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.LayerNorm(64)
        self.product = torch.nn.Linear(64, 64, bias=False)
        self.second = torch.nn.LayerNorm(64)

    def forward(self, x):
        return self.second(self.product(self.first(x)))


def values(module):
    """How many the file of an export holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.onnx"))
        torch.onnx.export(module, (torch.zeros(1, 64),), path, dynamo=True, verbose=False)
        return sum(math.prod(one.dims) for one in onnx.load(path).graph.initializer)


untrained = Twice().eval()
trained = Twice().eval()
with torch.no_grad():
    for parameter in trained.parameters():
        parameter.add_(torch.randn_like(parameter))
stated = sum(parameter.numel() for parameter in untrained.parameters())
found, moved = values(untrained), values(trained)
print(f"parameters {stated}; in the file, never trained {found}; with values of their own {moved}")
sys.exit(0 if found == stated - 128 and moved == stated else "the behaviour has changed")
END
