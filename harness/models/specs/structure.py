"""A model taken apart: every trained array with what is done with it. All counts start here.

Decoders of every family and the encoders that are built here; the other encoders stand in
`harness.models.catalog.encoders`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import singledispatch
from math import prod

from harness.models.specs.blocks import (
    MIXERS,
    AnyDecoder,
    Part,
    feed_forward_parts,
    layer_norms,
    mixer_parts,
)
from harness.models.specs.layers import Experts, FeedForward, Layer, Mixer
from harness.models.specs.model import (
    NORM_VECTORS,
    AnySpec,
    EncoderSpec,
    ModelSpec,
    RotaryEncoderSpec,
    TextSpec,
    is_sensitive,
    sensitive_layers,
)
from harness.models.specs.shapes import DecoderShape


class Role(StrEnum):
    """What a trained array is for.

    `body`: a matrix every token is multiplied by. `table`: rows are looked up. `head`: gives the
    logits. `tied`: table and head in one. `vector`: norms, biases and other small arrays.
    `pooled`: a matrix that one vector of each text is multiplied by.
    `unused`: counted by those who published the model, but neither stored nor run here.
    """

    BODY = "body"
    TABLE = "table"
    HEAD = "head"
    TIED = "tied"
    VECTOR = "vector"
    UNUSED = "unused"
    POOLED = "pooled"


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
        owns_cache: they keep keys and values of their own, and do not read an earlier layer's.
    """

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    causal: bool = True
    window_tokens: int | None = None
    stage: Stage = Stage.DECODER
    to_encoder: bool = False
    owns_cache: bool = True

    @property
    def cached_values_per_token(self) -> int:
        """Values one token adds to the cache: 2 · layers · kv_heads · head_dim."""
        return 0 if not self.owns_cache else 2 * self.layers * self.kv_heads * self.head_dim


