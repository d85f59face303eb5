"""What a micro-graph needs on a device with memory of its own: a proof that its run has ended.

Outputs of a timed run stay in the device's memory, where a call may return before they are written.
So each graph ends, as a decoder's step does, in a few values that are copied to the host, and
begins with two small inputs that every run copies from it.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.builder.graph.emitter import Emitter
from harness.builder.graph.micro import write_graph

FED = ("tick", "tock")  # in the places of a decoder's tokens and mask
DONE = "done"
READ_WIDTH = 1024  # values of a row that is read


def prove_end(path: Path, output: str) -> None:
    """Add inputs FED [1, 1] and an output DONE: the last row of `output`, plus both of them.

    Args:
        path: of a graph whose large tensors lie beside it.
        output: name of one, [1, tokens, width].
    """
    model = onnx.load(str(path), load_external_data=False)
    graph = model.graph
    port = next(one for one in graph.output if one.name == output)
    kind = port.type.tensor_type.elem_type
    width = port.type.tensor_type.shape.dim[2].dim_value
    bounds = {"last.start": -1, "last.end": np.iinfo(np.int64).max, "last.axis": 1}
    for name, value in bounds.items():
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    graph.node.append(helper.make_node("Slice", [output, *bounds], ["last"], name="last"))
    _add_fed(graph, "last", kind)
    graph.output.append(helper.make_tensor_value_info(DONE, kind, [1, 1, width]))
    path.write_bytes(model.SerializeToString())


def write_reads(path: Path, parts: int) -> None:
    """Write the sum of every row of `parts` arrays, and the sum of these: a read of all of them.

    Inputs `part.N` [rows, READ_WIDTH] float32 and FED; output DONE [1, 1]. Nothing else is written
    that is worth speaking of: a thousandth of what is read.

    Args:
        path: of the graph.
        parts: arrays, each of the same shape.
    """
    emitter, total = Emitter(), ""
    across = emitter.constant("across", np.array([1]), "int64")
    down = emitter.constant("down", np.array([0]), "int64")
    for number in range(parts):
        rows = emitter.add("ReduceSum", (f"part.{number}", across), f"rows.{number}", keepdims=1)
        found = emitter.add("ReduceSum", (rows, down), f"sum.{number}", keepdims=1)
        total = emitter.add("Add", (total, found), f"total.{number}") if total else found
    port = helper.make_tensor_value_info
    names = [f"part.{number}" for number in range(parts)]
    inputs = [port(name, TensorProto.FLOAT, ["rows", READ_WIDTH]) for name in names]
    write_graph(path, emitter, inputs, [port(total, TensorProto.FLOAT, [1, 1])], [])
    model = onnx.load(str(path))
    _add_fed(model.graph, total, TensorProto.FLOAT)
    del model.graph.output[:]
    model.graph.output.append(port(DONE, TensorProto.FLOAT, [1, 1]))
    path.write_bytes(model.SerializeToString())


def _add_fed(graph: onnx.GraphProto, name: str, kind: int) -> None:
    """Add both small inputs to a tensor, which is DONE then."""
    for number, fed in enumerate(FED):
        output = DONE if number == len(FED) - 1 else f"fed.{number}"
        graph.node.append(helper.make_node("Add", [name, fed], [output], name=output))
        graph.input.append(helper.make_tensor_value_info(fed, kind, [1, 1]))
        name = output
