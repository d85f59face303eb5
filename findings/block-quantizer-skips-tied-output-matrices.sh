#!/usr/bin/env bash
# The block quantizer rewrites the model that it was given, and leaves a tied output matrix in float.
#
# onnxruntime 1.32.0. MatMulNBitsQuantizer(model).process() would be expected to give a new model, and to
# quantize every product with a constant. It changes the model passed in (the "original" for a
# comparison is quantized too), and a product with a transposed constant, which is how exporters write
# an output matrix tied to the embedding, is skipped as "not const": the largest matrix of a small
# language model stays in fp32, and the file says int4.
# Output seen: model passed in changed; operators Gather, MatMulNBits, Transpose, MatMul.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${PYTHON:-python3} -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnx-ir==1.1.0
"$folder/venv/bin/python" - <<'END'
import logging
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

logging.disable(logging.INFO)
WORDS, WIDTH = 256, 64
rng = np.random.default_rng(0)
table = rng.standard_normal((WORDS, WIDTH)).astype(np.float32)
matrix = rng.standard_normal((WIDTH, WIDTH)).astype(np.float32)
graph = helper.make_graph(
    [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("MatMul", ["rows", "matrix"], ["hidden"]),
        helper.make_node("Transpose", ["table"], ["head"], perm=[1, 0]),
        helper.make_node("MatMul", ["hidden", "head"], ["logits"]),
    ],
    "tied",
    [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, None])],
    [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, None, WORDS])],
    [numpy_helper.from_array(table, "table"), numpy_helper.from_array(matrix, "matrix")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
before = model.SerializeToString()
quantizer = MatMulNBitsQuantizer(model, block_size=32, is_symmetric=True)
quantizer.process()
operators = [node.op_type for node in quantizer.model.model.graph.node]
changed = model.SerializeToString() != before
print(f"the model passed in has {'changed' if changed else 'not changed'}")
print(f"operators of the result: {', '.join(operators)}")
print(f"of {table.size + matrix.size} weights {table.size} are still fp32")
same = operators == ["Gather", "MatMulNBits", "Transpose", "MatMul"]
sys.exit(0 if changed and same else "the behaviour has changed")
END
