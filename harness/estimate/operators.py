"""How many operator calls one pass makes: nodes of the built graph, before anything is built."""

from harness.quantize.levels import Form, QuantLevel
from harness.specs.anatomy import Anatomy
from harness.specs.model import ModelSpec

MASK_NODES = 6  # lengths and total length from the attention mask
LAYER_NODES = 11  # qkv, attention, out, norm, gate, up, sigmoid, two products, down, norm
HEAD_NORM_NODES = 7  # split, then reshape, norm, reshape of queries and of keys
EXPERT_NODES = 6  # gate, up, sigmoid, two products, down: of each active expert


def operator_calls(
    model: Anatomy, level: QuantLevel, layers: int, touched_experts: float = 0.0
) -> float:
    """Nodes that run in one pass of the graph.

    Exact for what is built here (see built_operator_calls). Any other model: `layers` layers like
    Llama's, and for a mixture six nodes per expert that at least one token uses (assumed).
    """
    if model.spec is not None:
        return float(built_operator_calls(model.spec, level))
    around = MASK_NODES + 2 + 2  # mask, embedding and first norm, head
    return around + layers * LAYER_NODES + EXPERT_NODES * touched_experts


def built_operator_calls(spec: ModelSpec, level: QuantLevel) -> int:
    """Nodes of `model.onnx` that run in every pass.

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
