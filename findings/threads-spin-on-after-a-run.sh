#!/usr/bin/env bash
# A session's threads go on using the processor after a run, and a slip in the option against it is not told.
#
# onnxruntime 1.32.0, CPU, two threads. One would guess that nothing works between two runs. A thread of the
# pool looks for work 2^20 times before it sleeps, on a core that another process could use; with one more
# session that takes turns the two slow each other down. session.intra_op.allow_spinning=0 stops that. With a
# letter missing in that name, nothing is refused, nothing is logged, and threads spin on.
# Output seen: 40 ms of processor time after the run, 0 with the option, 36 with the slip (another machine
# may take much more: a PAUSE lasts 40 to 140 cycles).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'END'
import sys
import time

import numpy
import onnxruntime
from onnx import TensorProto, helper

SIZE = 512
values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [SIZE, SIZE]) for n in "xwy"]
node = helper.make_node("MatMul", ["x", "w"], ["y"])
graph = helper.make_graph([node], "product", values[:2], values[2:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
ones = numpy.ones((SIZE, SIZE), numpy.float32)


def after_a_run(**entries):
    """Milliseconds of processor time in the second after a run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    for name, value in entries.items():
        options.add_session_config_entry(f"session.intra_op.{name}", value)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for _ in range(3):
        session.run(None, {"x": ones, "w": ones})
    before = time.process_time()
    time.sleep(1)
    return 1000 * (time.process_time() - before)


usual, off, slip = after_a_run(), after_a_run(allow_spinning="0"), after_a_run(allow_spining="0")
print(f"after a run: {usual:.0f} ms, with the option {off:.0f} ms, with a slip in it {slip:.0f} ms")
sys.exit(0 if off < 0.25 * min(usual, slip) else "the behaviour has changed")
END
