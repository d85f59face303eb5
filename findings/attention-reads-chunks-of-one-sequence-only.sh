#!/usr/bin/env bash
# Attention reads a second piece of a prompt for one sequence, and for a batch of two it refuses.
#
# onnxruntime 1.32.0, CPU, GroupQueryAttention. A prompt may come in pieces: several tokens on top of a
# cache. One would guess that a batch of equal lengths, without any padding, may do so too. First
# pieces and single tokens may; a later piece of more than one token is an error at run time.
# Output seen: one sequence gives what the whole prompt gives, two are refused: "batch_size must
# be 1 when sequence_length > 1 and past context is given."
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

HEADS, WIDTH = 2, 8
INPUTS = ["q", "k", "v", "past_key", "past_value", "last", "total"]
OUTPUTS = ["out", "present_key", "present_value"]


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def opened():
    cache = ["batch", HEADS, None, WIDTH]
    node = helper.make_node(
        "GroupQueryAttention",
        INPUTS,
        OUTPUTS,
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=HEADS,
    )
    graph = helper.make_graph(
        [node],
        "piece",
        [floats(name, ["batch", None, HEADS * WIDTH]) for name in "qkv"]
        + [floats(name, cache) for name in INPUTS[3:5]]
        + [helper.make_tensor_value_info("last", TensorProto.INT32, ["batch"])]
        + [helper.make_tensor_value_info("total", TensorProto.INT32, [])],
        [floats("out", None), *(floats(name, cache) for name in OUTPUTS[1:])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # the refusal is shown below
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def pieces(session, batch, cuts):
    """What a prompt of ten tokens gives that is read in pieces."""
    random = np.random.default_rng(0)
    tokens = random.standard_normal((3, batch, 10, HEADS * WIDTH), np.float32)
    past, outs = [np.zeros((batch, HEADS, 0, WIDTH), np.float32)] * 2, []
    for begin, end in zip([0, *cuts], [*cuts, 10]):
        feeds = dict(zip("qkv", tokens[:, :, begin:end]))
        feeds |= dict(zip(INPUTS[3:5], past))
        feeds |= {"last": np.full(batch, end - 1, np.int32), "total": np.array(end, np.int32)}
        out, *past = session.run(OUTPUTS, feeds)
        outs.append(out)
    return np.concatenate(outs, axis=1)


session = opened()
off = float(np.abs(pieces(session, 1, [6]) - pieces(session, 1, [])).max())
print(f"one sequence: in two pieces and at once differ by {off:.0e}")
pieces(session, 2, [])
pieces(session, 2, [9])  # a single token on top of a cache
print("two sequences: at once, and one token on top of nine: computed")
refused = ""
try:
    pieces(session, 2, [6])
except Exception as error:
    refused = str(error)
print(f"two sequences in two pieces: {refused or 'computed'}")
sys.exit(0 if off < 1e-5 and "batch_size must be 1" in refused else "the behaviour has changed")
END
