"""The trained tensors of an architecture, by their Hugging Face names, in file order.

How many parameters they hold, and how fast a cache grows, are closed formulas.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import groupby
from math import prod

from harness.models.specs.blocks import Part, experts_of, gate_width, layer_norms, layer_parts
from harness.models.specs.layers import Experts, FeedForward, Layer, Mixer
from harness.models.specs.model import (
    NORM_ENDS,
    NORM_VECTORS,
    AnySpec,
    EncoderSpec,
    ModelSpec,
    RotaryEncoderSpec,
    TextSpec,
)

TOKENS, POSITIONS, TYPES = "model.embed_tokens", "model.embed_positions", "model.embed_types"
EMBED_NORM = "model.embed_norm"
# A second embedding, a part of each row for each layer, and what the first one adds to it.
SIDE_TABLE, SIDE_IN = "model.embed_tokens_per_layer", "model.per_layer_model_projection"
SIDE_IN_NORM = "model.per_layer_projection_norm"


def encoder_tables(spec: EncoderSpec) -> dict[str, int]:
    """Return the embedding tables by name, each with its rows."""
    tables = {TOKENS: spec.vocab_size, POSITIONS: spec.position_rows}
    return tables | ({TYPES: spec.token_types} if spec.token_types else {})


def encoder_shapes(spec: EncoderSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every tensor: tables, their norm, layer after layer, dense layers.

    The pooler is left out: no sentence embedding passes through it.
    """
    hidden = spec.hidden_size
    for name, rows in encoder_tables(spec).items():
        yield f"{name}.weight", (rows, hidden)
    yield f"{EMBED_NORM}.weight", (hidden,)
    yield f"{EMBED_NORM}.bias", (hidden,)
    for layer in range(spec.num_layers):
        for name, shape in _encoder_layer_shapes(spec):
            yield f"model.layers.{layer}.{name}", shape
    yield from dense_shapes(spec)


def dense_name(place: int) -> str:
    """Return what the matrix of a dense layer behind the pooling is called."""
    return f"dense.{place}"


