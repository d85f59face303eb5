"""What the quantized products of a built graph read, and the graph that gives it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper


@dataclass(frozen=True, slots=True)
class ProductInput:
    """A value that products multiply.

    Attributes:
        name: in the graph.
        width: its last dimension.
    """

    name: str
    width: int


def product_inputs(graph: Path) -> dict[str, ProductInput]:
    """Return what each MatMulNBits reads, by the name of its matrix, in the order of the graph.

    Several read one value: gate and up, for example.
    """
    model = onnx.load(graph, load_external_data=False)
    return {
        node.input[1].removesuffix(".quantized"): ProductInput(
            node.input[0], next(one.i for one in node.attribute if one.name == "K")
        )
        for node in model.graph.node
        if node.op_type == "MatMulNBits"
    }


def giving(graph: Path, names: Sequence[str]) -> bytes:
    """Return a graph whose outputs are these values, floats; its data lies where it lay."""
    model = onnx.load(graph, load_external_data=False)
    del model.graph.output[:]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    model.graph.output.extend(ports)
    return bytes(model.SerializeToString())
