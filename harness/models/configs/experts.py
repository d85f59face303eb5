"""The mixture of experts of a Hugging Face config.json."""

from harness.core.records import JsonValues
from harness.models.configs.architectures import Architecture
from harness.models.specs.model import Experts


def experts_of(values: JsonValues, architecture: Architecture) -> Experts | None:
    """Return the mixture that stands in every layer, or None.

    Raises:
        ModelError: a number is missing, or some layers have a plain block instead.
    """
    keys = architecture.experts
    if keys is None:
        return None
    if values.integer("decoder_sparse_step", 1) != 1 or values.values.get("mlp_only_layers"):
        raise values.unsupported(
            "some of its layers have experts and others a block"
            " (decoder_sparse_step, mlp_only_layers)",
            "experts in every layer",
        )
    count = next((key for key in keys.count if values.has(key)), keys.count[0])
    shared = values.integer(keys.shared_width) if keys.shared_width else 0
    return Experts(
        count=values.integer(count),
        active=values.integer("num_experts_per_tok"),
        intermediate_size=values.integer(keys.width),
        shared_intermediate_size=shared,
        shared_gate=shared > 0,
        normalised=values.flag(keys.normalised) if keys.normalised else True,
    )