def dense_shapes(spec: TextSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every tensor that a pooled vector passes."""
    width = spec.hidden_size
    for place, dense in enumerate(spec.dense):
        yield f"{dense_name(place)}.weight", (dense.outputs, width)
        width = dense.outputs
        if dense.bias:
            yield f"{dense_name(place)}.bias", (width,)
        if dense.norm:
            yield f"{dense_name(place)}.norm.weight", (width,)


def dense_parameters(spec: TextSpec) -> int:
    """Return the trained values that a pooled vector passes: Σ out·in [+ out bias] [+ out norm]."""
    return sum(prod(shape) for _name, shape in dense_shapes(spec))


@singledispatch
def dense_beside(spec: AnySpec) -> int:
    """Return how many dense layers lie beside a checkpoint; a classifier's are part of it."""
    raise TypeError(f"{spec!r} is no architecture")


@dense_beside.register(EncoderSpec)
@dense_beside.register(RotaryEncoderSpec)
def _dense_of_encoder(spec: TextSpec) -> int:
    return 0 if spec.scores else len(spec.dense)


@dense_beside.register
def _dense_of_decoder(spec: ModelSpec) -> int:
    return 0


def vector_size(spec: TextSpec) -> int:
    """Return the width of what leaves an encoder for a text: an embedding, or scores."""
    return spec.dense[-1].outputs if spec.dense else spec.hidden_size


def _encoder_layer_shapes(spec: EncoderSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
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
        total = (V + positions + types)·h + 2·h + layers·layer [+ h² + h pooler] [+ dense]

    Source: shapes of the transformers classes BertModel, DistilBertModel and XLMRobertaModel.
    """
    hidden, wide = spec.hidden_size, spec.intermediate_size
    tables = (spec.vocab_size + spec.position_rows + spec.token_types) * hidden
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * wide + wide + hidden + 4 * hidden
    total = tables + 2 * hidden + spec.num_layers * layer
    return total + pooler_parameters(spec) + dense_parameters(spec)


# Matrices whose rows are looked up, or that give the logits: stored by row at every level.
TABLES = frozenset(f"{name}.weight" for name in (TOKENS, POSITIONS, TYPES, SIDE_TABLE, "lm_head"))


@dataclass(frozen=True, slots=True)
class Tensor:
    """One trained tensor.

    Attributes:
        name: as in a Hugging Face checkpoint, such as `model.norm.weight`.
        shape: a matrix is [outputs, inputs], the embedding [vocabulary, hidden], the rest [n].
    """

    name: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of values."""
        return prod(self.shape)


def logical_tensors(spec: AnySpec) -> Iterator[Tensor]:
    """Return every trained tensor that is built, once.

    Of a decoder tables, layers, final norm, and an untied head; of an encoder what encoder_tensors
    says. Names are Llama's, and those of harness.models.specs.model; decoder_names and
    encoder_names translate them. The sum of `elements` is `count.built_parameters(spec)`.
    """
    return _tensors(spec)


@singledispatch
def _tensors(spec: AnySpec) -> Iterator[Tensor]:
    """Yield the tensors of an architecture, by its kind."""
    raise TypeError(f"{spec!r} is no architecture")


@_tensors.register
def _of_encoder(spec: EncoderSpec) -> Iterator[Tensor]:
    yield from (Tensor(name, shape) for name, shape in encoder_shapes(spec))


@_tensors.register
def _of_rotary_encoder(spec: RotaryEncoderSpec) -> Iterator[Tensor]:
    yield from _of_decoder(spec)
    yield from (Tensor(name, shape) for name, shape in dense_shapes(spec))


@_tensors.register
def _of_decoder(spec: ModelSpec) -> Iterator[Tensor]:
    hidden = spec.hidden_size
    yield Tensor(f"{TOKENS}.weight", (spec.vocab_size, hidden))
    if spec.positions == "learned":
        yield Tensor(f"{POSITIONS}.weight", (spec.max_context_tokens, hidden))
    if spec.per_layer_width:
        wide = spec.num_layers * spec.per_layer_width
        yield Tensor(f"{SIDE_TABLE}.weight", (spec.vocab_size, wide))
        yield Tensor(f"{SIDE_IN}.weight", (wide, hidden))
        yield Tensor(f"{SIDE_IN_NORM}.weight", (spec.per_layer_width,))
    for layer in spec.layers:
        for name, shape in layer_shapes(spec, layer):
            yield Tensor(f"model.layers.{layer.number}.{name}", shape)
    for end in NORM_ENDS[spec.norm]:
        yield Tensor(f"model.norm.{end}", (hidden,))
    if not spec.tied_embeddings:
        yield Tensor("lm_head.weight", (spec.vocab_size, hidden))
    if spec.head_bias:
        yield Tensor("lm_head.bias", (spec.vocab_size,))


def layer_shapes(spec: ModelSpec, layer: Layer) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name within the layer and shape of each tensor of one layer."""
    for norm in layer_norms(spec, layer):
        for end in NORM_ENDS[spec.norm]:
            yield f"{norm}.{end}", (spec.hidden_size,)
    for copies, run in groupby(layer_parts(spec, layer), key=lambda part: part.copies):
        parts = tuple(run)
        for expert in range(max(copies, 1)):
            for part in parts:
                yield from _part_shapes(part, part.name.format(expert))


def _part_shapes(part: Part, name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield a matrix and, where it has one, its bias; or a small array."""
    yield f"{name}.weight" if part.is_matrix else name, part.shape
    if part.has_bias:
        yield f"{name}.bias", part.shape[:1]


def parameters(spec: AnySpec) -> int:
    """Return the number of trained values, exactly; a tied head is counted once.

    Of an encoder: see encoder_tensors.encoder_parameters. Of a decoder:

        q = heads·d, k = kv_heads·d
        attention = 2·h·q + 2·h·k  [+ q + 2·k with biases] [+ h with all, or of the output]
                    [+ heads sinks]
                    [+ 2·d per-head | + q + k full-width query and key norms]
        block = 3·h·i gated, 2·h·i without gate  [+ (2·i gated, i without) + h with biases]
        experts = E·3·h·e + E·h router  [+ 3·h·s shared [+ h gate]] [+ E·(1 + 2·e + h) biases]
                  [+ E biases of the choice]
        convolution = 4·h² + taps·h [+ 5·h biases]
        side = 2·h·w + h, of a second embedding of width w [+ 1 scalar]; k = 0 of shared caches
        mixer = attention | convolution | linear attention, see _delta | Mamba-2, see _mamba
        layer = mixer + (block | experts) + side + norms·(1 RMS, 2 layer norm)·h
        total = V·h·(1 if tied else 2) [+ V head bias] [+ context·h learned positions]
                [+ layers·w·(V + h) + w second embedding] + layers·layer + final norm

    With h the hidden size, d the head width, i the width of the block, V the vocabulary, E experts
    of width e. Rotary tables are computed, not trained, and are left out.
    Source: shapes of the transformers classes named in harness.models.configs.architectures.
    """
    return _counts(spec).parameters


@dataclass(frozen=True, slots=True)
class _Counts:
    """What differs by the kind of an architecture; active None: all of them."""

    parameters: int
    built: int
    active: int | None
    kv_values_per_token: int


@singledispatch
def _counts(spec: AnySpec) -> _Counts:
    """Return every count of an architecture, by its kind."""
    raise TypeError(f"{spec!r} is no architecture")


@_counts.register
def _encoder_counts(spec: EncoderSpec) -> _Counts:
    """All but the pooler is stored; nothing is cached."""
    total = encoder_parameters(spec)
    return _Counts(total, total - pooler_parameters(spec), None, 0)


@_counts.register
def _rotary_encoder_counts(spec: RotaryEncoderSpec) -> _Counts:
    """A decoder's body and what follows the pooling; nothing is cached."""
    body = _decoder_counts(spec)
    total = body.parameters + dense_parameters(spec)
    return replace(body, parameters=total, built=total, kv_values_per_token=0)


@_counts.register
def _decoder_counts(spec: ModelSpec) -> _Counts:
    """Everything is stored; of a mixture a token uses some experts."""
    total, active = _decoder_parameters(spec), None
    if spec.experts is not None:
        unused = spec.experts.count - spec.experts.active
        one = 3 * spec.hidden_size * spec.experts.intermediate_size
        one += _expert_biases(spec.experts, spec.hidden_size)
        mixtures = sum(layer.feed_forward is FeedForward.EXPERTS for layer in spec.layers)
        active = total - mixtures * unused * one
    cached = sum(2 * layer.key_width for layer in spec.layers if layer.owns_cache)
    return _Counts(total, total, active, cached)


def _decoder_parameters(spec: ModelSpec) -> int:
    """The sum that `parameters` states."""
    hidden = spec.hidden_size
    norm = NORM_VECTORS[spec.norm] * hidden
    tables = spec.vocab_size * hidden * (1 if spec.tied_embeddings else 2)
    tables += spec.vocab_size if spec.head_bias else 0
    tables += spec.max_context_tokens * hidden if spec.positions == "learned" else 0
    wide = spec.num_layers * spec.per_layer_width
    tables += wide * (spec.vocab_size + hidden) + spec.per_layer_width
    return tables + sum(_layer(spec, layer, norm) for layer in spec.layers) + norm


def _layer(spec: ModelSpec, layer: Layer, norm: int) -> int:
    """Trained values of one layer."""
    mixers = sum(_MIXERS[mixer](spec, layer) for mixer in layer.mixers)
    block = _FEED_FORWARDS[layer.feed_forward](spec, layer)
    width = spec.per_layer_width
    side = 2 * spec.hidden_size * width + (spec.hidden_size if width else 0)
    side += 1 if spec.layer_scalars else 0
    return mixers + block + side + len(layer_norms(spec, layer)) * norm


def _attention(spec: ModelSpec, layer: Layer) -> int:
    """Trained values of one layer's attention."""
    hidden, query = spec.hidden_size, layer.query_width
    key = layer.key_width if layer.owns_cache else 0
    count = 2 * hidden * query + 2 * hidden * key
    count += query + 2 * key if spec.qkv_bias else 0
    count += hidden if spec.all_bias or spec.out_bias else 0
    count += layer.num_heads if spec.attention_sinks else 0
    count += hidden * gate_width(spec, layer)
    by_head = layer.head_dim * (2 if layer.owns_cache else 1)
    norms = {"none": 0, "per_head": by_head, "full_width": query + key}
    return count + norms[spec.qk_norm]


def _convolution(spec: ModelSpec, _layer: Layer) -> int:
    """Trained values of one layer's short convolution."""
    assert spec.convolution is not None  # checked with the pattern
    hidden, biases = spec.hidden_size, 5 if spec.convolution.bias else 0
    return 4 * hidden**2 + (spec.convolution.kernel + biases) * hidden


def _delta(spec: ModelSpec, _layer: Layer) -> int:
    """Trained values of one layer's linear attention.

    h·(2·k + v) + h·v + 2·h·H + v·h + (2·k + v)·taps + 2·H + dv, with k and v the widths of all key
    and value heads, H value heads of width dv.
    """
    rule = spec.delta_rule
    assert rule is not None  # checked with the pattern
    hidden, packed, heads = spec.hidden_size, rule.packed_width, rule.value_heads
    matrices = hidden * (packed + 2 * rule.values_width + 2 * heads)
    return matrices + packed * rule.kernel + 2 * heads + rule.value_dim


def _mamba(spec: ModelSpec, _layer: Layer) -> int:
    """Trained values of one layer's Mamba-2 mixer.

    h·(2·i + 2·g + H) + i·h + (i + 2·g)·(taps [+ 1 bias]) + 3·H [+ i norm] [+ 2·i + 2·g + H in bias]
    [+ h out bias], with i the width of all H heads and g that of all groups.
    """
    mamba = spec.mamba
    assert mamba is not None  # checked with the pattern
    hidden, inner, convolved = spec.hidden_size, mamba.inner_width, mamba.convolved_width
    projected = inner + convolved + mamba.heads
    count = hidden * projected + inner * hidden
    count += projected if mamba.in_bias else 0
    count += hidden if mamba.out_bias else 0
    count += inner if mamba.gated_norm else 0
    taps = mamba.kernel + (1 if mamba.taps_bias else 0)
    return count + convolved * taps + 3 * mamba.heads


def _block(spec: ModelSpec, layer: Layer) -> int:
    """Trained values of one layer's block."""
    hidden, wide = spec.hidden_size, layer.intermediate_size
    ups = 2 if spec.mlp_gated else 1
    biases = ups * wide + hidden if spec.all_bias or spec.block_bias else 0
    return (ups + 1) * hidden * wide + biases


def _experts(spec: ModelSpec, _layer: Layer) -> int:
    """Trained values of one layer's router, experts and shared block."""
    experts, hidden = experts_of(spec), spec.hidden_size
    count = experts.count * (3 * hidden * experts.intermediate_size + hidden)
    count += 3 * hidden * experts.shared_intermediate_size
    if experts.bias:
        count += experts.count * (1 + _expert_biases(experts, hidden))
    count += experts.count if experts.choice_bias else 0
    return count + (hidden if experts.shared_gate else 0)


def _expert_biases(experts: Experts, hidden: int) -> int:
    """Values of one expert's biases."""
    return 2 * experts.intermediate_size + hidden if experts.bias else 0


_MIXERS: dict[Mixer, Callable[[ModelSpec, Layer], int]] = {
    Mixer.ATTENTION: _attention,
    Mixer.CONVOLUTION: _convolution,
    Mixer.DELTA: _delta,
    Mixer.MAMBA: _mamba,
}
_FEED_FORWARDS: dict[FeedForward, Callable[[ModelSpec, Layer], int]] = {
    FeedForward.MLP: _block,
    FeedForward.EXPERTS: _experts,
    FeedForward.NONE: lambda _spec, _layer: 0,
}


def built_parameters(spec: AnySpec) -> int:
    """Return how many of them a built model stores: all but the pooler of a BERT."""
    return _counts(spec).built


def active_parameters(spec: AnySpec) -> int | None:
    """Return how many of them one token uses; None where it uses all: there are no experts.

    total - layers with experts · (E - active) · 3·h·e
    """
    return _counts(spec).active


def kv_values_per_token(spec: AnySpec) -> int:
    """Return the values one more token adds to the cache of one sequence; 0 for an encoder.

        Σ 2 · kv_heads · d, over the layers that keep keys and values

    The 2 is for both. A sliding window bounds how many tokens are read, not how many
    the cache holds: it is left out here.
    """
    return _counts(spec).kv_values_per_token


def kv_bytes_per_token(spec: AnySpec, bytes_per_value: int) -> int:
    """Return the bytes one more token adds to the cache of one sequence: values · bytes of one."""
    return kv_values_per_token(spec) * bytes_per_value
