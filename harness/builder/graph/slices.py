"""A graph whose largest product is taken in slices of its outputs, with the same results.

A kernel copies the weights of one product at a time. The head of a small model is many times as
large as any matrix of its layers, and its copy alone would decide what a load needs.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import helper

from harness.builder.quantize.layout import slice_rows

# Operators that read a row here and there, or an expert, and copy nothing.
UNCOPIED = ("Gather", "GatherBlockQuantized", "MoE")

Stored = Mapping[str, onnx.TensorProto]


def sliced_model(graph: Path) -> bytes:
    """Return the model of a file, its largest product in slices as large as the next largest.

    How many: harness.builder.quantize.layout.slice_rows. Slices lie in the data file where the
    whole product lies. A product whose weights are not stored by output, [outputs, ...], stays
    whole.

    Args:
        graph: an ONNX file whose weights lie in a file beside it.
    """
    model = onnx.load(graph, load_external_data=False)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    sizes = {
        place: max((_size_bytes(stored[name]) for name in node.input if name in stored), default=0)
        for place, node in enumerate(model.graph.node)
        if node.op_type not in UNCOPIED
    }
    largest, *others = sorted(sizes, key=lambda place: -sizes[place])
    outputs = _outputs(model.graph.node[largest], stored)
    rows = slice_rows(outputs, sizes[largest], max((sizes[place] for place in others), default=0))
    if rows < outputs:
        _slice(model.graph, largest, stored, range(0, outputs, rows))
    return bytes(model.SerializeToString())


def _size_bytes(tensor: onnx.TensorProto) -> int:
    """Bytes of a tensor's values; 0: they do not lie in a file."""
    return int(_place(tensor).get("length", 0))


def _place(tensor: onnx.TensorProto) -> dict[str, str]:
    """Where a tensor's values lie."""
    return {entry.key: entry.value for entry in tensor.external_data}


def _outputs(node: onnx.NodeProto, stored: Stored) -> int:
    """Outputs of a product whose weights are stored by output; 0: it is another node."""
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if node.op_type == "MatMulNBits":
        return int(given["N"])
    if node.op_type == "Gemm" and given.get("transB") and node.input[1] in stored:
        return int(stored[node.input[1]].dims[0])
    return 0


def _slice(graph: onnx.GraphProto, place: int, stored: Stored, starts: range) -> None:
    """Put products of so many outputs, from each of `starts` on, in the place of one node."""
    whole = graph.node[place]
    nodes = []
    for number, start in enumerate(starts):
        rows = min(starts.step, starts.stop - start)
        node = onnx.NodeProto()
        node.CopyFrom(whole)
        node.name = node.output[0] = f"{whole.output[0]}.slice.{number}"
        for attribute in node.attribute:
            if attribute.name == "N":
                attribute.i = rows
        for index, name in enumerate(whole.input):
            if name in stored:
                part = _rows(stored[name], starts.stop, start, rows)
                graph.initializer.append(part)
                node.input[index] = part.name
        nodes.append(node)
    names = [node.output[0] for node in nodes]
    nodes.append(helper.make_node("Concat", names, [*whole.output], name=whole.name, axis=-1))
    after = [*graph.node[:place], *nodes, *graph.node[place + 1 :]]
    read = {name for node in after for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(after)
    graph.initializer.extend(kept)


def _rows(tensor: onnx.TensorProto, outputs: int, start: int, rows: int) -> onnx.TensorProto:
    """Return the values of `rows` outputs of a tensor, in the file where all of them lie."""
    place = _place(tensor)
    row_bytes = int(place["length"]) // outputs
    part = onnx.TensorProto(
        name=f"{tensor.name}.from.{start}",
        data_type=tensor.data_type,
        dims=[tensor.dims[0] * rows // outputs, *tensor.dims[1:]],
        data_location=onnx.TensorProto.EXTERNAL,
    )
    for key, value in (
        ("location", place["location"]),
        ("offset", str(int(place.get("offset", 0)) + start * row_bytes)),
        ("length", str(rows * row_bytes)),
    ):
        part.external_data.add(key=key, value=value)
    return part
