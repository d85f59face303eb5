"""Which architecture a recognised model is: told by its configuration, held against its weights."""

from collections.abc import Sequence

from harness.models.exported.config import Described
from harness.models.exported.genai_spec import spec_by_count
from harness.models.exported.model import ExportedKind
from harness.models.exported.weights import Weight
from harness.models.specs.model import AnySpec, EncoderSpec, ModelSpec, RotaryEncoderSpec
from harness.models.specs.tensors import parameters

_DECODERS, _ENCODERS = (ModelSpec,), (EncoderSpec, RotaryEncoderSpec)
_SPECS: dict[ExportedKind, tuple[type, ...]] = {
    ExportedKind.DECODER: _DECODERS,
    ExportedKind.DECODER_WITHOUT_PAST: _DECODERS,
    ExportedKind.ENCODER: _ENCODERS,
    ExportedKind.EMBEDDING: _ENCODERS,
}
# How far the count in a file may be from that of its configuration. Exporters store equal vectors
# once, which untrained models have; encoders come with heads and poolers, and without.
_TOLERANCE: dict[type, float] = {ModelSpec: 0.01, EncoderSpec: 0.5, RotaryEncoderSpec: 0.5}


def architecture_of(
    described: Described,
    kind: ExportedKind,
    weights: Sequence[Weight],
    stored_once: int,
    name: str,
) -> tuple[AnySpec | None, str | None]:
    """Return the architecture of a model, or None and why none is known; of other kinds no reason.

    Args:
        described: what the files beside the graphs say.
        kind: of the model.
        weights: all of it, each once.
        stored_once: values of equal vectors beside the one that is stored.
        name: of the model.
    """
    wanted = _SPECS.get(kind)
    if wanted is None:
        return None, None
    counted, spec = sum(weight.parameters for weight in weights) + stored_once, described.spec
    if spec is not None and type(spec) in wanted:
        stated = parameters(spec)
        if abs(stated - counted) <= _TOLERANCE[type(spec)] * stated:
            return spec, None
        return None, (
            f"no architecture: config.json describes {stated:,} parameters, the file holds"
            f" {counted:,}"
        )
    if spec is None and described.genai is not None and wanted is _DECODERS:
        spec = _by_count(described, weights, counted, name)
        why = None if spec is not None else "no architecture: no family has these sizes and count"
        return spec, why
    return None, f"no architecture: {described.refusal}" if described.refusal else None


def _by_count(
    described: Described, weights: Sequence[Weight], counted: int, name: str
) -> ModelSpec | None:
    """Return the architecture that genai_config.json and the counted weights tell together."""
    table = (described.vocab_size or 0) * (described.hidden_size or 0)
    tables = sum(weight.parameters == table for weight in weights)
    sizes = {weight.sizes for weight in weights if len(weight.sizes) == 2}
    return spec_by_count(described.genai, counted, tied=tables < 2, name=name, sizes=sizes)
