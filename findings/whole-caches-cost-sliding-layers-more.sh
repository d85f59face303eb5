#!/usr/bin/env bash
# A layer with a window pays for every cached token, unless its cache is as small as the window.
#
# onnxruntime 1.32.0, CPU, GroupQueryAttention, 8 query and 4 key heads of 128, a window of 512. One
# would guess that local_window_size alone bounds the work of a step. Over a whole cache all rows are
# multiplied and those outside the window masked; with sliding_window_cache and a buffer of 576 rows a
# step costs the same at any depth. Both give the same output.
# Output seen, CPU time of a step at depth 8192 over that at 512: whole cache 15.8, cache of a window 1.2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'END'
import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

HEADS, KV, WIDTH, WINDOW, ROWS, CONTEXT = 8, 4, 128, 512, 576, 8448


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def session_of(rows, slides):
    inputs = ["query", "key", "value", "past_key", "past_value", "last", "total"]
    node = helper.make_node(
        "GroupQueryAttention",
        inputs,
        ["out", "present_key", "present_value"],
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=KV,
        local_window_size=WINDOW,
        sliding_window_cache=slides,
    )
    cache = [1, KV, rows, WIDTH]
    graph = helper.make_graph(
        [node],
        "step",
        [floats(name, [1, None, heads * WIDTH]) for name, heads in zip(inputs, (HEADS, KV, KV))]
        + [floats(name, cache) for name in inputs[3:5]]
        + [helper.make_tensor_value_info("last", TensorProto.INT32, [1])]
        + [helper.make_tensor_value_info("total", TensorProto.INT32, [])],
        [floats("out", None), floats("present_key", cache), floats("present_value", cache)],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(session, cache, arrays, total):
    """One run over a cache in place; its output and its CPU seconds."""
    binding = session.io_binding()
    for name, array in zip(("query", "key", "value"), arrays):
        binding.bind_cpu_input(name, np.ascontiguousarray(array))
    binding.bind_cpu_input("last", np.array([total - 1], np.int32))
    binding.bind_cpu_input("total", np.array(total, np.int32))
    binding.bind_output("out")
    for half, value in zip(("key", "value"), cache):
        binding.bind_ortvalue_input(f"past_{half}", value)
        binding.bind_ortvalue_output(f"present_{half}", value)
    start = time.thread_time()
    session.run_with_iobinding(binding)
    seconds = time.thread_time() - start
    return binding.copy_outputs_to_cpu()[0], seconds


def steps(rows, slides):
    """CPU time of a step at both depths, and the last output."""
    generator = np.random.default_rng(0)
    tokens = [
        generator.standard_normal((1, CONTEXT, heads * WIDTH), np.float32)
        for heads in (HEADS, KV, KV)
    ]
    session = session_of(rows, slides)
    zeros = np.zeros((1, KV, rows, WIDTH), np.float32)
    cache = [onnxruntime.OrtValue.ortvalue_from_numpy(zeros.copy()) for _ in range(2)]
    done, medians = 0, []
    for depth in (512, 8192):
        while done < depth:
            end = min(done + 512, depth)
            run(session, cache, [array[:, done:end] for array in tokens], end)
            done = end
        found = []
        for done in range(depth, depth + 40):
            part = [array[:, done : done + 1] for array in tokens]
            out, seconds = run(session, cache, part, done + 1)
            found.append(seconds)
        done, medians = depth + 40, [*medians, float(np.median(found))]
    return medians[1] / medians[0], out


whole, expected = steps(CONTEXT, 0)
window, out = steps(ROWS, 1)
error = float(np.abs(out - expected).max())
print(f"whole cache {whole:.1f}, cache of a window {window:.1f}; outputs differ by {error:.0e}")
sys.exit(0 if whole > 3 and window < 2 and error < 1e-4 else "the behaviour has changed")
END
