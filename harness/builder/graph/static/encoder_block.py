"""Nodes of one layer of a static encoder: standard operators over a batch of padded texts.

Shapes in the comments: B texts, T tokens of each, H heads, d their width, h = H · d.
"""

from dataclasses import dataclass

from harness.builder.graph.encoder_block import APPROXIMATE, separate_encoder_matrices
from harness.builder.graph.names import layer_name
from harness.builder.graph.static.block import PROBABILITY, multiply, reshape
from harness.builder.graph.static.emitter import StaticEmitter
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import EncoderSpec

# Qualcomm's emulation (2.7.0) multiplies a matrix by other values than a 16-bit LayerNormalization
# of [16, h] gave, from its third row on. As [16, 1, h] it is right, and so is every other number
# of rows that was tried (1 to 1024).
SPREAD_ROWS = 16
NARROW = "uint8"  # of the second operand of a product of two activations, at every level


@dataclass(frozen=True, slots=True)
class EncoderShared:
    """What every layer reads.

    Attributes:
        sequences: B.
        tokens: T.
        mask: [B, 1, 1, T], added to the scores.
        scale: [1], 1 / sqrt(d), by which queries are multiplied.
    """

    sequences: int
    tokens: int
    mask: str
    scale: str


def add_static_layer(
    emitter: StaticEmitter,
    spec: EncoderSpec,
    level: QuantLevel,
    layer: int,
    stream: str,
    shared: EncoderShared,
) -> str:
    """Add one layer; takes and returns the stream [B · T, h]."""
    prefix, matrices = layer_name(layer), separate_encoder_matrices(spec, layer)
    attended = _attend(emitter, spec, level, layer, stream, shared)
    mixed = multiply(emitter, matrices["o"], attended, level)
    addends, rows = (mixed, stream), shared.sequences * shared.tokens
    stream = add_and_norm(emitter, spec, addends, f"{prefix}.self_attn_norm", rows)
    up = multiply(emitter, matrices["up"], stream, level)
    approximate = APPROXIMATE[spec.activation]
    active = emitter.compute("Gelu", (up,), f"{prefix}.mlp.gelu", approximate=approximate)
    down = multiply(emitter, matrices["down"], active, level)
    return add_and_norm(emitter, spec, (down, stream), f"{prefix}.mlp_norm", rows)


def add_and_norm(
    emitter: StaticEmitter, spec: EncoderSpec, addends: tuple[str, str], norm: str, rows: int
) -> str:
    """Add the layer norm of a sum [rows, h]; its weight and bias are on grids of their own."""
    hidden = spec.hidden_size
    total = emitter.compute("Add", addends, f"{norm}.sum")
    if rows == SPREAD_ROWS:
        total = reshape(emitter, total, f"{norm}.spread", [rows, 1, hidden])
    inputs = total, emitter.vector(f"{norm}.weight"), emitter.vector(f"{norm}.bias")
    normalised = emitter.compute(
        "LayerNormalization", inputs, f"{norm}.normalised", axis=-1, epsilon=spec.norm_epsilon
    )
    if rows != SPREAD_ROWS:
        return normalised
    return reshape(emitter, normalised, f"{norm}.rows", [rows, hidden])


def _attend(
    emitter: StaticEmitter,
    spec: EncoderSpec,
    level: QuantLevel,
    layer: int,
    stream: str,
    shared: EncoderShared,
) -> str:
    """Add attention in both directions; returns [B · T, h]."""
    name, matrices = f"{layer_name(layer)}.self_attn", separate_encoder_matrices(spec, layer)
    query, keys, values = (multiply(emitter, matrices[side], stream, level) for side in "qkv")
    query = emitter.compute("Mul", (query, shared.scale), f"{name}.q_scaled")
    keys = emitter.convert(keys, f"{name}.k_narrow", NARROW)
    values = emitter.convert(values, f"{name}.v_narrow", NARROW)
    rows = _by_head(emitter, spec, query, f"{name}.q", [0, 2, 1, 3], shared)  # [B, H, T, d]
    columns = _by_head(emitter, spec, keys, f"{name}.k", [0, 2, 3, 1], shared)  # [B, H, d, T]
    sides = _by_head(emitter, spec, values, f"{name}.v", [0, 2, 1, 3], shared)
    scores = emitter.compute("MatMul", (rows, columns), f"{name}.scores")
    masked = emitter.compute("Add", (scores, shared.mask), f"{name}.masked", is_score=True)
    weights = emitter.compute("Softmax", (masked,), f"{name}.weights", PROBABILITY, axis=-1)
    attended = emitter.compute("MatMul", (weights, sides), f"{name}.attended")
    turned = emitter.move("Transpose", (attended,), f"{name}.by_token", perm=[0, 2, 1, 3])
    shape = [shared.sequences * shared.tokens, spec.hidden_size]
    return reshape(emitter, turned, f"{name}.flat", shape)


def _by_head(
    emitter: StaticEmitter,
    spec: EncoderSpec,
    values: str,
    name: str,
    perm: list[int],
    shared: EncoderShared,
) -> str:
    """Add the parting of [B · T, h] into heads, its axes B, T, H, d put in the order `perm`."""
    shape = [shared.sequences, shared.tokens, spec.num_heads, spec.head_dim]
    heads = reshape(emitter, values, f"{name}_heads", shape)
    return emitter.move("Transpose", (heads,), f"{name}_turned", perm=perm)
