"""The trained tensors of an encoder that are built, and how many parameters it has."""

from collections.abc import Iterator

from harness.models.specs.encoder import EncoderSpec

TOKENS, POSITIONS, TYPES = "model.embed_tokens", "model.embed_positions", "model.embed_types"
EMBED_NORM = "model.embed_norm"


def encoder_tables(spec: EncoderSpec) -> dict[str, int]:
    """Return the embedding tables by name, each with its rows."""
    tables = {TOKENS: spec.vocab_size, POSITIONS: spec.max_context_tokens}
    return tables | ({TYPES: spec.token_types} if spec.token_types else {})


def encoder_shapes(spec: EncoderSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every tensor: tables, their norm, then layer after layer.

    The pooler is left out: no sentence embedding passes through it.
    """
    hidden = spec.hidden_size
    for name, rows in encoder_tables(spec).items():
        yield f"{name}.weight", (rows, hidden)
    yield f"{EMBED_NORM}.weight", (hidden,)
    yield f"{EMBED_NORM}.bias", (hidden,)
    for layer in range(spec.num_layers):
        for name, shape in _layer_shapes(spec):
            yield f"model.layers.{layer}.{name}", shape


def _layer_shapes(spec: EncoderSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name within the layer and shape of each tensor of one block."""
    hidden, wide = spec.hidden_size, spec.intermediate_size
    matrices = {f"self_attn.{letter}_proj": (hidden, hidden) for letter in "qkvo"}
    matrices |= {"mlp.up_proj": (wide, hidden), "mlp.down_proj": (hidden, wide)}
    for name, (outputs, inputs) in matrices.items():
        yield f"{name}.weight", (outputs, inputs)
        yield f"{name}.bias", (outputs,)
    for norm in ("self_attn_norm", "mlp_norm"):
        yield f"{norm}.weight", (hidden,)
        yield f"{norm}.bias", (hidden,)


def pooler_parameters(spec: EncoderSpec) -> int:
    """Return the trained values of the pooler, h² + h; 0 without one."""
    return spec.hidden_size * (spec.hidden_size + 1) if spec.pooler else 0


def encoder_parameters(spec: EncoderSpec) -> int:
    """Return the number of trained values as published, the pooler included.

        layer = 4·(h² + h) + 2·h·i + i + h + 4·h
        total = (V + positions + types)·h + 2·h + layers·layer [+ h² + h pooler]

    Source: shapes of the transformers classes BertModel and DistilBertModel.
    """
    hidden, wide = spec.hidden_size, spec.intermediate_size
    tables = (spec.vocab_size + spec.max_context_tokens + spec.token_types) * hidden
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * wide + wide + hidden + 4 * hidden
    return tables + 2 * hidden + spec.num_layers * layer + pooler_parameters(spec)
