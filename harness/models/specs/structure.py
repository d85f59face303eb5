"""A model taken apart: every trained array with what is done with it. All counts start here.

Decoders of every family and the encoders that are built here; the other encoders stand in
`harness.models.catalog.encoders`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import singledispatch

from harness.models.specs.model import (
    NORM_ORDERS,
    NORM_VECTORS,
    AnySpec,
    EncoderSpec,
    Experts,
    ModelSpec,
    sensitive_layers,
)
from harness.models.specs.shapes import DecoderShape


class Role(StrEnum):
    """What a trained array is for.

    `body`: a matrix every token is multiplied by. `table`: rows are looked up. `head`: gives the
    logits. `tied`: table and head in one. `vector`: norms, biases and other small arrays.
    `unused`: counted by those who published the model, but neither stored nor run here.
    """

    BODY = "body"
    TABLE = "table"
    HEAD = "head"
    TIED = "tied"
    VECTOR = "vector"
    UNUSED = "unused"


class Stage(StrEnum):
    """When a part runs: once per input (`encoder`), or also for each new token (`decoder`)."""

    ENCODER = "encoder"
    DECODER = "decoder"


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Equal trained arrays of one purpose.

    Attributes:
        name: for people, such as `attention qkv`.
        role: what it is for.
        outputs: rows; the length of a vector.
        inputs: columns; 1 for a vector.
        copies: how many of them the model stores, over all layers and experts.
        active: how many of them one token uses; None: all.
        sensitive: whether a mixed level keeps them at more bits.
        stage: when it runs.
    """

    name: str
    role: Role
    outputs: int
    inputs: int = 1
    copies: int = 1
    active: int | None = None
    sensitive: bool = False
    stage: Stage = Stage.DECODER

    @property
    def parameters(self) -> int:
        """Trained values of all copies."""
        return self.outputs * self.inputs * self.copies

    @property
    def active_copies(self) -> int:
        """Copies that one token uses."""
        return self.copies if self.active is None else self.active

    def touched_copies(self, tokens: int) -> float:
        """Copies that at least one of `tokens` tokens uses, as expected.

            copies · (1 − (1 − active / copies)^tokens)

        Assumes: a router picks experts evenly and each token for itself.
        """
        if tokens <= 1 or self.active_copies == self.copies:
            return float(self.active_copies)
        return self.copies * (1 - (1 - self.active_copies / self.copies) ** tokens)


@dataclass(frozen=True, slots=True)
class Attention:
    """Layers that attend in the same way.

    Attributes:
        layers: how many.
        heads: query heads.
        kv_heads: key and value heads.
        head_dim: width of one head.
        causal: a token sees only those before it.
        window_tokens: it sees only this many of them; None: all.
        stage: when it runs.
        to_encoder: keys and values come from the encoder's output.
    """

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    causal: bool = True
    window_tokens: int | None = None
    stage: Stage = Stage.DECODER
    to_encoder: bool = False

    @property
    def cached_values_per_token(self) -> int:
        """Values one token adds to the cache: 2 · layers · kv_heads · head_dim."""
        return 2 * self.layers * self.kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class ModelStructure:
    """Everything the estimates need to know of an architecture.

    Attributes:
        name: of the model.
        kind: `decoder`, `bert`, `modernbert`, `whisper`, `t5`, `vit` or `clip`.
        groups: every trained array.
        attention: every group of attending layers.
        hidden_size: width of the residual stream, the wider one of two.
        intermediate_size: width of the block one token passes, active experts together.
        num_layers: blocks, of both stages.
        vocab_size: width of the logits; 0 without a head over words.
        max_context_tokens: longest sequence.
        encoder_tokens: tokens of the encoder where the input does not decide; None: it does.
        spec: the architecture as built here; None: this version builds no graph of it.
    """

    name: str
    kind: str
    groups: tuple[ParameterGroup, ...]
    attention: tuple[Attention, ...]
    hidden_size: int
    intermediate_size: int
    num_layers: int
    vocab_size: int
    max_context_tokens: int
    encoder_tokens: int | None = None
    spec: AnySpec | None = None

    @property
    def parameters(self) -> int:
        """Trained values, a tied table once."""
        return sum(group.parameters for group in self.groups)

    @property
    def active_parameters(self) -> int:
        """Trained values without the experts that one token leaves out."""
        return sum(group.outputs * group.inputs * group.active_copies for group in self.groups)

    @property
    def read_parameters(self) -> int:
        """Trained values read for one token: active ones without tables, which give one row.

        Of an encoder-decoder: those of the decoder, which run for every new token.
        """
        stage = Stage.DECODER if self.decodes else Stage.ENCODER
        return sum(
            group.outputs * group.inputs * group.active_copies
            for group in self.groups
            if group.role not in (Role.TABLE, Role.UNUSED) and group.stage is stage
        )

    @property
    def table_parameters(self) -> int:
        """Trained values of embeddings, learned positions and head."""
        tables = (Role.TABLE, Role.TIED, Role.HEAD)
        return sum(group.parameters for group in self.groups if group.role in tables)

    @property
    def decodes(self) -> bool:
        """Whether it gives one token after the other."""
        return any(attention.stage is Stage.DECODER for attention in self.attention)

    @property
    def kv_values_per_token(self) -> int:
        """Values one more token adds to the cache of one sequence; windows do not bound it."""
        return sum(
            attention.cached_values_per_token
            for attention in self.attention
            if attention.stage is Stage.DECODER and not attention.to_encoder
        )

    def kv_bytes_per_token(self, bytes_per_value: int) -> int:
        """Bytes one more token adds to the cache of one sequence."""
        return bytes_per_value * self.kv_values_per_token


