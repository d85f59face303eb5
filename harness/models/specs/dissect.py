"""Take an architecture apart: decoders of every family and the encoders that are built here.

The other encoders stand in `harness.models.catalog.encoders`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import singledispatch
from math import prod

from harness.models.specs.blocks import (
    CONVOLVED,
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
from harness.models.specs.structure import (
    Attention,
    ModelStructure,
    ParameterGroup,
    Recurrence,
    Role,
    Stage,
)


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
            cache_window_tokens=None if number < full else shape.sliding_window_tokens,
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
        attention=tuple(_alike(layers, _scores(decoder, spec))),
        hidden_size=decoder.hidden_size,
        intermediate_size=block,
        num_layers=len(layers),
        vocab_size=decoder.vocab_size,
        max_context_tokens=decoder.max_context_tokens,
        spec=spec,
        recurrences=tuple(_recurrences(decoder, layers)),
    )


def _recurrences(decoder: AnyDecoder, layers: Sequence[Layer]) -> Iterator[Recurrence]:
    """Yield the operators that keep a state, those of equal layers together."""
    counts = Counter(
        one for layer in layers for mixer in layer.mixers for one in _kept(decoder, layer, mixer)
    )
    for one, count in counts.items():
        yield replace(one, layers=count)


def _kept(decoder: AnyDecoder, layer: Layer, mixer: Mixer) -> Iterator[Recurrence]:
    """Yield what one mixer keeps: columns of a convolution, and the state of a recurrence."""
    block = MIXERS[mixer]
    flop, between = block.flop_per_token(decoder, layer), block.values_between(decoder, layer)
    for state in block.states(decoder, layer):
        name, values, own, sequential = mixer.value, prod(state.shape), flop, block.sequential
        if state.name == CONVOLVED:
            channels, past = state.shape
            name, own, sequential = Mixer.CONVOLUTION.value, 2 * channels * (past + 1), False
        flop -= own
        yield Recurrence(name, 1, values, own, sequential, between)
        between = 0


def _alike(layers: Sequence[Layer], scores: str) -> Iterator[Attention]:
    """Yield the layers that attend in the same way; those that see everything come first."""
    counts = Counter(
        Attention(
            layers=1,
            heads=one.num_heads,
            kv_heads=one.num_kv_heads,
            head_dim=one.head_dim,
            window_tokens=one.window_tokens,
            owns_cache=one.owns_cache,
            scores=scores,
            cache_window_tokens=one.cache_window_tokens,
        )
        for one in layers
        if one.attends
    )
    for alike, count in sorted(counts.items(), key=lambda item: item[0].window_tokens is not None):
        yield replace(alike, layers=count)


def _scores(decoder: AnyDecoder, spec: ModelSpec | None) -> str:
    """Return what attention does to its scores beside a softmax; caps are known of a spec only."""
    capped = spec is not None and spec.attention_softcap is not None
    kinds = {"softcap": capped, "sinks": decoder.attention_sinks}
    return " ".join(kind for kind, there in kinds.items() if there)


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
