"""What a caller of a built model must know to allocate its inputs, cache and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import singledispatch
from math import prod
from typing import Any, Self, overload

from harness.builder.graph.rules import GRAPH_FILE, MAX_CONTEXT_TOKENS, WINDOWED_FILE
from harness.builder.graph.static.geometry import (
    BuiltGeometry,
    StaticEncoderGeometry,
    StaticGeometry,
    TextShape,
    type_inputs,
)
from harness.builder.quantize.levels import (
    CacheLevel,
    QuantLevel,
    cache_of,
    check_experts,
    own_cache,
)
from harness.core.errors import ModelError
from harness.models.specs.blocks import layer_states
from harness.models.specs.layers import Layer, cache_rows
from harness.models.specs.model import AnySpec, EncoderSpec, ModelSpec, RotaryEncoderSpec, TextSpec
from harness.models.specs.tensors import vector_size

HIDDEN, EMBEDDING = "last_hidden_state", "sentence_embedding"  # outputs of an encoder
SCORES = "logits"  # its second one where it scores texts instead
# Of a head and of its rotated part.
# "head_size must be a multiple of 8": GroupQueryAttention, ORT 1.32.0
HEAD_DIM_STEP = 8
# Of a head whose sliding cache packs two values in a byte: ORT 1.32 runs no other.
PACKED_HEAD_STEP = 32
STATE_DTYPE, STATE_BYTES = "float32", 4  # at every level: what adds up over all tokens


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Keys and values of one layer, each [batch, kv_heads, tokens, stored width].

    Attributes:
        layer: whose they are.
        num_kv_heads: second dimension.
        head_dim: values of one head.
        window_tokens: so many last tokens have to be kept; None: all.
    """

    layer: int
    num_kv_heads: int
    head_dim: int
    window_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class StateShape:
    """What one layer keeps of a sequence, however long it is, in float32.

    Attributes:
        layer: whose it is.
        name: `conv` or `recurrent`.
        shape: of one sequence.
    """

    layer: int
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """An array that every run reads as `past` and writes as `present`, in place.

    Attributes:
        past: name of the input.
        present: name of the output.
        dtype: of its elements.
        before: dimensions between the batch and the tokens, or all but the batch.
        width: the last dimension, behind the tokens; None: it has no tokens and never grows.
        window_tokens: it keeps so many last tokens, and as many rows as `cache_rows` says; None:
            all tokens.
    """

    past: str
    present: str
    dtype: str
    before: tuple[int, ...]
    width: int | None = None
    window_tokens: int | None = None

    @property
    def grows(self) -> bool:
        """Whether it has a place for every token."""
        return self.width is not None

    def shape(self, batch: int, tokens: int) -> tuple[int, ...]:
        """Its shape for so many sequences of so many tokens."""
        rows = cache_rows(self.window_tokens, tokens)
        behind = () if self.width is None else (rows, self.width)
        return (batch, *self.before, *behind)


