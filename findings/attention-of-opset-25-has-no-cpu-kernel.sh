#!/usr/bin/env bash
# The newest Attention operator has no CPU kernel; the older one has.
#
# onnxruntime 1.32.0, CPU. ai.onnx Attention exists since opset 23. One would guess that raising a
# model's opset keeps its kernels. From opset 25 on the node is taken apart into its function body when
# the model is loaded, 71 nodes with a whole score matrix, without a word; at 24 it stays one kernel.
# Output seen: opset 23: 1 node, 24: 1, 25: 71, 26: 71. The results are equal to rounding.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'END'
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

SHAPE = [1, 8, 64, 32]  # batch, heads, tokens, width
rng = np.random.default_rng(0)
feeds = {name: rng.standard_normal(SHAPE, np.float32) for name in ("query", "key", "value")}


def loaded(opset):
    """How many nodes a model of one node becomes, and what it gives."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in feeds]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, SHAPE)
    node = helper.make_node("Attention", list(feeds), ["out"], is_causal=1)
    graph = helper.make_graph([node], "attention", values, [out])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=13
    )
    onnx.checker.check_model(model)
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
        options.log_severity_level = 3  # says only that such a file is of this machine
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        nodes = onnx.load(options.optimized_model_filepath).graph.node
        return len(nodes), session.run(None, feeds)[0].copy()


found = {opset: loaded(opset) for opset in (23, 24, 25, 26)}
for opset, (nodes, _) in found.items():
    print(f"opset {opset}: {nodes} node(s)")
apart = max(float(np.abs(result - found[23][1]).max()) for _, result in found.values())
print(f"largest difference between the results: {apart:.1e}")
kept = found[23][0] == found[24][0] == 1 and min(found[25][0], found[26][0]) > 20 and apart < 1e-4
sys.exit(0 if kept else "the behaviour has changed")
END
