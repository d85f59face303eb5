#!/usr/bin/env bash
# A softcap makes attention keep a whole score matrix: six times the memory of the same prompt.
#
# onnxruntime 1.32.0, CPU, GroupQueryAttention, 2,048 tokens, 8 heads of 64. One would guess that
# capping scores, an elementwise step, fits into the tiled kernel. With a softcap (or sinks, or smooth
# softmax) another path is taken, which holds heads x tokens x tokens floats.
# Output seen, peak above the session: plain 27 MiB, capped 157 MiB.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'END'
import multiprocessing
import resource
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

TOKENS, HEADS, WIDTH = 2048, 8, 64
CACHE = [1, HEADS, None, WIDTH]


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


def grown_mib(attributes):
    """By how much one prompt raises the peak memory of a fresh process."""
    inputs = ["query", "key", "value", "past_key", "past_value", "last", "total"]
    node = helper.make_node(
        "GroupQueryAttention",
        inputs,
        ["out", "present_key", "present_value"],
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=HEADS,
        **attributes,
    )
    graph = helper.make_graph(
        [node],
        "prompt",
        [floats(name, [1, None, HEADS * WIDTH]) for name in inputs[:3]]
        + [floats(name, CACHE) for name in inputs[3:5]]
        + [helper.make_tensor_value_info("last", TensorProto.INT32, [1])]
        + [helper.make_tensor_value_info("total", TensorProto.INT32, [])],
        [floats("out", None), floats("present_key", CACHE), floats("present_value", CACHE)],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    tokens = np.ones((1, TOKENS, HEADS * WIDTH), np.float32)
    nothing = np.zeros((1, HEADS, 0, WIDTH), np.float32)
    feeds = dict.fromkeys(inputs[:3], tokens) | dict.fromkeys(inputs[3:5], nothing)
    feeds |= {"last": np.array([TOKENS - 1], np.int32), "total": np.array(TOKENS, np.int32)}
    before = peak_mib()
    session.run(None, feeds)
    return peak_mib() - before


if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")  # this process has opened no session
    found = []
    for attributes in ({}, {"softcap": 30.0}):
        with fork.Pool(1) as pool:
            found.append(pool.apply(grown_mib, (attributes,)))
    matrix = HEADS * TOKENS * TOKENS * 4 / 2**20
    print(f"plain {found[0]:.0f} MiB, capped {found[1]:.0f} MiB; a score matrix is {matrix:.0f} MiB")
    sys.exit(0 if found[0] < matrix / 2 and found[1] > matrix else "the behaviour has changed")
END
