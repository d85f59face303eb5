"""Counts a built graph's flop and bytes by walking its nodes: the second, independent way."""

from dataclasses import dataclass

import onnx

Shape = tuple[int, ...]
HIDDEN = "last_hidden_state"  # of an encoder, all of whose heads together are as wide


@dataclass
class Walk:
    """One graph with the shapes of one pass.

    Attributes:
        model: the graph.
        batch: sequences.
        tokens: new ones.
        depth: cached ones.
        head_dim: of attention without a cache, whose shape would tell it.
    """

    model: onnx.ModelProto
    batch: int
    tokens: int
    depth: int
    head_dim: int = 0

    def __post_init__(self) -> None:
        """Shapes of the inputs and of every initializer."""
        self.dims: dict[str, Shape] = {
            tensor.name: tuple(tensor.dims) for tensor in self.model.graph.initializer
        }
        self.rows: dict[str, int] = {"input_ids": self.batch * self.tokens}
        self.flop = 0
        self.calls = 0
        for node in self.model.graph.node:
            self._visit(node)

    def initializer_bytes(self) -> int:
        """Bytes in the data file; two names of one place count once."""
        places = {}
        for tensor in self.model.graph.initializer:
            entries = {
                entry.key: int(entry.value)
                for entry in tensor.external_data
                if entry.key != "location"
            }
            places[entries["offset"]] = entries["length"]
        return sum(places.values())

    def _visit(self, node: onnx.NodeProto) -> None:
        """Add one node; its outputs have as many rows as its first input, unless it picks one."""
        folded = node.op_type == "Constant" or node.output[0].startswith(("rotary.", "folded."))
        self.calls += not folded
        attributes = {item.name: item for item in node.attribute}
        rows = self.rows.get(next((name for name in node.input if name in self.rows), ""), 0)
        if node.output[0] in ("last.hidden", "pool.vector"):
            rows = self.batch
        for name in node.output:
            self.rows[name] = rows
        self.flop += rows * self._state_flop(node, attributes)
        is_stored = len(node.input) > 1 and node.input[1] in self.dims
        if node.op_type in ("MatMul", "DynamicQuantizeMatMul", "Gemm") and is_stored:
            outputs, inputs = self.dims[node.input[1]]
            self.flop += 2 * rows * inputs * outputs
        elif node.op_type == "MatMulNBits":
            self.flop += 2 * rows * attributes["K"].i * attributes["N"].i
        elif node.op_type in ("MoE", "QMoE"):
            self.flop += 2 * rows * attributes["k"].i * self._expert_weights(node)
        elif node.op_type == "GroupQueryAttention":
            self.flop += self._attention(node, attributes)
        elif node.op_type == "MultiHeadAttention":
            output = next(port for port in self.model.graph.output if port.name == HIDDEN)
            hidden = output.type.tensor_type.shape.dim[2].dim_value
            self.flop += 4 * self.batch * hidden * self.tokens * self.tokens

    def _state_flop(self, node: onnx.NodeProto, attributes: dict[str, onnx.AttributeProto]) -> int:
        """Flop of a token in a convolution or a recurrence; none of others.

        Decay, update and product with the query; the delta rule subtracts a product as well.
        """
        if node.op_type == "CausalConvWithState":
            channels, _, taps = self.dims[node.input[1].removeprefix("folded.")]
            return 2 * channels * taps
        if node.op_type != "LinearAttention":
            return 0
        state = next(port for port in self.model.graph.input if port.name == node.input[3])
        heads, keys, values = (dim.dim_value for dim in state.type.tensor_type.shape.dim[1:])
        each = {b"gated": 5, b"gated_delta": 7}[attributes["update_rule"].s]
        return each * heads * keys * values

    def _expert_weights(self, node: onnx.NodeProto) -> int:
        """Weights of one expert: gate and up [2 · wide, hidden], down [hidden, wide]."""
        gate_up, down = (2, 4) if node.op_type == "MoE" else (2, 5)
        both, hidden = self.dims[node.input[gate_up]][1], self.dims[node.input[down]][1]
        return both * hidden + hidden * both // 2

    def _attention(self, node: onnx.NodeProto, attributes: dict[str, onnx.AttributeProto]) -> int:
        """Two products of one query and one key for every pair that is not masked."""
        heads, window = attributes["num_heads"].i, attributes["local_window_size"].i
        ports = (*self.model.graph.input, *self.model.graph.output)  # a layer may read another's
        caches = [port for port in ports if port.name == node.input[3]]
        dims = [port.type.tensor_type.shape.dim[3].dim_value for port in caches]
        head_dim = dims[0] if dims else self.head_dim
        pairs = 0
        for token in range(self.tokens):
            seen = self.depth + token + 1
            pairs += seen if window < 0 else min(seen, window)
        return 4 * self.batch * heads * head_dim * pairs
