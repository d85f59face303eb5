#!/usr/bin/env bash
# Compiling a model for no provider at all succeeds.
#
# onnxruntime 1.32.0. ModelCompiler writes the EPContext model of a provider that compiles. With none
# appended one would guess an error, or a warning. It writes a file and returns; the file holds the graph as it was,
# weights inside, no EPContext node, and a pipeline that "compiled for the NPU" measures the CPU. Only
# flags=ERROR_IF_NO_NODES_COMPILED makes it an error.
# Output seen: a file with MatMul and no EPContext; with the flag an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'END'
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy"]
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])],
    "product",
    values[:1],
    values[1:],
    [numpy_helper.from_array(np.ones((64, 64), np.float32), "w")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
with tempfile.TemporaryDirectory() as folder:
    source, target = (str(Path(folder, name)) for name in ("model.onnx", "compiled.onnx"))
    onnx.save(model, source)
    onnxruntime.ModelCompiler(onnxruntime.SessionOptions(), source).compile_to_file(target)
    operators = [node.op_type for node in onnx.load(target).graph.node]
    print(f"compiled without a word; operators of the result: {', '.join(operators)}")
    Path(target).unlink()
    strict = onnxruntime.OrtCompileApiFlags.ERROR_IF_NO_NODES_COMPILED
    try:
        compiler = onnxruntime.ModelCompiler(
            onnxruntime.SessionOptions(), source, flags=strict
        )
        compiler.compile_to_file(target)
    except Exception as problem:
        refused = True
        print(f"with the flag: {type(problem).__name__}")
    else:
        refused = False
        print("with the flag: no error")
sys.exit(0 if operators == ["MatMul"] and refused else "the behaviour has changed")
END
