"""Nodes of one decoder layer: its mixers, the block, and the norms around them.

ONNX Runtime multiplies all experts of a layer in one node: MoE with float weights, QMoE with
integers. Both take two stacks, [experts, 2 · width, hidden] with the rows of gate and up by turns,
and [experts, hidden, width].
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import numpy_helper

from harness.builder.graph.attention import attend
from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.matrix import Matrix, multiply
from harness.builder.graph.mixing import AttentionInputs, Mixing
from harness.builder.graph.mixture import Mixture
from harness.builder.graph.names import layer_name
from harness.builder.graph.recurrent import convolve, delta_rule, mamba
from harness.builder.quantize.levels import Form, MatrixFormat
from harness.models.specs.blocks import (
    CHOICE_BIAS,
    EXPERTS,
    SCALAR,
    SHARED,
    SHARED_GATE,
    SIDE_GATE,
    SIDE_NORM,
    SIDE_OUT,
    Part,
    layer_parts,
)
from harness.models.specs.layers import Experts, FeedForward, Mixer
from harness.models.specs.model import NORM_ENDS, ModelSpec, is_sensitive


class Residual:
    """What all layers add to; the last addends wait, so that a norm can take their sum in."""

    def __init__(self, emitter: Emitter, spec: ModelSpec, stream: str, done: str = "") -> None:
        """Begin with the embedding [batch, tokens, hidden].

        Args:
            emitter: takes the nodes.
            spec: the architecture.
            stream: the embedding.
            done: full name of a norm that the stream has passed already; empty: none.
        """
        self._emitter = emitter
        self._spec = spec
        self._stream = stream
        self._done = done
        self._addends: tuple[str, ...] = ()

    def add(self, *addends: str) -> None:
        """Add what attention or block gave, before the stream is read next."""
        self._addends = addends

    def read(self, norm: str, plain: str) -> str:
        """Return the stream: normalised, or as it is where `norm` is empty.

        Args:
            norm: full name of the norm's weights, or empty.
            plain: name of the sum where there is no norm.
        """
        if not norm or norm == self._done:
            self._sum(plain)
            return self._stream
        if self._spec.norm == "rmsnorm" and len(self._addends) == 1:
            return self._add_and_norm(norm)
        self._sum(f"{norm}.residual")
        return add_norm(self._emitter, self._spec, self._stream, norm)

    def scale(self, factor: str) -> None:
        """Multiply all that was added so far by a trained number."""
        self._sum(f"{factor}.sum")
        self._stream = self._emitter.add("Mul", (self._stream, factor), f"{factor}.scaled")

    def _sum(self, name: str) -> None:
        """Add the sum of the stream and what waits.

        Sum, not Add: ONNX Runtime would fuse Add and a layer norm into SkipLayerNormalization, a
        slow kernel (see graph/encoder_block.py).
        """
        if self._addends:
            inputs = (*self._addends, self._stream)
            self._stream = self._emitter.add("Sum", inputs, name)
        self._addends = ()

    def _add_and_norm(self, norm: str) -> str:
        """Add the sum and its RMS norm as one node."""
        inputs = (self._addends[0], self._stream, f"{norm}.weight")
        self._stream, self._addends = f"{norm}.residual", ()
        return self._emitter.add(
            "SkipSimplifiedLayerNormalization",
            inputs,
            f"{norm}.normalised",
            MICROSOFT,
            more_outputs=("", "", self._stream),
            epsilon=self._spec.norm_epsilon,
        )


def add_norm(emitter: Emitter, spec: ModelSpec, values: str, norm: str) -> str:
    """Add the norm of [batch, tokens, hidden]; returns its name."""
    if spec.norm != "rmsnorm":
        return emitter.add(
            "LayerNormalization",
            (values, *(f"{norm}.{end}" for end in NORM_ENDS[spec.norm])),
            f"{norm}.normalised",
            axis=-1,
            epsilon=spec.norm_epsilon,
        )
    return emitter.add(
        "SimplifiedLayerNormalization",
        (values, f"{norm}.weight"),
        f"{norm}.normalised",
        axis=-1,
        epsilon=spec.norm_epsilon,
        stash_type=1,
    )


def add_block(
    emitter: Emitter,
    spec: ModelSpec,
    matrices: Mapping[str, Matrix],
    values: str,
    levels: Mixture,
    block: str,
) -> str:
    """Add the block.

    Args:
        emitter: takes the nodes.
        spec: the architecture: its activation, and whether there is a gate beside up.
        matrices: `up`, `down` and, with a gate, `gate`.
        values: what it reads, [batch, tokens, hidden].
        levels: how the matrices are stored.
        block: its name, before the names of its nodes.
    """
    if not spec.mlp_gated:
        up = multiply_stored(emitter, matrices["up"], values, levels)
        active = _ACTIVATIONS[spec.activation](emitter, up, block)
        return multiply_stored(emitter, matrices["down"], active, levels)
    gate = multiply_stored(emitter, matrices["gate"], values, levels)
    up = multiply_stored(emitter, matrices["up"], values, levels)
    active = _ACTIVATIONS[spec.activation](emitter, gate, block)
    product = emitter.add("Mul", (active, up), f"{block}.gated")
    return multiply_stored(emitter, matrices["down"], product, levels)


def multiply_stored(emitter: Emitter, matrix: Matrix, activations: str, levels: Mixture) -> str:
    """Add the product with a matrix, as it is stored."""
    return multiply(emitter, matrix, activations, levels.of(matrix.name))


def _silu(emitter: Emitter, values: str, block: str) -> str:
    """Add x · sigmoid(x)."""
    sigmoid = emitter.add("Sigmoid", (values,), f"{block}.sigmoid")
    return emitter.add("Mul", (values, sigmoid), f"{block}.silu")


def _gelu(emitter: Emitter, values: str, block: str) -> str:
    """Add GELU, exactly."""
    return emitter.add("Gelu", (values,), f"{block}.gelu", approximate="none")


def _gelu_tanh(emitter: Emitter, values: str, block: str) -> str:
    """Add the tanh approximation of GELU."""
    return emitter.add("Gelu", (values,), f"{block}.gelu", approximate="tanh")


def _relu2(emitter: Emitter, values: str, block: str) -> str:
    """Add max(x, 0)²."""
    positive = emitter.add("Relu", (values,), f"{block}.relu")
    return emitter.add("Mul", (positive, positive), f"{block}.relu2")


_ACTIVATIONS = {"silu": _silu, "gelu": _gelu, "gelu_tanh": _gelu_tanh, "relu2": _relu2}


@dataclass(frozen=True, slots=True)
class Stack:
    """One kind of matrix of all experts of a layer, stored as one.

    Attributes:
        name: before the names of its arrays.
        experts: how many.
        outputs: rows of one expert.
        inputs: columns.
        parts: names of the tensors of each expert, whose rows are stored by turns.
        sensitive: whether a mixed level would keep it at more bits.
    """

    name: str
    experts: int
    outputs: int
    inputs: int
    parts: tuple[str, ...]
    sensitive: bool = False


def expert_stacks(spec: ModelSpec, layer: int) -> tuple[Stack, ...]:
    """Return the two stacks of a layer: gate and up, then down; none without experts."""
    experts = spec.experts
    if experts is None or spec.layer(layer).feed_forward is not FeedForward.EXPERTS:
        return ()
    prefix, hidden, wide = layer_name(layer), spec.hidden_size, experts.intermediate_size
    first = Stack(
        f"{prefix}.{EXPERTS}_gate_up", experts.count, 2 * wide, hidden, ("gate_proj", "up_proj")
    )
    name = f"{prefix}.{EXPERTS}_down"
    sensitive = is_sensitive(name, spec.num_layers)
    return first, Stack(name, experts.count, hidden, wide, ("down_proj",), sensitive)


def add_experts(
    emitter: Emitter,
    spec: ModelSpec,
    experts: Experts,
    matrices: dict[str, Matrix],
    values: str,
    levels: Mixture,
    prefix: str,
) -> str:
    """Add router, experts and shared block of one layer; arguments as those of add_block."""
    block = f"{prefix}.mlp"
    routed = multiply_stored(emitter, matrices["router"], values, levels)
    shape = emitter.constant(f"{block}.router.shape", [-1, experts.count])
    scores = emitter.add("Reshape", (routed, shape), f"{block}.router.scores")
    if experts.sigmoid:
        scores = _by_sigmoids(emitter, experts, scores, prefix, levels)
    layer = int(prefix.rpartition(".")[2])
    first, second = expert_stacks(spec, layer)
    form = levels.of(first.name).body
    if form.form is Form.FLOAT:
        first_bias, second_bias = _biases(experts, (first, second))
        inputs = (
            *(values, scores, f"{first.name}.weight", first_bias),
            *(f"{second.name}.weight", second_bias),
        )
        mixed = emitter.add("MoE", inputs, f"{block}.mixed", MICROSOFT, **_attributes(experts))
    else:
        mixed = _add_quantized(emitter, experts, values, scores, (first, second), form, block)
    if experts.sigmoid and not experts.normalised:
        mixed = _by_total(emitter, values, mixed, block)
    if not experts.shared_intermediate_size:
        return mixed
    given = add_block(emitter, spec, matrices, values, levels, f"{prefix}.{SHARED}")
    if experts.shared_gate:
        given = _gated(emitter, values, given, prefix)
    return emitter.add("Add", (mixed, given), f"{block}.sum")


def _add_quantized(
    emitter: Emitter,
    experts: Experts,
    values: str,
    scores: str,
    stacks: tuple[Stack, Stack],
    form: MatrixFormat,
    block: str,
) -> str:
    """Add QMoE.

    Its CPU kernel scales the weights of the active experts to sum to 1 whatever
    normalize_routing_weights says, unless they are given: so they are, where they shall not be
    scaled (seen with onnxruntime 1.32.0; MoE does as it says).
    """
    zeros = [f"{stack.name}.zero_points" if form.zero_points else "" for stack in stacks]
    weights = ""
    if not experts.normalised and not experts.sigmoid:
        weights = emitter.add("Softmax", (scores,), f"{block}.router.weights", axis=-1)
    arrays = [
        (f"{stack.name}.quantized", f"{stack.name}.scales", bias)
        for stack, bias in zip(stacks, _biases(experts, stacks), strict=True)
    ]
    inputs = (values, scores, *arrays[0], *arrays[1], "", "", "", *zeros, "", weights)
    blocks: dict[str, Any] = {}
    if form.form is Form.BLOCK:
        blocks["block_size"] = form.block_weights
    return emitter.add(
        "QMoE",
        inputs,
        f"{block}.mixed",
        MICROSOFT,
        expert_weight_bits=form.bits,
        accuracy_level=form.accuracy_level,
        **blocks,
        **_attributes(experts),
    )


LOW = -10_000.0  # a score that no softmax gives a share, and that float16 holds


def _by_sigmoids(
    emitter: Emitter, experts: Experts, routed: str, prefix: str, levels: Mixture
) -> str:
    """Add scores whose softmax over the chosen experts is what their sigmoids say.

    The operators choose and weigh by one row of scores. It holds the logarithms of the chosen
    sigmoids, which a softmax turns into their shares, and LOW for all others.
    """
    name = f"{prefix}.mlp.router"
    shares = emitter.add("Sigmoid", (routed,), f"{name}.shares")
    choice = shares
    if experts.choice_bias:
        choice = emitter.add("Add", (shares, f"{prefix}.{CHOICE_BIAS}"), f"{name}.choice")
    count = emitter.constant(f"{name}.count", [experts.active])
    best = f"{name}.best"
    emitter.add("TopK", (choice, count), best, more_outputs=(f"{name}.chosen",), axis=-1)
    kept = emitter.add("GatherElements", (shares, f"{name}.chosen"), f"{name}.kept", axis=1)
    logs = emitter.add("Log", (kept,), f"{name}.logs")
    shape = emitter.add("Shape", (shares,), f"{name}.all")
    low = numpy_helper.from_array(np.array([LOW], levels.base.float_dtype))
    others = emitter.add("ConstantOfShape", (shape,), f"{name}.others", value=low)
    inputs = (others, f"{name}.chosen", logs)
    return emitter.add("ScatterElements", inputs, f"{name}.weighed", axis=1)


def _by_total(emitter: Emitter, values: str, mixed: str, block: str) -> str:
    """Add what the experts give times the sum of the chosen sigmoids, which were scaled to 1."""
    name = f"{block}.router"
    axis = emitter.constant(f"{name}.total_axis", [-1])
    total = emitter.add("ReduceSum", (f"{name}.kept", axis), f"{name}.total", keepdims=1)
    tokens = emitter.add("Shape", (values,), f"{name}.tokens", end=2)
    one = emitter.constant(f"{name}.one", [1])
    shape = emitter.add("Concat", (tokens, one), f"{name}.total_shape", axis=0)
    total = emitter.add("Reshape", (total, shape), f"{name}.by_token")
    return emitter.add("Mul", (mixed, total), f"{block}.weighed")


def _biases(experts: Experts, stacks: tuple[Stack, Stack]) -> tuple[str, str]:
    """Return the names of the biases of both stacks; empty where there are none."""
    first, second = (f"{stack.name}.bias" if experts.bias else "" for stack in stacks)
    return first, second


def _attributes(experts: Experts) -> dict[str, Any]:
    """Return what both operators take: gated SiLU, gate and up by turns."""
    limit = {} if experts.limit is None else {"swiglu_limit": experts.limit}
    return {
        "k": experts.active,
        "activation_type": "swiglu",
        "swiglu_fusion": 1,
        "activation_alpha": experts.gate_slope,
        "activation_beta": experts.up_added,
        "normalize_routing_weights": int(experts.normalised or experts.sigmoid),
        **limit,
    }


def _gated(emitter: Emitter, values: str, given: str, prefix: str) -> str:
    """Add the shared block's output times the sigmoid of its gate, one number per token."""
    gate = f"{prefix}.{SHARED_GATE}"
    products = emitter.add("Mul", (values, f"{gate}.weight"), f"{gate}.products")
    axis = emitter.constant(f"{gate}.axis", [-1])
    total = emitter.add("ReduceSum", (products, axis), f"{gate}.total", keepdims=1)
    share = emitter.add("Sigmoid", (total,), f"{gate}.share")
    return emitter.add("Mul", (given, share), f"{gate}.given")


