#!/usr/bin/env bash
# With the default thread count a pool thread runs outside the processors that a process may use.
#
# onnxruntime 1.32.0, CPU, Linux. A process told to stay on some processors (taskset, a cpuset, a
# benchmark that pins) would be expected to stay there, its threads included. With intra_op_num_threads
# 0, the default, the pool is sized by the machine's cores and each thread is pinned to one of them,
# allowed or not; with a count the threads inherit the mask.
# Output seen, process allowed on processor 0: 0 threads asked: a thread on {1}; 2 asked: on {0}.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'END'
import os
import sys
import time
from pathlib import Path

import onnxruntime
from onnx import TensorProto, helper

allowed = sorted(os.sched_getaffinity(0))
if len(allowed) < 2:
    sys.exit("needs two processors")
os.sched_setaffinity(0, {allowed[0]})
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", values[:1], values[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def threads():
    return {int(path.name) for path in Path("/proc/self/task").iterdir()}


def masks(count):
    """Where the threads of a new session may run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count
    before = threads()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    time.sleep(0.5)  # each thread pins itself when it starts
    found = [os.sched_getaffinity(thread) for thread in threads() - before]
    del session
    return found


masks(1)  # what the first session of a process starts once, whatever its threads
found = {count: masks(count) for count in (0, 2)}
for count, where in found.items():
    print(f"allowed on {{{allowed[0]}}}, {count} threads asked: pool threads on {where}")
outside = {count: any(mask - {allowed[0]} for mask in where) for count, where in found.items()}
sys.exit(0 if outside == {0: True, 2: False} else "the behaviour has changed")
END
