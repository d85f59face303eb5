"""Nodes of the block after attention: up and down around an activation, with or without a gate."""

from collections.abc import Mapping

from harness.builder.graph.emitter import Emitter
from harness.builder.graph.matrix import Matrix, multiply
from harness.builder.graph.mixture import Mixture
from harness.models.specs.model import ModelSpec


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


def _gelu_tanh(emitter: Emitter, values: str, block: str) -> str:
    """Add the tanh approximation of GELU."""
    return emitter.add("Gelu", (values,), f"{block}.gelu", approximate="tanh")


_ACTIVATIONS = {"silu": _silu, "gelu_tanh": _gelu_tanh}