def layer_matrices(spec: ModelSpec, layer: int) -> dict[str, Matrix]:
    """Return the stored matrices of one layer by the last part of their names, `qkv` or `gate`.

    Query, key and value are packed along the outputs. Of a mixture the router and the shared block;
    its experts are stacks.
    """
    return _matrices(spec, layer, lambda part: part.stored or part.name)


def separate_matrices(spec: ModelSpec, layer: int) -> dict[str, Matrix]:
    """Return the same with query, key and value apart, each with a range of its own."""
    return _matrices(spec, layer, lambda part: part.name)


def _matrices(spec: ModelSpec, layer: int, name_of: Callable[[Part], str]) -> dict[str, Matrix]:
    """Return the matrices of a layer, each of all parts that have its name."""
    found: dict[str, Matrix] = {}
    for part in layer_parts(spec, spec.layer(layer)):
        if not part.is_matrix or part.copies:
            continue
        name = f"{layer_name(layer)}.{name_of(part)}"
        key = name.rpartition(".")[2].removesuffix("_proj")
        outputs, inputs = part.shape
        before = found.get(key, Matrix(name, 0, inputs))
        found[key] = Matrix(
            name,
            before.outputs + outputs,
            inputs,
            part.has_bias,
            is_sensitive(f"{layer_name(layer)}.{part.stored or part.name}", spec.num_layers),
            (*before.sources, f"{layer_name(layer)}.{part.name}"),
        )
    return found


