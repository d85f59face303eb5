"""What a graph file says of its shape, without its weights: order of nodes, free dimensions."""

from pathlib import Path

import onnx


def node_names(graph: Path) -> list[str]:
    """Names of the nodes in the order of the file, in which none reads a later one."""
    model = onnx.load(graph, load_external_data=False)
    return [node.name for node in model.graph.node]


def free_dimensions(graph: Path) -> list[str]:
    """Dimensions of inputs that have no number: their names, or `input[axis]` without one."""
    model = onnx.load(graph, load_external_data=False)
    weights = {tensor.name for tensor in model.graph.initializer}
    found = []
    for value in model.graph.input:
        if value.name in weights:
            continue
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if not dimension.HasField("dim_value"):
                found.append(dimension.dim_param or f"{value.name}[{axis}]")
    return list(dict.fromkeys(found))


def stored_types(graph: Path) -> list[str]:
    """Types of the stored tensors of a graph, in words of ONNX such as `bfloat16`, each once."""
    model = onnx.load(graph, load_external_data=False)
    names = (onnx.TensorProto.DataType.Name(one.data_type) for one in model.graph.initializer)
    return list(dict.fromkeys(name.lower() for name in names))


def saved_copies_bytes(graph: Path) -> int:
    """Bytes of the copies of weights that ONNX Runtime saved beside a graph; 0: none.

    An entry of a weight's external data is `operator+hash|offset;length;flags`, with a triple for
    every buffer (onnxruntime 1.32).
    """
    model = onnx.load(graph, load_external_data=False)
    entries = (
        entry.value
        for weight in model.graph.initializer
        for entry in weight.external_data
        if entry.key.startswith("prepacked")
    )
    return sum(_copy_bytes(entry) for entry in entries)


def _copy_bytes(entry: str) -> int:
    """Bytes of the buffers that an entry names."""
    _, _, buffers = entry.partition("|")
    return sum(int(buffer.split(";")[1]) for buffer in buffers.split("|"))
