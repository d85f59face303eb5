"""What every encoder must satisfy, whether it came from a TOML file or a config.json."""

from harness.core.errors import ModelError, suggestion
from harness.models.specs.check import check_layers, require_positive
from harness.models.specs.encoder import ACTIVATIONS, ENCODER_FAMILIES, POOLINGS, EncoderSpec

_POSITIVE = (
    *("vocab_size", "hidden_size", "num_layers", "num_heads", "intermediate_size"),
    *("max_context_tokens", "norm_epsilon"),
)


def check_encoder(spec: EncoderSpec, where: str) -> EncoderSpec:
    """Return `spec` when its numbers can describe an encoder.

    Args:
        spec: the architecture just read.
        where: the file it was read from, named in the error.

    Raises:
        ModelError: a number that is not positive and finite, heads that do not divide the hidden
            size, or an unknown family, activation or pooling.
    """
    for field in _POSITIVE:
        require_positive(where, field, getattr(spec, field))
    check_layers(where, spec.num_layers)
    for field, known in (
        ("family", ENCODER_FAMILIES),
        ("activation", ACTIVATIONS),
        ("pooling", POOLINGS),
    ):
        value = getattr(spec, field)
        if value not in known:
            raise ModelError(f"{where}: {field} is {value!r}", fix=suggestion(value, known))
    if spec.token_types < 0:
        raise ModelError(f"{where}: token_types is {spec.token_types}", fix="0 or more")
    if spec.hidden_size % spec.num_heads:
        raise ModelError(
            f"{where}: hidden_size {spec.hidden_size} does not divide into {spec.num_heads} heads",
            fix="num_heads must divide hidden_size",
        )
    return spec