STATE_BYTES = 4  # of one value of a state: float32 at every level


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Layers that keep a state of a fixed size in the same way.

    Attributes:
        name: of their mixer.
        layers: how many.
        state_values: of one layer and one sequence.
        flop_per_token: of one layer, beside its matrices.
        sequential: a prompt is read token after token.
    """

    name: str
    layers: int
    state_values: int
    flop_per_token: int
    sequential: bool


@dataclass(frozen=True, slots=True)
class ModelStructure:
    """Everything the estimates need to know of an architecture.

    Attributes:
        name: of the model.
        kind: `decoder`, `bert`, `encoder` (with a decoder's layers), `whisper`, `t5`, `vit` or
            `clip`.
        groups: every trained array.
        attention: every group of attending layers.
        hidden_size: width of the residual stream, the wider one of two.
        intermediate_size: width of the block one token passes, active experts together.
        num_layers: blocks, of both stages.
        vocab_size: width of the logits; 0 without a head over words.
        max_context_tokens: longest sequence.
        encoder_tokens: tokens of the encoder where the input does not decide; None: it does.
        spec: the architecture as built here; None: this version builds no graph of it.
        recurrences: every group of layers that keep a state of a fixed size.
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
    recurrences: tuple[Recurrence, ...] = ()

    @property
    def state_bytes(self) -> int:
        """Bytes that all layers keep of one sequence besides keys and values."""
        values = sum(one.layers * one.state_values for one in self.recurrences)
        return STATE_BYTES * values

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
    yield ParameterGroup("positions", Role.TABLE, spec.position_rows, hidden, stage=stage)
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
    yield from _dense_groups(spec)


def _dense_groups(spec: TextSpec) -> Iterator[ParameterGroup]:
    """Yield what a pooled vector passes."""
    width, stage = spec.hidden_size, Stage.ENCODER
    for dense in spec.dense:
        yield ParameterGroup("dense", Role.POOLED, dense.outputs, width, stage=stage)
        width = dense.outputs
        vectors = (1 if dense.bias else 0) + (1 if dense.norm else 0)
        if vectors:
            yield ParameterGroup("dense vectors", Role.VECTOR, width * vectors, stage=stage)


@singledispatch
def spec_structure(spec: AnySpec) -> ModelStructure:
    """Take apart an architecture that is built here."""
    raise TypeError(f"{spec!r} is no architecture")


spec_structure.register(EncoderSpec, bert_structure)


@spec_structure.register
def _rotary_encoder_structure(spec: RotaryEncoderSpec) -> ModelStructure:
    """A decoder's body that runs once per text, without a head over words and without a cache."""
    body = _decoder_spec_structure(spec)
    groups = (
        replace(
            group,
            stage=Stage.ENCODER,
            role=Role.TABLE if group.role is Role.TIED else group.role,
        )
        for group in body.groups
    )
    return replace(
        body,
        kind="encoder",
        groups=(*groups, *_dense_groups(spec)),
        attention=tuple(
            replace(attention, causal=spec.causal, stage=Stage.ENCODER)
            for attention in body.attention
        ),
        vocab_size=0,
    )


@spec_structure.register
def _decoder_spec_structure(spec: ModelSpec) -> ModelStructure:
    norms = sum(len(layer_norms(spec, layer)) for layer in spec.layers)
    learned = spec.positions == "learned"
    return _take_apart(spec.name, spec, spec.layers, norms, learned=learned, spec=spec)


def decoder_structure(name: str, shape: DecoderShape) -> ModelStructure:
    """Take apart a decoder that is described only; the formula is that of `tensors.parameters`.

    Source: the transformers class of each family; every catalog count is checked against a
    published one.
    """
    norms = shape.num_layers * shape.norms_per_layer
    return _take_apart(
        name, shape, _described_layers(shape), norms, learned=shape.learned_positions
    )


def _described_layers(shape: DecoderShape) -> tuple[Layer, ...]:
    """Return the layers of a shape: it says how many there are of a kind, not where."""
    block = FeedForward.MLP if shape.experts is None else FeedForward.EXPERTS
    full = shape.full_attention_layers
    return tuple(
        Layer(
            number=number,
            mixers=(Mixer.ATTENTION,),
            feed_forward=block,
            intermediate_size=shape.intermediate_size,
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            head_dim=shape.head_dim,
            window_tokens=None if number < full else shape.sliding_window_tokens,
            cache_layer=number,
        )
        for number in range(shape.num_layers)
    )


def _take_apart(
    name: str,
    decoder: AnyDecoder,
    layers: Sequence[Layer],
    norms: int,
    *,
    learned: bool,
    spec: ModelSpec | None = None,
) -> ModelStructure:
    """Take apart a decoder, layer by layer."""
    experts, block = decoder.experts, max(layer.intermediate_size for layer in layers)
    if experts is not None:
        block = experts.active * experts.intermediate_size + experts.shared_intermediate_size
    return ModelStructure(
        name=name,
        kind="decoder",
        groups=tuple(_groups(decoder, layers, norms, learned=learned)),
        attention=tuple(_alike(layers)),
        hidden_size=decoder.hidden_size,
        intermediate_size=block,
        num_layers=len(layers),
        vocab_size=decoder.vocab_size,
        max_context_tokens=decoder.max_context_tokens,
        spec=spec,
        recurrences=tuple(_recurrences(decoder, layers)),
    )


def _recurrences(decoder: AnyDecoder, layers: Sequence[Layer]) -> Iterator[Recurrence]:
    """Yield the layers that keep a state in the same way."""
    counts: Counter[tuple[str, int, int, bool]] = Counter(
        (
            mixer.value,
            sum(prod(state.shape) for state in block.states(decoder, layer)),
            block.flop_per_token(decoder, layer),
            block.sequential,
        )
        for layer in layers
        for mixer, block in ((mixer, MIXERS[mixer]) for mixer in layer.mixers)
        if block.states(decoder, layer)
    )
    for (name, values, flop, sequential), count in counts.items():
        yield Recurrence(name, count, values, flop, sequential)


def _alike(layers: Sequence[Layer]) -> Iterator[Attention]:
    """Yield the layers that attend in the same way; those that see everything come first."""
    counts: Counter[tuple[int, int, int, int | None, bool]] = Counter(
        (one.num_heads, one.num_kv_heads, one.head_dim, one.window_tokens, one.owns_cache)
        for one in layers
        if one.attends
    )
    for (heads, kv_heads, head_dim, window, owns), count in sorted(
        counts.items(), key=lambda item: item[0][3] is not None
    ):
        yield Attention(count, heads, kv_heads, head_dim, window_tokens=window, owns_cache=owns)


def _groups(
    decoder: AnyDecoder, layers: Sequence[Layer], norms: int, *, learned: bool
) -> Iterator[ParameterGroup]:
    """Yield every trained array."""
    vocab, hidden = decoder.vocab_size, decoder.hidden_size
    yield ParameterGroup(
        "embedding", Role.TIED if decoder.tied_embeddings else Role.TABLE, vocab, hidden
    )
    if learned:
        yield ParameterGroup("positions", Role.TABLE, decoder.max_context_tokens, hidden)
    wide = len(layers) * decoder.per_layer_width
    if wide:
        yield ParameterGroup("per-layer embedding", Role.TABLE, vocab, wide)
        yield ParameterGroup("per-layer in", Role.BODY, wide, hidden)
        yield ParameterGroup("per-layer in norm", Role.VECTOR, decoder.per_layer_width)
    for parts in (mixer_parts, feed_forward_parts):
        yield from _merged(
            group
            for layer in layers
            for group in _part_groups(parts(decoder, layer), layer, len(layers), decoder.experts)
        )
    norm_values = NORM_VECTORS[decoder.norm] * hidden
    if norm_values:
        yield ParameterGroup("norms", Role.VECTOR, norm_values, 1, norms + 1)
    if not decoder.tied_embeddings:
        yield ParameterGroup("head", Role.HEAD, vocab, hidden)
    if decoder.head_bias:
        yield ParameterGroup("head bias", Role.VECTOR, vocab)


def _part_groups(
    parts: Sequence[Part], layer: Layer, layers: int, experts: Experts | None
) -> Iterator[ParameterGroup]:
    """Yield one layer's matrices, then its biases, then its small arrays.

    Parts that are stored as one matrix are one group.
    """
    matrices: dict[str, ParameterGroup] = {}
    for part in parts:
        if part.is_matrix:
            name = part.stored or part.name.format(0)
            known, (outputs, inputs) = matrices.get(name), part.shape
            active = part.copies * experts.active // experts.count if experts else 0
            matrices[name] = ParameterGroup(
                part.group,
                Role.BODY,
                outputs + (known.outputs if known else 0),
                inputs,
                copies=max(part.copies, 1),
                active=active if part.copies else None,
                sensitive=is_sensitive(f"model.layers.{layer.number}.{name}", layers),
            )
    yield from matrices.values()
    yield from _vector_groups(parts, experts)


def _vector_groups(parts: Sequence[Part], experts: Experts | None) -> Iterator[ParameterGroup]:
    """Yield one layer's biases, then its small arrays, then the biases of its experts."""
    vectors: dict[str, int] = defaultdict(int)
    per_expert: dict[str, int] = defaultdict(int)
    for part in parts:
        if part.has_bias:
            (per_expert if part.copies else vectors)[part.bias_group] += part.shape[0]
    for part in parts:
        if not part.is_matrix:
            vectors[part.group] += part.elements
    for name, values in vectors.items():
        yield ParameterGroup(name, Role.VECTOR, values)
    count, active = (experts.count, experts.active) if experts else (1, 1)
    for name, values in per_expert.items():
        yield ParameterGroup(name, Role.VECTOR, values, copies=count, active=active)


def _merged(groups: Iterable[ParameterGroup]) -> Iterator[ParameterGroup]:
    """Yield equal groups of all layers as one; of a name the sensitive copies come last."""
    found: dict[ParameterGroup, tuple[int, int]] = {}
    names: dict[str, int] = {}
    for group in groups:
        names.setdefault(group.name, len(names))
        key = replace(group, copies=1, active=None if group.active is None else 0)
        copies, active = found.get(key, (0, 0))
        found[key] = copies + group.copies, active + group.active_copies
    for key in sorted(found, key=lambda key: (names[key.name], key.sensitive)):
        copies, active = found[key]
        yield replace(key, copies=copies, active=None if key.active is None else active)