def by_need(group: ParameterGroup, layers: int) -> Iterator[ParameterGroup]:
    """Yield the copies of a matrix in ordinary layers, then those in sensitive ones."""
    kept = len(sensitive_layers(layers))
    for count, sensitive in ((layers - kept, False), (kept, True)):
        if count:
            copies = group.copies * count // layers
            active = None if group.active is None else group.active * count // layers
            yield replace(group, copies=copies, active=active, sensitive=sensitive)


def bert_structure(spec: EncoderSpec) -> ModelStructure:
    """Take apart BERT and its like; see encoder_tensors.encoder_parameters for the formula.

    Query, key and value lie in one matrix. The pooler is counted, but neither stored nor run.
    """
    hidden, layers = spec.hidden_size, spec.num_layers
    heads = (layers, spec.num_heads, spec.num_heads, spec.head_dim)
    return ModelStructure(
        name=spec.name,
        kind="bert",
        groups=tuple(_bert_groups(spec)),
        attention=(Attention(*heads, causal=False, stage=Stage.ENCODER),),
        hidden_size=hidden,
        intermediate_size=spec.intermediate_size,
        num_layers=layers,
        vocab_size=0,
        max_context_tokens=spec.max_context_tokens,
        spec=spec,
    )


def _bert_groups(spec: EncoderSpec) -> Iterator[ParameterGroup]:
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


@singledispatch
def spec_structure(spec: AnySpec) -> ModelStructure:
    """Take apart an architecture that is built here."""
    raise TypeError(f"{spec!r} is no architecture")


spec_structure.register(EncoderSpec, bert_structure)


@spec_structure.register
def _decoder_spec_anatomy(spec: ModelSpec) -> ModelStructure:
    shape = DecoderShape(
        vocab_size=spec.vocab_size,
        hidden_size=spec.hidden_size,
        num_layers=spec.num_layers,
        num_heads=spec.num_heads,
        num_kv_heads=spec.num_kv_heads,
        head_dim=spec.head_dim,
        intermediate_size=spec.intermediate_size,
        tied_embeddings=spec.tied_embeddings,
        max_context_tokens=spec.max_context_tokens,
        rope_theta=spec.rope_theta,
        activation=spec.activation,
        norm=spec.norm,
        norms_per_layer=len(NORM_ORDERS[spec.norm_order].names),
        mlp_gated=spec.mlp_gated,
        qkv_bias=spec.qkv_bias,
        all_bias=spec.all_bias,
        head_bias=spec.head_bias,
        qk_norm=spec.qk_norm,
        sliding_window_tokens=spec.sliding_window_tokens,
        full_attention_layers=spec.full_attention_layers,
        learned_positions=spec.positions == "learned",
        experts=spec.experts,
    )
    return decoder_structure(spec.name, shape, spec)


def decoder_structure(
    name: str, shape: DecoderShape, spec: ModelSpec | None = None
) -> ModelStructure:
    """Take apart a decoder.

        total = V·h·(1 if tied else 2) [+ V head bias] [+ context·h positions] + Σ layers + norm
        layer = norms + (attention | convolution) + (block | experts)
        attention = 2·h·q + 2·h·k [+ q + 2k qkv bias] [+ h output bias]
                    [+ 2·d per-head norms | + q + k full-width norms]
        convolution = 3·h² + h² + h·kernel
        block = 3·h·i gated, 2·h·i [+ i + h biases] without gate
        experts = E·3·h·e + E·h router [+ 3·h·s shared [+ h gate]]

    with q = heads·d and k = kv_heads·d. Rotary tables are computed, not trained.
    Source: the transformers class of each family; every catalog count is checked against a
    published one.
    """
    experts, block = shape.experts, shape.intermediate_size
    if experts is not None:
        block = experts.active * experts.intermediate_size + experts.shared_intermediate_size
    return ModelStructure(
        name=name,
        kind="decoder",
        groups=tuple(_groups(shape)),
        attention=tuple(_attention(shape)),
        hidden_size=shape.hidden_size,
        intermediate_size=block,
        num_layers=shape.num_layers,
        vocab_size=shape.vocab_size,
        max_context_tokens=shape.max_context_tokens,
        spec=spec,
    )


