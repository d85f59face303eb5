#!/usr/bin/env bash
# A cache of a window's size cannot be read by a second layer; a whole cache can.
#
# onnxruntime 1.32.0, CPU, GroupQueryAttention. Layers that read the keys and values of an earlier one
# (Gemma 3n and 4) have no keys and values of their own, and give the operator those of no tokens
# ("shared KV"). One would guess that this works for both kinds of cache. With sliding_window_cache it
# is refused.
# Output seen: over a whole cache the second layer computes what the first one does, and over a cache of
# a window: "sliding_window_cache=1 is not supported when kv_sequence_length == 0 (shared KV)."
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

HEADS, WIDTH, WINDOW, ROWS = 2, 16, 8, 12
INPUTS = ["q", "k", "v", "past_key", "past_value", "last", "total"]


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def attention(inputs, outputs, slides):
    return helper.make_node(
        "GroupQueryAttention",
        inputs,
        outputs,
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=HEADS,
        local_window_size=WINDOW,
        sliding_window_cache=slides,
    )


def outputs_of(slides):
    """Of a layer, and of a second one with the same query that reads the first one's cache."""
    cache = [1, HEADS, ROWS, WIDTH]
    nodes = [
        attention(INPUTS, ["first", "key", "value"], slides),
        attention(
            ["q", "none", "none", "key", "value", *INPUTS[5:]], ["second", "key2", "value2"], slides
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "step",
        [floats(name, [1, None, HEADS * WIDTH]) for name in (*"qkv", "none")]
        + [floats(name, cache) for name in INPUTS[3:5]]
        + [helper.make_tensor_value_info("last", TensorProto.INT32, [1])]
        + [helper.make_tensor_value_info("total", TensorProto.INT32, [])],
        [floats("first", None), floats("second", None)],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # the refusal is shown below
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(0)
    feeds = {name: random.standard_normal((1, 1, HEADS * WIDTH), np.float32) for name in "qkv"}
    feeds |= {name: np.zeros(cache, np.float32) for name in INPUTS[3:5]}
    feeds["none"] = np.zeros((1, 0, HEADS * WIDTH), np.float32)
    feeds |= {"last": np.array([0], np.int32), "total": np.array(1, np.int32)}
    return session.run(["first", "second"], feeds)


first, second = outputs_of(0)
off = float(np.abs(first - second).max())
print(f"whole cache: the second layer differs by {off:.0e}")
refused = ""
try:
    outputs_of(1)
except Exception as error:
    refused = str(error)
print(f"cache of a window: {refused or 'computed'}")
sys.exit(0 if off < 1e-5 and "shared KV" in refused else "the behaviour has changed")
END
