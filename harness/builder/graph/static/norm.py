"""The RMS norm of a static decoder, in the two ways that providers know it."""

from collections.abc import Callable
from enum import StrEnum

from harness.builder.graph.static.emitter import StaticEmitter
from harness.models.specs.model import ModelSpec


class Norm(StrEnum):
    """How a norm is written.

    `operator`: RMSNormalization. `parts`: the six operators it is made of, for providers that do
    not know it; at fixed point each of the five values between is rounded, and the mean square of
    a quiet token lies low on the grid of a loud one.
    """

    OPERATOR = "operator"
    PARTS = "parts"


def add_norm(emitter: StaticEmitter, spec: ModelSpec, values: str, name: str, norm: Norm) -> str:
    """Add the RMS norm over the last dimension, times the vector `name.weight`."""
    return _NORMS[norm](emitter, spec, values, name)


def _operator(emitter: StaticEmitter, spec: ModelSpec, values: str, name: str) -> str:
    """Add ONNX's own operator, of opset 23."""
    inputs = (values, emitter.vector(f"{name}.weight"))
    epsilon = spec.norm_epsilon
    return emitter.compute(
        "RMSNormalization", inputs, f"{name}.normalised", axis=-1, epsilon=epsilon
    )


def _parts(emitter: StaticEmitter, spec: ModelSpec, values: str, name: str) -> str:
    """Add x / sqrt(mean(x²) + epsilon), times the weight."""
    squares = emitter.compute("Mul", (values, values), f"{name}.squares")
    axis = emitter.constant(f"{name}.axis", [-1])
    mean = emitter.compute("ReduceMean", (squares, axis), f"{name}.mean", keepdims=1)
    epsilon = emitter.scalar(f"{name}.epsilon", spec.norm_epsilon)
    shifted = emitter.compute("Add", (mean, epsilon), f"{name}.shifted")
    root = emitter.compute("Sqrt", (shifted,), f"{name}.root")
    divided = emitter.compute("Div", (values, root), f"{name}.divided")
    weight = emitter.vector(f"{name}.weight")
    return emitter.compute("Mul", (divided, weight), f"{name}.normalised")


_NORMS: dict[Norm, Callable[[StaticEmitter, ModelSpec, str, str], str]] = {
    Norm.OPERATOR: _operator,
    Norm.PARTS: _parts,
}
