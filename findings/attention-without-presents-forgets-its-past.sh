#!/usr/bin/env bash
# Attention without present outputs forgets its past.
#
# onnxruntime 1.32.0, CPU. GroupQueryAttention declares present_key and present_value as optional
# outputs. One would guess that leaving them out only saves their memory. It also turns the past off:
# the caches are fed, checked for shape, and not used. No error, no warning; only the numbers are off.
# Output seen, difference from attention written out: 1e-7 with presents, 1.7 (or NaN) without.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

HEADS, WIDTH, PAST = 2, 8, 4
CACHE = [1, HEADS, None, WIDTH]


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def session(presents):
    inputs = ["q", "k", "v", "past_key", "past_value", "last", "total"]
    node = helper.make_node(
        "GroupQueryAttention",
        inputs,
        ["out", *presents],
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=HEADS,
    )
    graph = helper.make_graph(
        [node],
        "step",
        [floats(name, [1, 1, HEADS * WIDTH]) for name in inputs[:3]]
        + [floats(name, CACHE) for name in inputs[3:5]]
        + [helper.make_tensor_value_info("last", TensorProto.INT32, [1])]
        + [helper.make_tensor_value_info("total", TensorProto.INT32, [])],
        [floats("out", None), *(floats(name, CACHE) for name in presents)],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


rng = np.random.default_rng(0)
step = {name: rng.standard_normal((1, 1, HEADS * WIDTH), np.float32) for name in "qkv"}
step["last"], step["total"] = np.array([PAST], np.int32), np.array(PAST + 1, np.int32)


step |= {
    name: rng.standard_normal((1, HEADS, PAST, WIDTH), np.float32)
    for name in ("past_key", "past_value")
}


def rows(name):
    """What a step gives, or its key or value: [heads, 1, width]."""
    return step[name].reshape(HEADS, 1, WIDTH)


keys, values = (
    np.concatenate([step[f"past_{name}"][0], rows(letter)], axis=1)
    for name, letter in (("key", "k"), ("value", "v"))
)
scores = rows("q") @ keys.transpose(0, 2, 1) / np.sqrt(WIDTH)
weights = np.exp(scores - scores.max(-1, keepdims=True))
right = (weights / weights.sum(-1, keepdims=True) @ values).reshape(1, 1, HEADS * WIDTH)


def error(presents):
    return float(np.abs(session(presents).run(["out"], step)[0] - right).max())


with_presents = error(["present_key", "present_value"])
without = error([])
print(f"difference from attention written out: {with_presents:.1e} with presents, {without:.1e} without")
wrong = not without < 0.01  # NaN is wrong too
sys.exit(0 if with_presents < 1e-5 and wrong else "the behaviour has changed")
END