# The nodes of each mixer: from normalised values to what is added to the residual stream.
MIXERS: Mapping[Mixer, Callable[[Mixing, str], str]] = {
    Mixer.ATTENTION: attend,
    Mixer.CONVOLUTION: convolve,
    Mixer.DELTA: delta_rule,
    Mixer.MAMBA: mamba,
}


def add_layer(
    emitter: Emitter,
    spec: ModelSpec,
    levels: Mixture,
    layer: int,
    residual: Residual,
    shared: AttentionInputs,
) -> None:
    """Add one layer; what it gives waits in the residual stream.

    Args:
        emitter: takes the nodes.
        spec: the architecture.
        levels: how each of its matrices is stored.
        layer: its index.
        residual: the stream it reads and adds to.
        shared: what every attention reads.
    """
    one, prefix = spec.layer(layer), layer_name(layer)
    order = spec.norms_of(one)
    matrices = layer_matrices(spec, layer)
    values, mixed = "", []
    if one.mixers:
        norm = _full(prefix, order.before_attention)
        values = residual.read(norm, f"{prefix}.self_attn.residual")
        mixing = Mixing(emitter, spec, one, matrices, levels, shared)
        mixed = [MIXERS[mixer](mixing, values) for mixer in one.mixers]
        if order.after_attention:
            norm = f"{prefix}.{order.after_attention}"
            mixed = [add_norm(emitter, spec, given, norm) for given in mixed]
        if not order.parallel:
            residual.add(*mixed)
    if one.feed_forward is FeedForward.NONE:
        return
    if order.parallel:
        residual.add(*mixed, _block(emitter, spec, matrices, values, levels, prefix))
        return
    values = residual.read(_full(prefix, order.before_block), f"{prefix}.mlp.residual")
    given = _block(emitter, spec, matrices, values, levels, prefix)
    if order.after_block:
        given = add_norm(emitter, spec, given, f"{prefix}.{order.after_block}")
    residual.add(given)


