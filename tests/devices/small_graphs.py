"""Graphs small enough to check by eye: static or not, with operators that NPUs refuse."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 3


def write_relu(path, rows=1):
    """Write y = relu(x W) with W = 2 I; `rows` may be the name of a free dimension."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"], name="product"),
        helper.make_node("Relu", ["xw"], ["y"], name="positive"),
    ]
    return _save(path, nodes, rows)


def write_contributed(path):
    """Write a product and one of 4-bit weights, arithmetic that NPUs leave to others."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"], name="plain"),
        helper.make_node(
            "MatMulNBits",
            ["xw", "packed", "scales"],
            ["y"],
            name="own",
            domain="com.microsoft",
            K=WIDTH,
            N=WIDTH,
            bits=4,
            block_size=16,
        ),
    ]
    values = np.full((WIDTH, 16), 8, dtype=np.uint8)  # 8 stands for 0
    values[range(WIDTH), range(WIDTH)] = 9
    packed = (values[:, ::2] | values[:, 1::2] << 4).reshape(WIDTH, 1, 8)
    return _save(path, nodes, 1, packed=packed, scales=np.full(WIDTH, 2, dtype=np.float32))


def _save(path, nodes, rows, **weights):
    """Write the nodes as a graph from x to y [rows, 3], with W and other weights."""
    weights = {"w": 2 * np.eye(WIDTH, dtype=np.float32), **weights}
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [rows, WIDTH]) for n in "xy"]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    body = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], tensors)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(body, opset_imports=opsets, ir_version=10), path)
    return path