def _attending_layers(shape: DecoderShape) -> int:
    """Layers that attend: all, or those without a convolution."""
    return shape.num_layers - (shape.convolution.layers if shape.convolution else 0)


def _attention(shape: DecoderShape) -> Iterator[Attention]:
    """Yield the layers that see everything, then those with a window."""
    layers, window = _attending_layers(shape), shape.sliding_window_tokens
    heads = (shape.num_heads, shape.num_kv_heads, shape.head_dim)
    everything = layers if window is None else shape.full_attention_layers
    if everything:
        yield Attention(everything, *heads)
    if layers > everything:
        yield Attention(layers - everything, *heads, window_tokens=window)


def _groups(shape: DecoderShape) -> Iterator[ParameterGroup]:
    """Yield every trained array."""
    vocab, hidden, layers = shape.vocab_size, shape.hidden_size, shape.num_layers
    yield ParameterGroup(
        "embedding", Role.TIED if shape.tied_embeddings else Role.TABLE, vocab, hidden
    )
    if shape.learned_positions:
        yield ParameterGroup("positions", Role.TABLE, shape.max_context_tokens, hidden)
    yield from _attention_groups(shape, _attending_layers(shape))
    if shape.convolution is not None:
        count = shape.convolution.layers
        yield ParameterGroup("convolution in", Role.BODY, 3 * hidden, hidden, count)
        yield ParameterGroup("convolution out", Role.BODY, hidden, hidden, count)
        yield ParameterGroup(
            "convolution taps", Role.VECTOR, hidden * shape.convolution.kernel, 1, count
        )
    if shape.experts is None:
        yield from _block_groups(shape)
    else:
        yield from _expert_groups(hidden, layers, shape.experts)
    norm_values = NORM_VECTORS[shape.norm] * hidden
    if norm_values:
        yield ParameterGroup(
            "norms", Role.VECTOR, norm_values, 1, layers * shape.norms_per_layer + 1
        )
    if not shape.tied_embeddings:
        yield ParameterGroup("head", Role.HEAD, vocab, hidden)
    if shape.head_bias:
        yield ParameterGroup("head bias", Role.VECTOR, vocab)


def _attention_groups(shape: DecoderShape, layers: int) -> Iterator[ParameterGroup]:
    """Yield what attention trains; query, key and value lie in one matrix."""
    hidden, head = shape.hidden_size, shape.head_dim
    query, key = shape.num_heads * head, shape.num_kv_heads * head
    yield from by_need(
        ParameterGroup("attention qkv", Role.BODY, query + 2 * key, hidden, layers), layers
    )
    yield ParameterGroup("attention out", Role.BODY, hidden, query, layers)
    if shape.qkv_bias:
        yield ParameterGroup("attention qkv bias", Role.VECTOR, query + 2 * key, 1, layers)
    if shape.all_bias:
        yield ParameterGroup("attention out bias", Role.VECTOR, hidden, 1, layers)
    width = {"none": 0, "per_head": 2 * head, "full_width": query + key}[shape.qk_norm]
    if width:
        yield ParameterGroup("query and key norms", Role.VECTOR, width, 1, layers)


def _block_groups(shape: DecoderShape) -> Iterator[ParameterGroup]:
    """Yield the matrices of the block after attention."""
    hidden, wide, layers = shape.hidden_size, shape.intermediate_size, shape.num_layers
    if shape.mlp_gated:
        yield ParameterGroup("block gate", Role.BODY, wide, hidden, layers)
    yield ParameterGroup("block up", Role.BODY, wide, hidden, layers)
    yield from by_need(ParameterGroup("block down", Role.BODY, hidden, wide, layers), layers)
    if shape.all_bias:
        yield ParameterGroup("block biases", Role.VECTOR, wide + hidden, 1, layers)


def _expert_groups(hidden: int, layers: int, experts: Experts) -> Iterator[ParameterGroup]:
    """Yield router, experts and the shared block of every layer."""
    count, active, wide = experts.count, experts.active, experts.intermediate_size
    yield ParameterGroup("router", Role.BODY, count, hidden, layers)
    stored, used = layers * count, layers * active
    yield ParameterGroup("experts gate and up", Role.BODY, wide, hidden, 2 * stored, 2 * used)
    down = ParameterGroup("experts down", Role.BODY, hidden, wide, stored, used)
    yield from by_need(down, layers)
    shared = experts.shared_intermediate_size
    if shared:
        yield ParameterGroup("shared gate and up", Role.BODY, shared, hidden, 2 * layers)
        yield from by_need(ParameterGroup("shared down", Role.BODY, hidden, shared, layers), layers)
    if experts.shared_gate:
        yield ParameterGroup("shared gate", Role.VECTOR, hidden, 1, layers)