def add_side(
    emitter: Emitter,
    spec: ModelSpec,
    levels: Mixture,
    layer: int,
    residual: Residual,
    shared: AttentionInputs,
) -> None:
    """Add what a layer makes of its part of a second embedding, and the layer's scalar.

    Arguments as those of add_layer.
    """
    prefix = layer_name(layer)
    if spec.per_layer_width:
        matrices, side = layer_matrices(spec, layer), f"{prefix}.side"
        values = residual.read("", f"{side}.residual")
        gate = multiply_stored(emitter, matrices[SIDE_GATE], values, levels)
        active = _ACTIVATIONS[spec.activation](emitter, gate, side)
        product = emitter.add("Mul", (active, shared.sides[layer]), f"{side}.gated")
        given = multiply_stored(emitter, matrices[SIDE_OUT], product, levels)
        residual.add(add_norm(emitter, spec, given, f"{prefix}.{SIDE_NORM}"))
    if spec.layer_scalars:
        residual.scale(f"{prefix}.{SCALAR}")


def _full(prefix: str, norm: str) -> str:
    """Return the full name of a norm, or nothing where there is none."""
    return f"{prefix}.{norm}" if norm else ""


def _block(
    emitter: Emitter,
    spec: ModelSpec,
    matrices: dict[str, Matrix],
    values: str,
    levels: Mixture,
    prefix: str,
) -> str:
    """Add the block, or the mixture that stands in its place."""
    if spec.experts is not None and "router" in matrices:
        return add_experts(emitter, spec, spec.experts, matrices, values, levels, prefix)
    return add_block(emitter, spec, matrices, values, levels, f"{prefix}.mlp")
