#!/usr/bin/env bash
# Saved prepacked weights are packed again at every load: the file's copies are only compared by hash.
#
# onnxruntime 1.32.0, CPU. One would guess that a session opened on a file which holds the packed copies
# of its weights maps them and packs nothing. It packs each weight into memory of its own, hashes the
# copy, and drops it for the mapped one. Anonymous memory after load is near nothing, as promised; at the
# peak it holds the largest weight's copy, and the processor time of packing is spent.
# Output seen, of a matrix of 128 MiB: packed at load 129 MiB after it; saved 1 MiB after it, 129 at
# its peak.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'END'
import subprocess
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

INPUTS, OUTPUTS = 4096, 8192  # one matrix of 128 MiB
weight = np.random.default_rng(0).standard_normal((INPUTS, OUTPUTS), np.float32)
node = helper.make_node("MatMul", ["x", "w"], ["y"])
graph = helper.make_graph(
    [node],
    "one",
    [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, INPUTS])],
    [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, OUTPUTS])],
    [numpy_helper.from_array(weight, "w")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
onnx.save(model, "plain.onnx", save_as_external_data=True, location="plain.data")

CHILD = '''
import sys, threading, time
import onnxruntime as ort

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

file, save = sys.argv[1], sys.argv[2]
options = ort.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = 1
if save != "none":
    options.optimized_model_filepath = save
    key = "session.optimized_model_external_initializers_file_name"
    options.add_session_config_entry(key, "saved.data")
    options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
seen, before, ended = [0.0], anonymous(), threading.Event()

def look():
    while not ended.wait(0.001):
        seen.append(anonymous() - before)

watch = threading.Thread(target=look)
watch.start()
session = ort.InferenceSession(file, options, ["CPUExecutionProvider"])
ended.set()
watch.join()
print(max(seen), anonymous() - before)
'''


def opened(file, save="none"):
    """Anonymous MiB at the peak of a load, and after it."""
    out = subprocess.run([sys.executable, "-c", CHILD, file, save], capture_output=True, text=True)
    return tuple(float(word) for word in out.stdout.split())


opened("plain.onnx", "saved.onnx")
plain, saved = opened("plain.onnx"), opened("saved.onnx")
copy = INPUTS * OUTPUTS * 4 / 2**20
print(f"one matrix of {copy:.0f} MiB, anonymous memory: packed at load {plain[1]:.0f} MiB after it;")
print(f"saved: {saved[1]:.0f} MiB after it, {saved[0]:.0f} MiB at its peak")
as_said = saved[1] < copy / 10 and saved[0] > copy * 0.9
sys.exit(0 if as_said else "the behaviour has changed")
END
