"""Encoders that are built here, taken apart."""

from collections.abc import Iterator

from harness.models.specs.model import EncoderSpec
from harness.models.specs.structure import (
    Attention,
    ModelStructure,
    ParameterGroup,
    Role,
    Stage,
    by_need,
)


def bert_structure(spec: EncoderSpec) -> ModelStructure:
    """Take apart BERT and its like; see encoder_tensors.encoder_parameters for the formula.

    Query, key and value lie in one matrix. The pooler is counted, but neither stored nor run.
    """
    hidden, layers = spec.hidden_size, spec.num_layers
    heads = (layers, spec.num_heads, spec.num_heads, spec.head_dim)
    return ModelStructure(
        name=spec.name,
        kind="bert",
        groups=tuple(_groups(spec)),
        attention=(Attention(*heads, causal=False, stage=Stage.ENCODER),),
        hidden_size=hidden,
        intermediate_size=spec.intermediate_size,
        num_layers=layers,
        vocab_size=0,
        max_context_tokens=spec.max_context_tokens,
        spec=spec,
    )


def _groups(spec: EncoderSpec) -> Iterator[ParameterGroup]:
    """Yield every trained array."""
    hidden, wide, layers, stage = (
        spec.hidden_size,
        spec.intermediate_size,
        spec.num_layers,
        Stage.ENCODER,
    )
    yield ParameterGroup("embedding", Role.TABLE, spec.vocab_size, hidden, stage=stage)
    yield ParameterGroup("positions", Role.TABLE, spec.max_context_tokens, hidden, stage=stage)
    if spec.token_types:
        yield ParameterGroup("token types", Role.TABLE, spec.token_types, hidden, stage=stage)
    qkv = ParameterGroup("attention qkv", Role.BODY, 3 * hidden, hidden, layers, stage=stage)
    yield from by_need(qkv, layers)
    yield ParameterGroup("attention out", Role.BODY, hidden, hidden, layers, stage=stage)
    yield ParameterGroup("block up", Role.BODY, wide, hidden, layers, stage=stage)
    yield from by_need(
        ParameterGroup("block down", Role.BODY, hidden, wide, layers, stage=stage), layers
    )
    yield ParameterGroup("biases", Role.VECTOR, 5 * hidden + wide, 1, layers, stage=stage)
    yield ParameterGroup("norms", Role.VECTOR, 2 * hidden, 1, 2 * layers + 1, stage=stage)
    if spec.pooler:
        yield ParameterGroup("pooler", Role.UNUSED, hidden, hidden + 1, stage=stage)
