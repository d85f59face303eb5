"""What a caller of a static model must know: its fixed shapes, and how a key is hidden.

What a static decoder is not built of is refused by name before anything is built.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NoReturn, Self

from harness.builder.graph.rules import ALL_LOGITS_FILE, GRAPH_FILE, MAX_CONTEXT_TOKENS
from harness.builder.quantize.levels import CacheLevel, QuantLevel
from harness.core.errors import ModelError, UsageError
from harness.models.specs.model import EncoderSpec, ModelSpec, RotaryEncoderSpec

# Fields of a ModelSpec and the values that the static block knows.
_BUILT: dict[str, tuple[object, ...]] = {
    "norm": ("rmsnorm",),
    "norm_order": ("before",),
    "activation": ("silu",),
    "mlp_gated": (True,),
    "all_bias": (False,),
    "head_bias": (False,),
    "qk_norm": ("none", "per_head"),
    "positions": ("rotary",),
    "rotary_dim": (None,),
    "local_rope_theta": (None,),
    "full_attention_every": (None,),
    "scaled_embedding": (False,),
    "attention_scale": (None,),
    "attention_softcap": (None,),
    "logit_softcap": (None,),
    "experts": (None,),
    "embedding_multiplier": (1.0,),
    "rotary_pairs": (False,),
    "qk_norm_after_rotary": (False,),
    "out_bias": (False,),
    "block_bias": (False,),
    "layer_thetas": ((),),
    "attention_sinks": (False,),
    "full_head_dim": (None,),
    "shared_cache_layers": (0,),
    "value_norm": (False,),
    "per_layer_width": (0,),
    "layer_scalars": (False,),
    "layer_pattern": ("",),
    "attention_gate": (False,),
}


def check_static(spec: ModelSpec) -> None:
    """Refuse an architecture whose block the static decoder does not have.

    Raises:
        ModelError: names the field, its value, and what is built.
    """
    for field, built in _BUILT.items():
        value = getattr(spec, field)
        if value not in built:
            raise ModelError(
                f"{spec.name}: {field} is {value!r}, which a static decoder does not have",
                fix="a level of the fused decoder (bench levels), or a model of the Llama,"
                " Mistral, Qwen2 or Qwen3 families",
            )
    if spec.rope_scaling is not None and spec.rope_scaling.kind in ("longrope", "yarn"):
        raise ModelError(
            f"{spec.name}: rotary positions of {spec.rope_scaling.kind}, which a static decoder"
            " does not have",
            fix="a level of the fused decoder (bench levels)",
        )


# What is added to the score of a key that may not be seen. Far below any score; not so far that
# the integers of a mask and of the scores could not be added by one operator.
HIDDEN = -1000.0
STEP_FILE = "step.onnx"  # one token
PREFILL_FILE = "prefill.onnx"  # as many as the geometry says, logits of one
ALL_POSITIONS_FILE = "prefill_all_logits.onnx"  # the same, logits of each


class BuiltGeometry:
    """What every kind of built graph answers; a kind says what is another's with it.

    Attributes:
        main_file: the graph that stands for the model.
        all_logits_file: the graph whose logits are those of every token; encoders have none.
        is_static: whether its shapes are fixed, so that what it is compared with is fused.
        scores: whether an encoder gives scores of texts instead of embeddings.
    """

    __slots__ = ()
    main_file = GRAPH_FILE
    all_logits_file = ALL_LOGITS_FILE
    is_static = False
    scores = False

    @property
    def sliding_layers(self) -> tuple[int, ...]:
        """Layers whose caches may be shorter than the longest sequence: none."""
        return ()

    @property
    def state_bytes(self) -> int:
        """Bytes that it keeps of one sequence besides keys and values, whatever its depth."""
        return 0

    def for_capacity(self, capacity_tokens: int) -> Self:
        """The one with the least caches for so many positions: itself."""
        return self

    def cache_bytes(self, capacity_tokens: int) -> int:
        """Bytes of keys and values of one sequence, bound for so many positions: none."""
        return 0

    def cache_beside(self, own: CacheLevel) -> CacheLevel:
        """How it stores keys and values, given how its level does."""
        return own

    def of_texts(self, tokens: int, sequences: int) -> Self:
        """The part of it that reads texts of one shape: all of it."""
        return self


@dataclass(frozen=True, slots=True)
class StaticShapes:
    """What a static decoder is built for, beside model and level.

    Attributes:
        prefill_tokens: tokens that the prefill graph reads at once.
        capacity_tokens: positions of the cache, the longest sequence.
    """

    prefill_tokens: int
    capacity_tokens: int

    def for_capacity(self, capacity_tokens: int) -> Self:
        """The same with a cache of so many positions."""
        return replace(self, capacity_tokens=capacity_tokens)


@dataclass(frozen=True, slots=True)
class StaticGeometry(BuiltGeometry):
    """Shapes and types of a static decoder's inputs and outputs.

    Attributes:
        num_layers: one input and one output for keys, and one for values, per layer.
        num_kv_heads: first dimension of a cache tensor.
        head_dim: width of one head.
        vocab_size: last dimension of the logits.
        kv_dtype: type of the cache: `float32` or `uint8`.
        prefill_tokens: tokens that the prefill graph reads at once.
        capacity_tokens: positions of the cache, the longest sequence.
        window_tokens: attention sees only this many last tokens; None: all.
    """

    num_layers: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    kv_dtype: str
    prefill_tokens: int
    capacity_tokens: int
    window_tokens: int | None = None

    main_file = PREFILL_FILE
    all_logits_file = ALL_POSITIONS_FILE
    is_static = True

    def cache_bytes(self, capacity_tokens: int) -> int:
        """Bytes of keys and values of one sequence: those that it was built for."""
        values = 2 * self.num_layers * self.num_kv_heads * self.head_dim * self.capacity_tokens
        return values if self.kv_dtype == "uint8" else 4 * values

    @property
    def max_context_tokens(self) -> int:
        """Longest sequence, cached tokens included."""
        return self.capacity_tokens

    @property
    def key_shape(self) -> tuple[int, int, int]:
        """Shape of one layer's cached keys: each head's own matrix, as the scores need it."""
        return (self.num_kv_heads, self.head_dim, self.capacity_tokens)

    @property
    def value_shape(self) -> tuple[int, int, int]:
        """Shape of one layer's cached values."""
        return (self.num_kv_heads, self.capacity_tokens, self.head_dim)


