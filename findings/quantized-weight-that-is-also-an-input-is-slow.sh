#!/usr/bin/env bash
# A quantized weight that is also listed as a graph input runs a hundred times slower.
#
# onnxruntime 1.32.0, CPU, one thread. Before IR 4 every initializer had to be listed among the graph's
# inputs, and tools still write such files. One would guess that it costs nothing while nobody feeds the
# input. But what may be fed is not constant: MatMulNBits does not pack it at load time and unpacks the
# whole matrix in every call. The results are equal.
# Output seen (1024 x 1024, 4 bits): 49 us and 56,632 us a call; other machines gave 148 times.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'END'
import statistics
import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE, BLOCK = 1024, 32
rng = np.random.default_rng(0)
weight = rng.integers(0, 256, (SIZE, SIZE // BLOCK, BLOCK // 2), dtype=np.uint8)
scales = (rng.random((SIZE, SIZE // BLOCK)) * 0.01).astype(np.float32)
x = rng.standard_normal((1, SIZE)).astype(np.float32)


def session(listed):
    node = helper.make_node(
        "MatMulNBits",
        ["x", "weight", "scales"],
        ["y"],
        domain="com.microsoft",
        N=SIZE,
        K=SIZE,
        bits=4,
        block_size=BLOCK,
        accuracy_level=1,
    )
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIZE])]
    if listed:
        inputs.append(
            helper.make_tensor_value_info("weight", TensorProto.UINT8, list(weight.shape))
        )
    graph = helper.make_graph(
        [node],
        "product",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, SIZE])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(scales, "scales")],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def seconds(run):
    begin = time.perf_counter()
    run.run(None, {"x": x})
    return time.perf_counter() - begin


constant, listed = session(False), session(True)
turns = [(seconds(constant), seconds(listed)) for _ in range(21)]  # interleaved
apart = np.abs(constant.run(None, {"x": x})[0] - listed.run(None, {"x": x})[0]).max()
a_s, b_s = (statistics.median(side) for side in zip(*turns, strict=True))
print(f"constant {a_s * 1e6:.0f} us, also an input {b_s * 1e6:.0f} us: {b_s / a_s:.0f} times")
print(f"largest difference between the results: {apart:.1e}")
sys.exit(0 if b_s > 10 * a_s and apart < 1e-2 else "the behaviour has changed")
END
