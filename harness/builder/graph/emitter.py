"""Collects the nodes of one graph; each call adds a node and returns the name of its output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"


class Emitter:
    """Nodes in execution order. A node is named after its output; names come from the caller."""

    def __init__(self) -> None:
        """Start with no node."""
        self.nodes: list[onnx.NodeProto] = []

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str,
        domain: str = "",
        more_outputs: Sequence[str] = (),
        **attributes: Any,
    ) -> str:
        """Add one node.

        Args:
            operator: its type.
            inputs: names; an empty one leaves an optional input out.
            output: name of the first output and of the node.
            domain: of the operator; empty for ONNX's own.
            more_outputs: names of the further outputs.
            attributes: as ONNX takes them.

        Returns:
            `output`.
        """
        kept = list(inputs)
        while kept and not kept[-1]:
            kept.pop()
        node = helper.make_node(
            operator, kept, [output, *more_outputs], name=output, domain=domain, **attributes
        )
        self.nodes.append(node)
        return output

    def constant(self, name: str, value: object, dtype: str = "int64") -> str:
        """Add a small constant as a node: initializers are kept for the trained weights."""
        tensor = numpy_helper.from_array(np.asarray(value, dtype=dtype), name)
        return self.add("Constant", (), name, value=tensor)
