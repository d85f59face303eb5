"""Tiny decoders layer by layer, under any names: caches, states, buffers, vectors instead of ids.

No layer has weights but a convolution: attention is without a softmax, so a pass over a whole text
and its single steps give the same numbers up to rounding.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.models.exported.tiny_graphs import VOCAB, WIDTH, Shape, ids, model, port, values

PAIR = ("past_key_values.{}.{}", "present.{}.{}")
TAPS = 3  # of a convolution: its state holds one less
BUFFER_TOKENS = 24
LONG = TensorProto.INT64


class Tiny:
    """A decoder under construction; `x` names what the next layer reads [batch, tokens, WIDTH]."""

    def __init__(self, text: str = "input_ids", takes_vectors: bool = False) -> None:
        """Begin with a table of embeddings, or with vectors as an input."""
        self.nodes: list[onnx.NodeProto] = []
        self.inputs = [port(text, ["batch", "tokens", WIDTH]) if takes_vectors else ids(text)]
        self.outputs: list[onnx.ValueInfoProto] = []
        self.weights: dict[str, NDArray[Any]] = {"one": np.array(1), "two": np.array(2)}
        self.x = text
        if not takes_vectors:
            self.weights["table"] = values(VOCAB, WIDTH) / 4
            self.x = self.node("Gather", "table", text)

    def node(self, op: str, *takes: str, gives: str | None = None, **attributes: Any) -> str:
        """Add a node; return the name of its one output."""
        found = gives or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(takes), [found], **attributes))
        return found

    def kept(self, past: str, present: str, before: Shape, after: Shape | None = None) -> None:
        """Declare one tensor that goes in and comes out."""
        self.inputs.append(port(past, before))
        self.outputs.append(port(present, after or before))

    def added(self, name: str) -> "Tiny":
        """The next layer reads the sum of this one's input and output."""
        self.x = self.node("Add", self.x, name)
        return self

    def attention(self, layer: int, heads: int = 2, names: Sequence[str] = PAIR) -> "Tiny":
        """Every token reads itself and those before it; keys and values are what goes in."""
        width = WIDTH // heads
        self.weights |= {f"split{heads}": np.array([0, -1, heads, width])}
        self.weights |= {"flat": np.array([0, -1, WIDTH])}
        new = self.node(
            "Transpose", self.node("Reshape", self.x, f"split{heads}"), perm=[0, 2, 1, 3]
        )
        first, last = ([name.format(layer, half) for half in ("key", "value")] for name in names)
        before, after = (["batch", heads, length, width] for length in ("past", "total"))
        for past, present in zip(first, last, strict=True):
            self.kept(past, present, before, after)
            self.node("Concat", past, new, gives=present, axis=2)
        held = self.node("Gather", self.node("Shape", first[0]), "two")
        turned = self.node("Transpose", last[0], perm=[0, 1, 3, 2])
        seen = self.node("Trilu", self.node("MatMul", new, turned), held, upper=0)
        out = self.node("Transpose", self.node("MatMul", seen, last[1]), perm=[0, 2, 1, 3])
        return self.added(self.node("Reshape", out, "flat"))

    def convolution(self, past: str, present: str) -> "Tiny":
        """Each channel reads its last TAPS values: a state [batch, channels, TAPS - 1]."""
        self.weights["taps"] = values(WIDTH, 1, TAPS, seed=2)
        self.weights |= {
            "last": np.array([1 - TAPS]),
            "end": np.array([2**31]),
            "ax": np.array([2]),
        }
        self.kept(past, present, ["batch", WIDTH, TAPS - 1])
        line = self.node("Concat", past, self.node("Transpose", self.x, perm=[0, 2, 1]), axis=2)
        self.node("Slice", line, "last", "end", "ax", gives=present)
        out = self.node("Conv", line, "taps", group=WIDTH)
        return self.added(self.node("Transpose", out, perm=[0, 2, 1]))

    def recurrence(self, past: str, present: str) -> "Tiny":
        """A state [batch, width, width]: the sum of what every token adds."""
        self.kept(past, present, ["batch", WIDTH, WIDTH])
        turned = self.node("Transpose", self.x, perm=[0, 2, 1])
        self.node("Add", past, self.node("MatMul", turned, self.x), gives=present)
        scores = self.node("Trilu", self.node("MatMul", self.x, turned), upper=0)
        new = self.node("MatMul", scores, self.x)
        return self.added(self.node("Add", new, self.node("MatMul", self.x, past)))

    def buffer(self, layer: int, names: Sequence[str], size: int | str = BUFFER_TOKENS) -> "Tiny":
        """Attention over a buffer of so many positions, written by TensorScatter."""
        known = {value.name for value in self.inputs}
        for place in {"write_indices", "nonpad_kv_seqlen"} - known:
            self.inputs.append(port(place, ["batch"], LONG))
        whole = [name.format(half, layer) for half in ("key", "value") for name in names]
        for past, present in (whole[:2], whole[2:]):
            self.kept(past, present, ["batch", size, WIDTH])
            self.node("TensorScatter", past, self.x, "write_indices", gives=present, axis=1)
        taken = (self.x, whole[1], whole[3], "", "", "", "nonpad_kv_seqlen")
        return self.added(self.node("Attention", *taken, q_num_heads=2, kv_num_heads=2))

    def rows(self, layer: int) -> "Tiny":
        """Attention over a buffer that ScatterND writes at `cache_position`: a new tensor."""
        self.inputs.append(port("cache_position", ["tokens"], LONG))
        past, present = f"past_key_values.{layer}.key", f"present.{layer}.key"
        self.kept(past, present, [1, BUFFER_TOKENS, WIDTH])
        self.weights |= {"first": np.array([0]), "behind": np.array([-1])}
        self.weights |= {"steps": np.arange(BUFFER_TOKENS)}
        where = self.node("Unsqueeze", "cache_position", "behind")
        lines = self.node("Squeeze", past, "first"), self.node("Squeeze", self.x, "first")
        self.node(
            "Unsqueeze", self.node("ScatterND", lines[0], where, lines[1]), "first", gives=present
        )
        scores = self.node("MatMul", self.x, self.node("Transpose", present, perm=[0, 2, 1]))
        seen = self.node("Cast", self.node("LessOrEqual", "steps", where), to=TensorProto.FLOAT)
        return self.added(self.node("MatMul", self.node("Mul", scores, seen), present))

    def fused(self, lengths: str, total: str) -> "Tiny":
        """GroupQueryAttention over a shared buffer, with its lengths as inputs of the graph."""
        self.inputs.append(port(lengths, ["batch"], TensorProto.INT32))
        self.inputs.append(port(total, [], TensorProto.INT32))
        names = [name.format(0, half) for half in ("key", "value") for name in PAIR]
        for past, present in (names[:2], names[2:]):
            self.kept(
                past, present, ["batch", 2, "past", WIDTH // 2], ["batch", 2, "all", WIDTH // 2]
            )
        takes = [self.x, self.x, self.x, names[0], names[2], lengths, total]
        sizes = {"num_heads": 2, "kv_num_heads": 2, "domain": "com.microsoft"}
        gives = ["attended", names[1], names[3]]
        self.nodes.append(helper.make_node("GroupQueryAttention", takes, gives, **sizes))
        return self.added("attended")

    def masked(self, name: str) -> "Tiny":
        """One more mask [batch, 1, tokens, all], whose row of the last token is added up."""
        self.inputs.append(port(name, ["batch", 1, "tokens", "total"]))
        self.weights |= {"first": np.array([1]), "behind": np.array([-1])}
        least = self.node("ReduceMax", self.node("Squeeze", name, "first"), "behind", keepdims=1)
        return self.added(least)

    def plus(self, name: str, shape: Shape) -> "Tiny":
        """One more input of floats, whose mean is added: of each token's own, or of all."""
        self.inputs.append(port(name, shape))
        if shape[:2] != ["batch", "tokens"]:
            return self.added(self.node("ReduceMean", name, keepdims=0))
        self.weights |= {"inner": np.array([2, 3]), "behind": np.array([-1])}
        mean = self.node("ReduceMean", name, "inner", keepdims=0)
        return self.added(self.node("Unsqueeze", mean, "behind"))

    def logits(self, name: str = "logits") -> onnx.ModelProto:
        """The decoder, with a head."""
        self.weights["head"] = values(WIDTH, VOCAB, seed=1)
        self.node("MatMul", self.x, "head", gives=name)
        return self._model(port(name, ["batch", "tokens", VOCAB]))

    def vectors(self, name: str) -> onnx.ModelProto:
        """What each token became, without a head."""
        self.node("Identity", self.x, gives=name)
        return self._model(port(name, ["batch", "tokens", WIDTH]))

    def _model(self, first: onnx.ValueInfoProto) -> onnx.ModelProto:
        """All of it, at the first opset that has TensorScatter."""
        found = model(self.nodes, self.inputs, [first, *self.outputs], self.weights)
        found.opset_import[0].version, found.ir_version = 24, 11
        return found
