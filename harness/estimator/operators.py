"""How many operator calls one pass makes: nodes of the built graph, before anything is built."""

from functools import singledispatch

from harness.builder.quantize.levels import Form, QuantLevel
from harness.models.specs.encoder import AnySpec, EncoderSpec
from harness.models.specs.model import ModelSpec
from harness.models.specs.norms import NORM_ORDERS
from harness.models.specs.structure import ModelStructure

MASK_NODES = 6  # lengths and total length from the attention mask
LAYER_NODES = 11  # qkv, attention, out, norm, gate, up, sigmoid, two products, down, norm
ACTIVATION_NODES = {"silu": 2, "gelu_tanh": 1}
QK_NORM_NODES = {"none": 0, "per_head": 7, "full_width": 3}  # split, and norms with two reshapes
POSITION_NODES = 6  # learned: count, subtract, width, negate, slice; and the sum with the embedding
MIXTURE_NODES = 3  # router, reshape, all experts
SHARED_NODES = 11  # gate, up, sigmoid, two products, down; multiply, sum, sigmoid, multiply; add
CAP_NODES = 3  # divide, tanh, multiply
ENCODER_LAYER_NODES = 11  # qkv, split, attention, out, sum, norm, up, GELU, down, sum, norm
POOL_NODES = {"mean": 5, "cls": 2}  # with the scaling to length 1
ROUTER_NODES = 4  # router, choice of experts, gather, scatter


def operator_calls(model: ModelStructure, level: QuantLevel, layers: int) -> float:
    """Nodes that run in one pass of the graph.

    Exact for what is built here (see built_operator_calls). Any other model: `layers` layers like
    Llama's, and where there are experts the router's calls and each matrix of all experts in one
    grouped call (assumed).
    """
    if model.spec is not None:
        return float(built_operator_calls(model.spec, level))
    around = MASK_NODES + 2 + 2  # mask, embedding and first norm, head
    has_experts = any(piece.active is not None for piece in model.pieces)
    return around + layers * (LAYER_NODES + (ROUTER_NODES if has_experts else 0))


@singledispatch
def built_operator_calls(spec: AnySpec, level: QuantLevel) -> int:
    """Nodes of `model.onnx` that run in every pass, by the kind of an architecture."""
    raise TypeError(f"{spec!r} is no architecture")


@built_operator_calls.register
def _encoder_calls(spec: EncoderSpec, level: QuantLevel) -> int:
    """Nodes of a built encoder that run in every pass.

        6 mask + 3 positions + tables · (1 or 2) + 2 sum and norm + 5 mean or 2 first token
        [+ 1 where float16 leaves as float32] + layers · (11 [+ 4 where float matrices add biases])

    A layer: four matrices, split, attention, GELU, two sums and two norms. A look-up takes a second
    node where its padded rows are cut.
    Source: harness.builder.graph.encoder, whose nodes a test counts.
    """
    layer = ENCODER_LAYER_NODES + (4 if level.body.form is Form.FLOAT else 0)
    table = level.table
    padded = table.form is Form.BLOCK and table.padded_inputs(spec.hidden_size) != spec.hidden_size
    tables = (3 if spec.token_types else 2) * (2 if padded else 1)
    around = 6 + 3 + tables + 2 + POOL_NODES[spec.pooling]
    around += 1 if level.float_dtype == "float16" else 0
    return around + spec.num_layers * layer


@built_operator_calls.register
def _decoder_calls(spec: ModelSpec, level: QuantLevel) -> int:
    """Nodes of a built decoder that run in every pass.

        6 mask + tables · (1 or 2) [+ 1 scaled] [+ 6 learned positions] + norms and sums + head
        + layers · (qkv, attention, out, [gate,] up, activation [, product], down)

    A matrix takes a second node where a float one adds a bias; query and key norms 7 per head, 3 of
    full width; a table a second one where its padded rows are cut; the head 3 nodes in float, 2 in
    blocks, one more where float16 logits are cast, 3 where they are capped. Left out: constants and
    the rotary tables, which ONNX Runtime folds when a session loads, and the fusions it makes then.
    Source: harness.builder.graph.decoder, whose nodes a test counts.
    """
    table = level.table
    padded = table.form is Form.BLOCK and table.padded_inputs(spec.hidden_size) != spec.hidden_size
    learned = spec.positions == "learned"
    around = (2 if padded else 1) * (2 if learned else 1) + (POSITION_NODES if learned else 0)
    around += 1 if spec.scaled_embedding else 0
    around += 3 if table.form is Form.FLOAT else 2
    around += 1 if level.float_dtype == "float16" else 0
    around += CAP_NODES if spec.logit_softcap is not None else 0
    return MASK_NODES + around + _norm_nodes(spec) + spec.num_layers * _layer_nodes(spec, level)


def _layer_nodes(spec: ModelSpec, level: QuantLevel) -> int:
    """Nodes of one layer without its norms and sums."""
    nodes = 3 + QK_NORM_NODES[spec.qk_norm]  # qkv, attention, out
    if spec.experts is None:
        nodes += 2 + (2 if spec.mlp_gated else 0) + ACTIVATION_NODES[spec.activation]
    else:
        nodes += MIXTURE_NODES + (SHARED_NODES if spec.experts.shared_gate else 0)
        # QMoE does not scale weights that are given to it: a softmax more
        nodes += 0 if spec.experts.normalised or level.body.form is Form.FLOAT else 1
    if level.body.form is Form.FLOAT:
        nodes += (1 if spec.qkv_bias else 0) + (3 if spec.all_bias else 0)
    return nodes


def _norm_nodes(spec: ModelSpec) -> int:
    """Nodes of all norms, and of the sums along the residual stream.

    One of each between two layers' parts; an RMS norm takes one addend in as one node.
    """
    order = NORM_ORDERS[spec.norm_order]
    norms = spec.num_layers * len(order.names) + 1
    sums = spec.num_layers * (1 if order.parallel else 2)
    if spec.norm == "layernorm" or order.parallel:
        return norms + sums
    taken = spec.num_layers * sum(
        1 for name in (order.before_attention, order.before_block) if name
    )
    return norms + sums - taken - (0 if order.before_attention else 1)