@dataclass(frozen=True, slots=True, order=True)
class TextShape:
    """How many tokens of how many texts one graph of an encoder reads.

    Attributes:
        tokens: of each text, padding included.
        sequences: texts.
    """

    tokens: int
    sequences: int

    @property
    def file(self) -> str:
        """Name of the graph, such as `enc128x8.onnx`."""
        return f"enc{self.tokens}x{self.sequences}.onnx"


@dataclass(frozen=True, slots=True)
class EncoderShapes:
    """What a static encoder is built for beside its model and level: see StaticEncoderGeometry."""

    shapes: tuple[TextShape, ...]

    def for_capacity(self, capacity_tokens: int) -> Self:
        """Return it unchanged: an encoder keeps no cache."""
        return self


AnyShapes = StaticShapes | EncoderShapes


@dataclass(frozen=True, slots=True)
class StaticEncoderGeometry(BuiltGeometry):
    """Shapes of a static encoder's inputs and outputs.

    Attributes:
        vocab_size: one more than the largest token id.
        hidden_size: last dimension of the embeddings.
        token_types: one more than the largest type id; 0: there is no such input.
        max_context_tokens: longest sequence.
        pooling: `mean`: there is an input `token_shares`; `cls`: there is none.
        shapes: one graph for each.
    """

    vocab_size: int
    hidden_size: int
    token_types: int
    max_context_tokens: int
    pooling: str
    shapes: tuple[TextShape, ...]

    is_static = True

    @property
    def main_file(self) -> str:  # type: ignore[override]  # read only, as everything here
        """That of the smallest shape."""
        return self.shapes[0].file

    @property
    def longest_tokens(self) -> int:
        """Longest text that one of the graphs reads."""
        return max(shape.tokens for shape in self.shapes)

    def of_texts(self, tokens: int, sequences: int) -> Self:
        """Return the geometry of one of the graphs alone."""
        return replace(self, shapes=(TextShape(tokens, sequences),))