@dataclass(frozen=True, slots=True)
class DecoderGeometry(BuiltGeometry):
    """Shapes and types of a decoder's inputs and outputs.

    Attributes:
        num_layers: key and value tensors: one of each per layer, unless `caches` says otherwise.
        num_kv_heads: second dimension of a cache tensor [batch, kv_heads, capacity, stored_width].
        head_dim: values of one head.
        vocab_size: last dimension of the logits.
        kv_dtype: type of the cache's elements, a type of harness.builder.quantize.levels.CACHES.
        max_context_tokens: longest sequence, cached tokens included.
        caches: of the layers that keep keys and values, where not all do so alike.
        states: what layers keep besides.
        windowed: caches with a window have its rows alone, in the graph that takes such; see
            `for_capacity`.
    """

    num_layers: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    kv_dtype: str
    max_context_tokens: int
    caches: tuple[CacheShape, ...] = ()
    states: tuple[StateShape, ...] = ()
    windowed: bool = False

    @property
    def main_file(self) -> str:  # type: ignore[override]  # read only, as everything here
        """The graph that is timed: of two with logits of the last token the one for its caches."""
        return WINDOWED_FILE if self.windowed else GRAPH_FILE

    @property
    def sliding_layers(self) -> tuple[int, ...]:
        """Layers whose caches may be shorter than the longest sequence."""
        longest = self.max_context_tokens
        windows = ((one.layer, one.window_tokens) for one in self.layer_caches)
        return tuple(layer for layer, window in windows if cache_rows(window, longest) < longest)

    def for_capacity(self, capacity_tokens: int) -> Self:
        """The geometry of the least caches for so many positions.

        Whole ones where no window is shorter: a sliding cache holds a whole window at least.
        """
        tokens = min(capacity_tokens, self.max_context_tokens)
        slides = any(cache_rows(one.window_tokens, tokens) < tokens for one in self.layer_caches)
        return replace(self, windowed=slides)

    def cache_bytes(self, capacity_tokens: int) -> int:
        """Bytes of keys and values of one sequence, bound for so many positions."""
        values = sum(
            2 * one.num_kv_heads * one.head_dim * self._rows(one, capacity_tokens)
            for one in self.layer_caches
        )
        return self.cache.stored_bytes(values)

    def _rows(self, cache: CacheShape, capacity_tokens: int) -> int:
        """Rows of one cache, bound for so many positions."""
        return cache_rows(cache.window_tokens if self.windowed else None, capacity_tokens)

    @property
    def layer_caches(self) -> tuple[CacheShape, ...]:
        """Of every layer that keeps keys and values."""
        alike = range(0 if self.caches else self.num_layers)
        return (
            *self.caches,
            *(CacheShape(layer, self.num_kv_heads, self.head_dim) for layer in alike),
        )

    @property
    def held(self) -> tuple[Held, ...]:
        """What a session binds in place: keys and values by layer, then states."""
        caches = (
            Held(
                f"past_key_values.{one.layer}.{half}",
                f"present.{one.layer}.{half}",
                self.kv_dtype,
                (one.num_kv_heads,),
                self.cache.stored_width(one.head_dim),
                one.window_tokens if self.windowed else None,
            )
            for one in self.layer_caches
            for half in ("key", "value")
        )
        states = (
            Held(
                f"past.{one.layer}.{one.name}",
                f"present.{one.layer}.{one.name}",
                STATE_DTYPE,
                one.shape,
            )
            for one in self.states
        )
        return (*caches, *states)

    @property
    def state_bytes(self) -> int:
        """Bytes of the states of one sequence."""
        return STATE_BYTES * sum(prod(state.shape) for state in self.states)

    @property
    def cache(self) -> CacheLevel:
        """How keys and values are stored."""
        return cache_of(self.kv_dtype)

    def cache_beside(self, own: CacheLevel) -> CacheLevel:
        """The cache that it stores, whatever the level's own is."""
        return self.cache

    @property
    def stored_width(self) -> int:
        """Last dimension of a cache tensor: elements of one head as stored."""
        return self.cache.stored_width(self.head_dim)


