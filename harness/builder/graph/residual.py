"""The residual stream of a decoder, and the norms that stand along it."""

from harness.builder.graph.emitter import MICROSOFT, Emitter
from harness.models.specs.model import ModelSpec


class Residual:
    """What all layers add to; the last addends wait, so that a norm can take their sum in."""

    def __init__(self, emitter: Emitter, spec: ModelSpec, stream: str) -> None:
        """Begin with the embedding [batch, tokens, hidden]."""
        self._emitter = emitter
        self._spec = spec
        self._stream = stream
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
        if not norm:
            self._sum(plain)
            return self._stream
        if self._spec.norm == "rmsnorm" and len(self._addends) == 1:
            return self._add_and_norm(norm)
        self._sum(f"{norm}.residual")
        return add_norm(self._emitter, self._spec, self._stream, norm)

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
    if spec.norm == "layernorm":
        return emitter.add(
            "LayerNormalization",
            (values, f"{norm}.weight", f"{norm}.bias"),
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