STATIC_POOLINGS = ("mean", "cls")


def refuse_rotary_encoder(spec: RotaryEncoderSpec) -> NoReturn:
    """Refuse an encoder with a decoder's layers, of which no static graphs are built.

    Raises:
        ModelError: names the model and the way out.
    """
    raise ModelError(
        f"{spec.name}: an encoder with rotary positions, of which no static graphs are built",
        fix="a level of the fused encoder (bench levels), or an encoder of the BERT families",
    )


def type_inputs(spec: EncoderSpec) -> int:
    """Return one more than the largest type id that is fed; 0: none is, all have the only row."""
    return spec.token_types if spec.token_types > 1 else 0


def static_encoder_geometry(
    spec: EncoderSpec, shapes: Iterable[TextShape]
) -> StaticEncoderGeometry:
    """Return the geometry of `spec` with graphs of these shapes, each once, smallest first.

    Raises:
        UsageError: no shape, or one that the model does not take.
        ModelError: dense layers or a pooling that no static graph is built with.
    """
    if spec.dense or spec.pooling not in STATIC_POOLINGS:
        what = "dense layers behind its pooling" if spec.dense else f"pooling {spec.pooling!r}"
        raise ModelError(
            f"{spec.name}: {what}, with which no static graphs are built",
            fix=f"a level of the fused encoder (bench levels), or {' or '.join(STATIC_POOLINGS)}",
        )
    found = tuple(sorted(set(shapes)))
    for shape in found:
        if shape.sequences < 1 or not 1 <= shape.tokens <= spec.max_context_tokens:
            raise UsageError(
                f"{spec.name}: {shape.sequences} texts of {shape.tokens} tokens",
                fix=f"1 text or more, of 1 to {spec.max_context_tokens} tokens",
            )
    if not found:
        raise UsageError(
            f"{spec.name} is built as a static encoder without a shape", fix="such as enc128x8"
        )
    return StaticEncoderGeometry(
        vocab_size=spec.vocab_size,
        hidden_size=spec.hidden_size,
        token_types=type_inputs(spec),
        max_context_tokens=spec.max_context_tokens,
        pooling=spec.pooling,
        shapes=found,
    )


def static_geometry(
    spec: ModelSpec, level: QuantLevel, prefill_tokens: int, capacity_tokens: int
) -> StaticGeometry:
    """Return the geometry of `spec` built at `level` with these shapes.

    Raises:
        UsageError: a shape outside what the model takes.
        ModelError: an architecture that a static decoder is not built of.
    """
    check_static(spec)
    longest = min(spec.max_context_tokens, MAX_CONTEXT_TOKENS)
    if not 2 <= prefill_tokens <= capacity_tokens <= longest:
        raise UsageError(
            f"{spec.name}: prefill of {prefill_tokens} tokens with a cache of {capacity_tokens}",
            fix=f"a prefill of 2 tokens or more, a cache of at least that and at most {longest}",
        )
    return StaticGeometry(
        num_layers=spec.num_layers,
        num_kv_heads=spec.num_kv_heads,
        head_dim=spec.head_dim,
        vocab_size=spec.vocab_size,
        kv_dtype=level.cache_dtype,
        prefill_tokens=prefill_tokens,
        capacity_tokens=capacity_tokens,
        window_tokens=spec.sliding_window_tokens,
    )
