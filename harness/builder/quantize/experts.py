"""Which levels a mixture of experts can be stored at. Pure."""

from harness.builder.quantize.levels import Form, QuantLevel
from harness.core.errors import ModelError
from harness.models.specs.model import ModelSpec


def check_experts(spec: ModelSpec, level: QuantLevel) -> None:
    """Refuse a level at which QMoE cannot multiply the experts.

    Raises:
        ModelError: a width that does not divide into blocks, or two widths of bits in one mixture.
    """
    experts, form = spec.experts, level.body
    if experts is None or form.form is not Form.BLOCK:
        return
    if level.sensitive is not None:
        raise ModelError(
            f"{spec.name}: {level.name} gives matrices of one expert different bits",
            fix="a level of one width, such as int4: ONNX Runtime's QMoE on the CPU multiplies"
            " all of a mixture at one",
        )
    for width in (spec.hidden_size, experts.intermediate_size):
        if width % form.block_weights:
            raise ModelError(
                f"{spec.name}: experts of width {width} do not divide into blocks of"
                f" {form.block_weights} ({level.name})",
                fix="a level with smaller blocks, or int8: ONNX Runtime's QMoE pads no block",
            )
