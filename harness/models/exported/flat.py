"""One graph with its branches as one list of nodes in which every name is unique."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from harness.models.exported.tensors import stored_bytes

# What hands a stored tensor on as it is, up to shape and type; its first input is the tensor.
PASSING = frozenset({"Transpose", "Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"})
STANDARD = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class FlatNode:
    """One node; names of other scopes are resolved.

    Attributes:
        op: its operator.
        domain: of the operator; empty: the standard one.
        inputs: names; empty where an optional one is left out.
        outputs: names.
        attributes: whole numbers and text by name; of `strides` their product.
    """

    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, int | str]

    def input(self, index: int) -> str:
        """Return the name of an input; empty where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def whole(self, name: str, default: int) -> int:
        """Return a whole-number attribute."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default


@dataclass(slots=True)
class FlatGraph:
    """A graph without scopes.

    Attributes:
        nodes: of all branches.
        stored: initializers by name.
        constants: what Constant nodes hold, by the name of their output.
        readers: (node, input index) of each name.
        producers: the node of each name that is no input.
        sparse_bytes: of stored tensors of which only the values that are not zero are kept.
    """

    nodes: list[FlatNode] = field(default_factory=list)
    stored: dict[str, onnx.TensorProto] = field(default_factory=dict)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    readers: dict[str, list[tuple[FlatNode, int]]] = field(default_factory=dict)
    producers: dict[str, FlatNode] = field(default_factory=dict)
    sparse_bytes: int = 0

    def tensor(self, name: str) -> onnx.TensorProto | None:
        """Return what is stored under a name."""
        return self.stored.get(name) or self.constants.get(name)

    def source(self, name: str, through: frozenset[str] = PASSING) -> str:
        """Return the name that `name` was before the operators of `through` handed it on."""
        for _ in range(_LONGEST):
            node = self.producers.get(name)
            if node is None or node.op not in through:
                return name
            name = node.input(0)
        return name

    def uses(self, name: str, through: frozenset[str] = PASSING) -> Iterator[tuple[FlatNode, int]]:
        """Every reader of a name, those behind the operators of `through` included."""
        waiting, seen = [name], {name}
        while waiting:
            for node, index in self.readers.get(waiting.pop(), ()):
                if node.op not in through:
                    yield node, index
                    continue
                new = [output for output in node.outputs if output not in seen]
                seen.update(new)
                waiting.extend(new)


_WHOLE_VALUES = ("value_int", "value_ints")  # of a Constant
_LONGEST_WORD = 4096  # of an attribute; a compiled model may be one
_LONGEST = 64  # a chain of operators that only pass a tensor on; guards against a cycle


def flatten(model: onnx.ModelProto) -> FlatGraph:
    """Return the main graph of a model and all branches in it as one."""
    flat = FlatGraph()
    _add(flat, model.graph, {}, "")
    return flat


def _add(flat: FlatGraph, graph: onnx.GraphProto, outer: Mapping[str, str], prefix: str) -> None:
    """Add a graph whose own names begin with `prefix`."""
    own = [tensor.name for tensor in graph.initializer] + [port.name for port in graph.input]
    own += [name for node in graph.node for name in node.output]
    names = {**outer, **{name: prefix + name for name in own if name}}
    for tensor in graph.initializer:
        flat.stored[names[tensor.name]] = tensor
    flat.sparse_bytes += sum(stored_bytes(one.values) for one in graph.sparse_initializer)
    for number, node in enumerate(graph.node):
        flat_node = FlatNode(
            node.op_type,
            "" if node.domain in STANDARD else node.domain,
            tuple(names.get(name, name) for name in node.input),
            tuple(names.get(name, name) for name in node.output),
            {attribute.name: value for attribute, value in _simple(node)},
        )
        _keep(flat, flat_node, node)
        for attribute in node.attribute:
            branches = [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
            for branch in branches:
                _add(flat, branch, names, f"{prefix}{number}.{attribute.name}/")


def _keep(flat: FlatGraph, flat_node: FlatNode, node: onnx.NodeProto) -> None:
    """File a node under all its names."""
    flat.nodes.append(flat_node)
    for name in flat_node.outputs:
        flat.producers[name] = flat_node
    for index, name in enumerate(flat_node.inputs):
        if name:
            flat.readers.setdefault(name, []).append((flat_node, index))
    if node.op_type == "Constant" and flat_node.outputs:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.HasField("t"):
                flat.constants[flat_node.outputs[0]] = attribute.t
            elif attribute.name in _WHOLE_VALUES:
                whole = np.array(helper.get_attribute_value(attribute), np.int64)
                flat.constants[flat_node.outputs[0]] = numpy_helper.from_array(whole)


def _simple(node: onnx.NodeProto) -> Iterator[tuple[Any, int | str]]:
    """The attributes that are one whole number or one text, and the strides of a convolution."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.INT:
            yield attribute, attribute.i
        elif attribute.type == onnx.AttributeProto.STRING and len(attribute.s) < _LONGEST_WORD:
            yield attribute, attribute.s.decode(errors="replace")
        elif attribute.name == "strides":
            yield attribute, prod(attribute.ints)
