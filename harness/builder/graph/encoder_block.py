"""Nodes of one encoder layer: attention in both directions, then the block, a norm after each."""

from dataclasses import replace

from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.builder.graph.matrix import Matrix, multiply
from harness.builder.graph.names import layer_name
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import EncoderSpec, is_sensitive

APPROXIMATE = {"gelu": "none", "gelu_tanh": "tanh"}


def encoder_matrices(spec: EncoderSpec, layer: int) -> dict[str, Matrix]:
    """Return the stored matrices of one layer: qkv packed along the outputs, then the others."""
    prefix, hidden, wide = layer_name(layer), spec.hidden_size, spec.intermediate_size
    attention, block = f"{prefix}.self_attn", f"{prefix}.mlp"
    sources = tuple(f"{attention}.{letter}_proj" for letter in "qkv")
    qkv = Matrix(f"{attention}.qkv_proj", 3 * hidden, hidden, has_bias=True, sources=sources)
    matrices = {
        "qkv": qkv,
        "o": Matrix(f"{attention}.o_proj", hidden, hidden, has_bias=True),
        "up": Matrix(f"{block}.up_proj", wide, hidden, has_bias=True),
        "down": Matrix(f"{block}.down_proj", hidden, wide, has_bias=True),
    }
    return {
        key: replace(matrix, sensitive=is_sensitive(matrix.name, spec.num_layers))
        for key, matrix in matrices.items()
    }


def separate_encoder_matrices(spec: EncoderSpec, layer: int) -> dict[str, Matrix]:
    """Return the same with query, key and value apart, each with a range of its own."""
    matrices = encoder_matrices(spec, layer)
    packed = matrices.pop("qkv")
    attention = f"{layer_name(layer)}.self_attn"
    return {
        letter: replace(
            packed, name=f"{attention}.{letter}_proj", outputs=spec.hidden_size, sources=()
        )
        for letter in "qkv"
    } | matrices


def add_encoder_layer(
    emitter: Emitter, spec: EncoderSpec, level: QuantLevel, layer: int, stream: str, mask: str
) -> str:
    """Add one layer.

    Args:
        emitter: takes the nodes.
        spec: the architecture.
        level: how its matrices are stored.
        layer: its index.
        stream: the layer's input [batch, tokens, hidden].
        mask: [batch, 1, tokens, tokens], added to the scores of attention.

    Returns:
        The layer's output, of the same shape.
    """
    prefix, matrices = layer_name(layer), encoder_matrices(spec, layer)
    packed = multiply(emitter, matrices["qkv"], stream, level)
    attended = _attend(emitter, spec, f"{prefix}.self_attn", packed, mask)
    mixed = multiply(emitter, matrices["o"], attended, level)
    stream = sum_and_norm(emitter, spec, (mixed, stream), f"{prefix}.self_attn_norm")
    up = multiply(emitter, matrices["up"], stream, level)
    active = emitter.add(
        "Gelu", (up,), f"{prefix}.mlp.gelu", approximate=APPROXIMATE[spec.activation]
    )
    down = multiply(emitter, matrices["down"], active, level)
    return sum_and_norm(emitter, spec, (down, stream), f"{prefix}.mlp_norm")


def sum_and_norm(emitter: Emitter, spec: EncoderSpec, addends: tuple[str, ...], norm: str) -> str:
    """Add the layer norm of a sum.

    Sum, not Add: ONNX Runtime fuses Add with the norm into SkipLayerNormalization, whose CPU
    kernel takes five times as long as the two (1.31.1, 1024 rows of 384: 2.5 ms against 0.5).
    """
    total = emitter.add("Sum", addends, f"{norm}.sum")
    return emitter.add(
        "LayerNormalization",
        (total, f"{norm}.weight", f"{norm}.bias"),
        f"{norm}.normalised",
        axis=-1,
        epsilon=spec.norm_epsilon,
    )


def _attend(emitter: Emitter, spec: EncoderSpec, attention: str, packed: str, mask: str) -> str:
    """Add the split of packed qkv and MultiHeadAttention; its CPU kernel takes no packed input."""
    names = [f"{attention}.{letter}" for letter in "qkv"]
    emitter.add("Split", (packed,), names[0], more_outputs=names[1:], axis=-1, num_outputs=3)
    return emitter.add(
        "MultiHeadAttention",
        (*names, "", "", mask),
        f"{attention}.attended",
        MICROSOFT,
        num_heads=spec.num_heads,
        scale=spec.head_dim**-0.5,
    )
