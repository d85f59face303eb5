#!/usr/bin/env bash
# On a CPU, keys and values of 16 bits make a decode step slower, not faster.
#
# onnxruntime 1.32.0, CPU, GroupQueryAttention, 16 query and 8 key heads of 64, 2,048 cached tokens, one
# thread. A step reads little but the cache, so half the bytes should take half the time, or at worst
# as long where processors multiply floats of 32 bits only. It takes longer: what is cached is widened
# before it is multiplied, all of it in every step.
# Output seen: CPU time of a step, float16 over float32 1.40 (8 alternating pairs, 1.38 to 1.41); outputs
# differ by 2e-03.
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

HEADS, KV, WIDTH, DEPTH = 16, 8, 64, 2048


def session_of(kind):
    inputs = ["query", "key", "value", "past_key", "past_value"]
    cache = [1, KV, DEPTH + 1, WIDTH]
    shapes = [[1, 1, heads * WIDTH] for heads in (HEADS, KV, KV)] + [cache, cache]
    node = helper.make_node(
        "GroupQueryAttention",
        [*inputs, "last", "total"],
        ["out", "present_key", "present_value"],
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=KV,
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "step",
        [value(name, kind, shape) for name, shape in zip(inputs, shapes)]
        + [value("last", TensorProto.INT32, [1]), value("total", TensorProto.INT32, [])],
        [value("out", kind, None), *(value(f"present_{half}", kind, cache) for half in ("key", "value"))],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def bound(kind, dtype):
    """A session whose cache lies in place, ready to step at the depth."""
    generator = np.random.default_rng(0)
    session = session_of(kind)
    binding = session.io_binding()
    for name, heads in zip(("query", "key", "value"), (HEADS, KV, KV)):
        binding.bind_cpu_input(name, generator.standard_normal((1, 1, heads * WIDTH)).astype(dtype))
    for half in ("key", "value"):
        rows = generator.standard_normal((1, KV, DEPTH + 1, WIDTH)).astype(dtype)
        cache = onnxruntime.OrtValue.ortvalue_from_numpy(rows)
        binding.bind_ortvalue_input(f"past_{half}", cache)
        binding.bind_ortvalue_output(f"present_{half}", cache)
    binding.bind_cpu_input("last", np.array([DEPTH], np.int32))
    binding.bind_cpu_input("total", np.array(DEPTH + 1, np.int32))
    binding.bind_output("out")
    return session, binding


def step_s(session, binding):
    """Median CPU time of a step, of 30."""
    found = []
    for _ in range(30):
        start = time.thread_time()
        session.run_with_iobinding(binding)
        found.append(time.thread_time() - start)
    return float(np.median(found))


full, half = bound(TensorProto.FLOAT, np.float32), bound(TensorProto.FLOAT16, np.float16)
step_s(*full), step_s(*half)
pairs = sorted(step_s(*half) / step_s(*full) for _ in range(8))
outputs = [binding.copy_outputs_to_cpu()[0].astype(np.float32) for _, binding in (full, half)]
error = float(np.abs(outputs[0] - outputs[1]).max())
ratio = float(np.median(pairs))
print(f"float16 over float32 {ratio:.2f} ({pairs[0]:.2f} to {pairs[-1]:.2f}); outputs differ by {error:.0e}")
sys.exit(0 if ratio > 1.15 and error < 1e-2 else "the behaviour has changed")
END
