"""How many operator calls one pass makes: nodes of the built graph, before anything is built."""

from harness.quantize.levels import Form, QuantLevel
from harness.specs.anatomy import Anatomy
from harness.specs.encoder import AnySpec, EncoderSpec
from harness.specs.model import ModelSpec

MASK_NODES = 6  # lengths and total length from the attention mask
LAYER_NODES = 11  # qkv, attention, out, norm, gate, up, sigmoid, two products, down, norm
ENCODER_LAYER_NODES = 11  # qkv, split, attention, out, sum, norm, up, GELU, down, sum, norm
POOL_NODES = {"mean": 5, "cls": 2}  # with the scaling to length 1
HEAD_NORM_NODES = 7  # split, then reshape, norm, reshape of queries and of keys
ROUTER_NODES = 4  # router, choice of experts, gather, scatter


def operator_calls(model: Anatomy, level: QuantLevel, layers: int) -> float:
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


def built_operator_calls(spec: AnySpec, level: QuantLevel) -> int:
    """Nodes of `model.onnx` that run in every pass."""
    if isinstance(spec, EncoderSpec):
        return _encoder_calls(spec, level)
    return _decoder_calls(spec, level)


def _encoder_calls(spec: EncoderSpec, level: QuantLevel) -> int:
    """Nodes of a built encoder that run in every pass.

        1 mask + 3 positions + tables · (1 or 2) + 2 sum and norm + 5 mean or 2 first token
        [+ 1 where float16 leaves as float32] + layers · (11 [+ 4 where float matrices add biases])

    A layer: four matrices, split, attention, GELU, two sums and two norms. A look-up takes a second
    node where its padded rows are cut.
    Source: harness.graph.encoder, whose nodes a test counts.
    """
    layer = ENCODER_LAYER_NODES + (4 if level.body.form is Form.FLOAT else 0)
    table = level.table
    padded = table.form is Form.BLOCK and table.padded_inputs(spec.hidden_size) != spec.hidden_size
    tables = (3 if spec.token_types else 2) * (2 if padded else 1)
    around = 1 + 3 + tables + 2 + POOL_NODES[spec.pooling]
    around += 1 if level.float_dtype == "float16" else 0
    return around + spec.num_layers * layer


def _decoder_calls(spec: ModelSpec, level: QuantLevel) -> int:
    """Nodes of a built decoder that run in every pass.

        6 mask + 1 or 2 embedding + 1 first norm + head
        + layers · (11 [+ 1 where a float matrix adds a bias] [+ 7 with head norms])

    The embedding takes a second node where its padded rows are cut; the head 3 nodes in float, 2
    in blocks, one more where float16 logits are cast. Left out: constants and the rotary tables,
    which ONNX Runtime folds when a session loads, and the fusions it makes then.
    Source: harness.graph.decoder, whose nodes a test counts.
    """
    layer = LAYER_NODES
    layer += 1 if spec.qkv_bias and level.body.form is Form.FLOAT else 0
    layer += HEAD_NORM_NODES if spec.qk_norm else 0
    table = level.table
    padded = table.form is Form.BLOCK and table.padded_inputs(spec.hidden_size) != spec.hidden_size
    head = 3 if table.form is Form.FLOAT else 2
    head += 1 if level.float_dtype == "float16" else 0
    return MASK_NODES + (2 if padded else 1) + 1 + head + spec.num_layers * layer