@dataclass(frozen=True, slots=True)
class EncoderGeometry(BuiltGeometry):
    """Shapes of an encoder's inputs and outputs.

    Attributes:
        vocab_size: one more than the largest token id.
        hidden_size: last dimension of the tokens' vectors.
        token_types: one more than the largest type id; 0: there is no such input.
        max_context_tokens: longest sequence.
        dense_size: last dimension of the embedding or of the scores; None: hidden_size.
        scores: whether it gives scores of a text instead of its embedding.
        causal: whether a text has to be filled up behind its last token.
    """

    vocab_size: int
    hidden_size: int
    token_types: int
    max_context_tokens: int
    dense_size: int | None = None
    scores: bool = False
    causal: bool = False

    @property
    def vector_size(self) -> int:
        """Last dimension of the embedding, or of the scores."""
        return self.hidden_size if self.dense_size is None else self.dense_size

    @property
    def output(self) -> str:
        """Name of the graph's output for a text."""
        return SCORES if self.scores else EMBEDDING

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs, each int64 [batch, tokens]."""
        names = ("input_ids", "attention_mask")
        return (*names, "token_type_ids") if self.token_types else names


Geometry = DecoderGeometry | StaticGeometry | EncoderGeometry | StaticEncoderGeometry
# a field that tells a kind from those below it -> the kind; what has none is a fused decoder
_MARKS: dict[str, type[StaticGeometry | EncoderGeometry | StaticEncoderGeometry]] = {
    "shapes": StaticEncoderGeometry,
    "token_types": EncoderGeometry,
    "prefill_tokens": StaticGeometry,
}


def geometry_type(fields: Mapping[str, Any]) -> type[Geometry]:
    """Return the kind of a geometry by its fields."""
    marked = (kind for mark, kind in _MARKS.items() if mark in fields)
    return next(marked, DecoderGeometry)


def geometry_from(fields: Mapping[str, Any]) -> Geometry:
    """Return the geometry whose fields travelled to another process, or were stored."""
    kind = geometry_type(fields)
    if kind is StaticEncoderGeometry:
        shapes = tuple(TextShape(**shape) for shape in fields["shapes"])
        return StaticEncoderGeometry(**{**fields, "shapes": shapes})
    return decoder_geometry_from(fields) if kind is DecoderGeometry else kind(**fields)


def decoder_geometry_from(fields: Mapping[str, Any]) -> DecoderGeometry | StaticGeometry:
    """Return the geometry of a decoder, whose fields travelled to another process."""
    if "prefill_tokens" in fields:
        return StaticGeometry(**fields)
    caches = tuple(CacheShape(**one) for one in fields.get("caches", ()))
    states = tuple(
        StateShape(one["layer"], one["name"], tuple(one["shape"]))
        for one in fields.get("states", ())
    )
    return DecoderGeometry(**{**fields, "caches": caches, "states": states})


def longest_context(spec: AnySpec) -> int:
    """Return the longest sequence that a model is built for, in tokens.

    Decoders are cut as rules.py says; the position table of an encoder has as many rows as it has.
    """
    return _longest(spec)


@singledispatch
def _longest(spec: AnySpec) -> int:
    raise TypeError(f"{spec!r} is no architecture")


@_longest.register
def _longest_text(spec: EncoderSpec) -> int:
    return spec.max_context_tokens


@_longest.register
def _longest_rotary(spec: RotaryEncoderSpec) -> int:
    return _longest_sequence(spec)


@_longest.register
def _longest_sequence(spec: ModelSpec) -> int:
    return min(spec.rotary_context_tokens, MAX_CONTEXT_TOKENS)


@overload
def geometry_of(  # type: ignore[overload-overlap]  # a decoder's layers make no decoder
    spec: TextSpec, level: QuantLevel, cache: CacheLevel | None = None
) -> EncoderGeometry: ...
@overload
def geometry_of(
    spec: ModelSpec, level: QuantLevel, cache: CacheLevel | None = None
) -> DecoderGeometry: ...
@overload
def geometry_of(spec: AnySpec, level: QuantLevel, cache: CacheLevel | None = None) -> Geometry: ...
def geometry_of(spec: AnySpec, level: QuantLevel, cache: CacheLevel | None = None) -> Geometry:
    """Return the geometry of `spec` built at `level`; a longer context is cut as rules.py says.

    Args:
        spec: the architecture.
        level: how its weights are stored.
        cache: how keys and values are; None: as the float type of the level.

    Raises:
        ModelError: the attention operator cannot run heads of this width.
    """
    return _geometry(spec, level, cache)


@singledispatch
def _geometry(spec: AnySpec, level: QuantLevel, cache: CacheLevel | None) -> Geometry:
    raise TypeError(f"{spec!r} is no architecture")


@_geometry.register
def _encoder_geometry(
    spec: EncoderSpec, level: QuantLevel, cache: CacheLevel | None
) -> EncoderGeometry:
    return EncoderGeometry(
        vocab_size=spec.vocab_size,
        hidden_size=spec.hidden_size,
        token_types=type_inputs(spec),
        max_context_tokens=spec.max_context_tokens,
        dense_size=vector_size(spec) if spec.dense else None,
        scores=spec.scores,
    )


@_geometry.register
def _rotary_encoder_geometry(
    spec: RotaryEncoderSpec, level: QuantLevel, cache: CacheLevel | None
) -> EncoderGeometry:
    if spec.causal:
        _check_heads(spec)
    check_experts(spec, level)
    return EncoderGeometry(
        vocab_size=spec.vocab_size,
        hidden_size=spec.hidden_size,
        token_types=0,
        max_context_tokens=longest_context(spec),
        dense_size=vector_size(spec) if spec.dense else None,
        scores=spec.scores,
        causal=spec.causal,
    )


@_geometry.register
def _decoder_geometry(
    spec: ModelSpec, level: QuantLevel, cache: CacheLevel | None
) -> DecoderGeometry:
    _check_heads(spec)
    check_experts(spec, level)
    caches = tuple(
        CacheShape(
            layer.number,
            layer.num_kv_heads,
            layer.head_dim,
            _window(layer, cache or own_cache(level)),
        )
        for layer in spec.layers
        if layer.owns_cache
    )
    alike = tuple(
        CacheShape(number, spec.num_kv_heads, spec.head_dim) for number in range(spec.num_layers)
    )
    states = tuple(
        StateShape(layer.number, state.name, state.shape)
        for layer in spec.layers
        for state in layer_states(spec, layer)
    )
    return DecoderGeometry(
        num_layers=spec.num_layers,
        num_kv_heads=spec.num_kv_heads,
        head_dim=spec.head_dim,
        vocab_size=spec.vocab_size,
        kv_dtype=(cache or own_cache(level)).dtype,
        max_context_tokens=longest_context(spec),
        caches=() if caches == alike else caches,
        states=states,
    )


def _window(layer: Layer, cache: CacheLevel) -> int | None:
    """Tokens that the cache of a layer keeps; None: all, also where the kernel has no other way."""
    packs = cache.per_element > 1
    return None if packs and layer.head_dim % PACKED_HEAD_STEP else layer.cache_window_tokens


def _check_heads(spec: ModelSpec) -> None:
    """Refuse heads that GroupQueryAttention does not run."""
    widths = [w for w in (spec.head_dim, spec.full_head_dim) if w and w % HEAD_DIM_STEP]
    if widths:
        raise ModelError(
            f"{spec.name}: attention heads are {widths[0]} wide",
            fix=f"use a model whose head_dim is a multiple of {HEAD_DIM_STEP}:"
            " ONNX Runtime's GroupQueryAttention runs no other",
        )
