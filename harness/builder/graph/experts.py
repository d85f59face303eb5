"""A mixture of experts: its matrices, what its operators cannot do, and its nodes.

ONNX Runtime multiplies all experts of a layer in one node: MoE with float weights, QMoE with
integers. Both take two stacks, [experts, 2 · width, hidden] with the rows of gate and up by turns,
and [experts, hidden, width].
"""

from dataclasses import dataclass
from typing import Any

from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.feedforward import add_block, multiply_stored
from harness.builder.graph.matrix import Matrix
from harness.builder.graph.mixture import Mixture
from harness.builder.graph.names import layer_name
from harness.builder.quantize.levels import Form, MatrixFormat
from harness.models.specs.model import Experts, ModelSpec, is_sensitive
from harness.models.specs.tensors import EXPERTS, ROUTER, SHARED, SHARED_GATE


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
    if experts is None:
        return ()
    prefix, hidden, wide = layer_name(layer), spec.hidden_size, experts.intermediate_size
    first = Stack(
        f"{prefix}.{EXPERTS}_gate_up", experts.count, 2 * wide, hidden, ("gate_proj", "up_proj")
    )
    name = f"{prefix}.{EXPERTS}_down"
    sensitive = is_sensitive(name, spec.num_layers)
    return first, Stack(name, experts.count, hidden, wide, ("down_proj",), sensitive)


def expert_matrices(spec: ModelSpec, experts: Experts, prefix: str) -> dict[str, Matrix]:
    """Return the matrices beside the stacks: the router, and the block that every token uses."""
    hidden, shared = spec.hidden_size, experts.shared_intermediate_size
    matrices = {"router": Matrix(f"{prefix}.{ROUTER}", experts.count, hidden)}
    if shared:
        name = f"{prefix}.{SHARED}"
        matrices["gate"] = Matrix(f"{name}.gate_proj", shared, hidden)
        matrices["up"] = Matrix(f"{name}.up_proj", shared, hidden)
        matrices["down"] = Matrix(f"{name}.down_proj", hidden, shared)
    return matrices


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
    layer = int(prefix.rpartition(".")[2])
    first, second = expert_stacks(spec, layer)
    form = levels.of(first.name).body
    if form.form is Form.FLOAT:
        inputs = (values, scores, f"{first.name}.weight", "", f"{second.name}.weight")
        mixed = emitter.add("MoE", inputs, f"{block}.mixed", MICROSOFT, **_attributes(experts))
    else:
        mixed = _add_quantized(emitter, experts, values, scores, (first, second), form, block)
    if not experts.shared_intermediate_size:
        return mixed
    given = add_block(emitter, spec, matrices, values, levels, f"{prefix}.{SHARED}")
    return emitter.add("Add", (mixed, _gated(emitter, values, given, prefix)), f"{block}.sum")


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
    if not experts.normalised:
        weights = emitter.add("Softmax", (scores,), f"{block}.router.weights", axis=-1)
    arrays = [(f"{stack.name}.quantized", f"{stack.name}.scales", "") for stack in stacks]
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


def _attributes(experts: Experts) -> dict[str, Any]:
    """Return what both operators take: gated SiLU, gate and up by turns."""
    return {
        "k": experts.active,
        "activation_type": "swiglu",
        "swiglu_fusion": 1,
        "activation_alpha": 1.0,
        "activation_beta": 0.0,
        "normalize_routing_weights": int(experts.normalised),
    }


def _gated(emitter: Emitter, values: str, given: str, prefix: str) -> str:
    """Add the shared block's output times the sigmoid of its gate, one number per token."""
    gate = f"{prefix}.{SHARED_GATE}"
    products = emitter.add("Mul", (values, f"{gate}.weight"), f"{gate}.products")
    axis = emitter.constant(f"{gate}.axis", [-1])
    total = emitter.add("ReduceSum", (products, axis), f"{gate}.total", keepdims=1)
    share = emitter.add("Sigmoid", (total,), f"{gate}.share")
    return emitter.add("Mul", (given, share), f"{gate}.given")
