"""The architecture of a model as numbers: everything a builder or an estimator must know.

A decoder, where the norms of its layers stand and which of its matrices are sensitive; and
encoders: BERT and what computes as it does, and those whose layers are a decoder's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from harness.models.specs.layers import (
    KINDS,
    LATER,
    Convolution,
    DeltaRule,
    Experts,
    FeedForward,
    Kind,
    Layer,
    Mamba,
)


@dataclass(frozen=True, slots=True)
class NormOrder:
    """The norms of one layer; an empty name: there is none at that place.

    Attributes:
        before_attention: of what attention reads.
        after_attention: of what attention gives, before it is added to the residual stream.
        before_block: of what the block reads.
        after_block: of what the block gives, before it is added.
        parallel: attention and block read the same norm, and both are added at once.
    """

    before_attention: str = ""
    after_attention: str = ""
    before_block: str = ""
    after_block: str = ""
    parallel: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The norms there are, in the order of a layer."""
        places = (self.before_attention, self.after_attention, self.before_block, self.after_block)
        return tuple(name for name in places if name)


NORM_ORDERS = {
    "before": NormOrder("input_layernorm", before_block="post_attention_layernorm"),
    "after": NormOrder(
        after_attention="post_attention_layernorm", after_block="post_feedforward_layernorm"
    ),
    "around": NormOrder(
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    ),
    "parallel": NormOrder("input_layernorm", parallel=True),
}
NORM_ENDS = {
    "rmsnorm": ("weight",),
    "layernorm": ("weight", "bias"),
    "layernorm_weight": ("weight",),
}
# Vectors of hidden_size that each norm trains; one kind is only counted, never built.
NORM_VECTORS = {"rmsnorm": 1, "layernorm": 2, "layernorm_weight": 1, "nonparametric_layernorm": 0}


_DOWN = r"mlp\.(?:down_proj|shared_expert\.down_proj|experts\.\d+\.down_proj|experts_down)"
_MATRIX = re.compile(rf"model\.layers\.(\d+)\.(?:self_attn\.(?:q|k|v|g|qkv)_proj|{_DOWN})\b")


@cache
def sensitive_layers(num_layers: int) -> frozenset[int]:
    """Return the layers whose query, key, value and down matrices are sensitive.

        i < n/8,  i >= 7n/8,  or (i - n/8) mod 3 = 2, divisions rounded down

    The first and the last eighth and every third layer in between: about half of them.
    Source: `use_more_bits` of llama.cpp (src/llama-quant.cpp), by which Q4_K_M stores attention
    value and down matrices at 6 bits; onnxruntime-genai's builder (`mixed_layers`) takes 8 bits
    and, as here, the whole of a packed query, key and value.
    """
    eighth = num_layers // 8
    return frozenset(
        layer
        for layer in range(num_layers)
        if layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2
    )


def is_sensitive(name: str, num_layers: int) -> bool:
    """Tell whether a matrix is sensitive, by its name in a checkpoint or in a built graph."""
    found = _MATRIX.match(name)
    return found is not None and int(found[1]) in sensitive_layers(num_layers)


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How rotary frequencies are stretched beyond the trained context.

    Attributes:
        kind: `llama3` and `yarn` (frequency-dependent), `linear`, `longrope` (a divisor per
            frequency), `ntk` (a larger base) or `proportional` (only the fastest pairs turn).
        factor: how many times longer the context becomes.
        low_frequency_factor: llama3 only; wavelengths above context / this are divided by factor.
        high_frequency_factor: llama3 only; wavelengths below context / this are kept.
        original_context_tokens: llama3, longrope and yarn; the context first trained with.
        divisors: longrope only; of each frequency, for sequences within the original context.
        amplitude: longrope and yarn; multiplies cosines and sines.
        fast_turns: yarn only; frequencies that turn more often within the original context are
            kept.
        slow_turns: yarn only; those that turn less often are divided by factor.
        whole_pairs: yarn only; both bounds are rounded to whole pairs, outwards.
        turned_share: proportional only; the part of all pairs that turn.
        query_growth: yarn only; queries at position p are multiplied by
            1 + this · ln(1 + ⌊p / original context⌋) (Ministral 3).
    """

    kind: str
    factor: float
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_context_tokens: int = 8192
    divisors: tuple[float, ...] = ()
    amplitude: float = 1.0
    fast_turns: float = field(default=32.0, metadata=LATER)
    slow_turns: float = field(default=1.0, metadata=LATER)
    whole_pairs: bool = field(default=True, metadata=LATER)
    query_growth: float = field(default=0.0, metadata=LATER)
    turned_share: float = field(default=1.0, metadata=LATER)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One decoder; where no field says otherwise it is built like Llama.

    Llama: an RMS norm before attention and before the block, rotary attention with grouped heads,
    a gated SiLU block. A family is nothing but values of these fields.

    Attributes:
        name: the word the user types, such as `smollm2-135m`.
        family: the Hugging Face `model_type`, a key of harness.models.specs.decoder_names.
        vocab_size: rows of the embedding.
        hidden_size: width of the residual stream.
        num_layers: decoder blocks.
        num_heads: query heads.
        num_kv_heads: key and value heads.
        head_dim: width of one head; read, never derived from hidden_size / num_heads.
        intermediate_size: width of the block after attention.
        tied_embeddings: whether the head is the embedding itself.
        max_context_tokens: longest sequence the model takes.
        rope_theta: base of the rotary frequencies.
        norm_epsilon: added to the mean square, or the variance, inside every norm.
        norm: `rmsnorm` (one weight) or `layernorm` (weight and bias).
        norm_order: where a layer's norms stand, a key of harness.models.specs.model.NORM_ORDERS.
        activation: of the block: `silu`, `gelu_tanh` or `relu2`: the square of what is positive.
        mlp_gated: three matrices with a gate, or two without.
        qkv_bias: whether query, key and value projections add a bias (Qwen2).
        all_bias: whether output projection and block matrices add one too (Phi-2, GPT-2).
        head_bias: whether the head adds one (Phi-2).
        qk_norm: RMS norm of queries and keys: `none`, `per_head` (Qwen3) or `full_width` (OLMo-2).
        positions: `rotary`, or `learned`: a row per position is added to the embedding (GPT-2).
        rotary_dim: how many values of a head are rotated; None: all.
        rope_scaling: stretched rotary frequencies, or None.
        local_rope_theta: base in layers with a window, unstretched; None: as in the others.
        layer_thetas: a base for each layer instead, 0 where it turns nothing; empty: see above.
        sliding_window_tokens: attention sees only this many last tokens; None: all.
        full_attention_every: of so many layers the last sees everything all the same; None: no
            layer does.
        scaled_embedding: whether embedding rows are multiplied by sqrt(hidden_size) (Gemma).
        attention_scale: multiplies the scores; None: head_dim^-1/2.
        attention_softcap: scores s become cap · tanh(s / cap); None: they stay.
        logit_softcap: the same of the logits.
        experts: a mixture in every layer instead of the block, or None.
        convolution: sizes of its layers of short convolutions, or None: it has none.
        delta_rule: sizes of its layers of linear attention, or None: it has none.
        mamba: sizes of its Mamba-2 mixers, or None: it has none.
        part_multipliers: by the name of a matrix within a layer, or of its bias where it differs,
            what it is multiplied by when a checkpoint is read (Falcon-H1).
        attention_gate: what attention gives is multiplied by the sigmoid of a gate as wide
            (Qwen3.5).
        attention_gate_by_head: that gate is one number for each head (LFM3).
        state_norm_order: where norms stand in layers that keep a state; empty: as in the others.
        layer_pattern: one letter a layer, repeated as often as it takes, see
            harness.models.specs.layers; empty: every layer attends as the fields above say.
        embedding_multiplier: multiplies embedding rows (Granite).
        residual_multiplier: multiplies what attention and block give; folded into the weights of
            a checkpoint where it is read.
        logit_multiplier: multiplies the logits; folded into the final norm likewise.
        rotary_pairs: rotary positions turn neighbours, not the halves of a head (ERNIE 4.5).
        qk_norm_after_rotary: queries and keys are normalised after they are turned (Hunyuan).
        out_bias: whether the output projection alone adds a bias too (gpt-oss).
        block_bias: whether the matrices of the block add one, gate, up and down.
        attention_sinks: a learned logit per head takes a share of every softmax (gpt-oss).
        full_head_dim: width of a head in layers that see everything; None: as in the others.
        shared_cache_layers: so many last layers have no keys and values: they read those of the
            last layer before them that sees as much (Gemma 4).
        shared_block_factor: the block of those layers is so many times as wide.
        value_norm: values are normalised by head too, by an RMS norm without weights.
        per_layer_width: of a second embedding, of which each layer adds its own part; 0: none.
        layer_scalars: the stream behind each layer is multiplied by a trained number.
        part_of: the class of a larger model whose text part this is; empty: a model of its own.
        published_parameters: the count its makers or independent public code state, or None.
        expected_delta: our exact count minus the published one, where known to differ.
        expected_delta_reason: why it differs; empty where expected_delta is 0.
        hf_id: `organisation/name` on the Hugging Face hub, or empty.
        license: of the published weights.
        source: where these numbers were read.
    """

    name: str
    family: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    tied_embeddings: bool
    max_context_tokens: int
    rope_theta: float
    norm_epsilon: float = 1e-5
    norm: str = "rmsnorm"
    norm_order: str = "before"
    activation: str = "silu"
    mlp_gated: bool = True
    qkv_bias: bool = False
    all_bias: bool = False
    head_bias: bool = False
    qk_norm: str = "none"
    positions: str = "rotary"
    rotary_dim: int | None = None
    rope_scaling: RopeScaling | None = None
    local_rope_theta: float | None = None
    sliding_window_tokens: int | None = None
    full_attention_every: int | None = None
    scaled_embedding: bool = False
    attention_scale: float | None = None
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    experts: Experts | None = None
    part_of: str = ""
    convolution: Convolution | None = field(default=None, metadata=LATER)
    delta_rule: DeltaRule | None = field(default=None, metadata=LATER)
    mamba: Mamba | None = field(default=None, metadata=LATER)
    part_multipliers: tuple[tuple[str, float], ...] = field(default=(), metadata=LATER)
    attention_gate: bool = field(default=False, metadata=LATER)
    attention_gate_by_head: bool = field(default=False, metadata=LATER)
    state_norm_order: str = field(default="", metadata=LATER)
    layer_thetas: tuple[float, ...] = field(default=(), metadata=LATER)
    layer_pattern: str = field(default="", metadata=LATER)
    embedding_multiplier: float = field(default=1.0, metadata=LATER)
    residual_multiplier: float = field(default=1.0, metadata=LATER)
    logit_multiplier: float = field(default=1.0, metadata=LATER)
    rotary_pairs: bool = field(default=False, metadata=LATER)
    qk_norm_after_rotary: bool = field(default=False, metadata=LATER)
    out_bias: bool = field(default=False, metadata=LATER)
    block_bias: bool = field(default=False, metadata=LATER)
    attention_sinks: bool = field(default=False, metadata=LATER)
    full_head_dim: int | None = field(default=None, metadata=LATER)
    shared_cache_layers: int = field(default=0, metadata=LATER)
    shared_block_factor: int = field(default=1, metadata=LATER)
    value_norm: bool = field(default=False, metadata=LATER)
    per_layer_width: int = field(default=0, metadata=LATER)
    layer_scalars: bool = field(default=False, metadata=LATER)
    published_parameters: int | None = None
    expected_delta: int = 0
    expected_delta_reason: str = ""
    hf_id: str = ""
    license: str = ""
    source: str = ""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer, first to last."""
        return _layers(self)

    def layer(self, number: int) -> Layer:
        """What one layer is: all that builds, counts or estimates it asks here."""
        kind, window, feed_forward = self._kind(number)
        is_reader = number >= self.num_layers - self.shared_cache_layers
        sees_everything = window is None and self.full_head_dim is not None
        is_read = self.shared_cache_layers > 0 and self._owner(window) == number
        return Layer(
            number=number,
            mixers=kind.mixers,
            feed_forward=feed_forward,
            intermediate_size=self.intermediate_size
            * (self.shared_block_factor if is_reader else 1),
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            head_dim=(self.full_head_dim or self.head_dim) if sees_everything else self.head_dim,
            window_tokens=window,
            rotary=self.positions == "rotary" and kind.rotary,
            cache_layer=self._owner(window) if is_reader else number,
            cache_window_tokens=None if is_reader or is_read else window,
        )

    def _owner(self, window: int | None) -> int:
        """The last layer with keys and values of its own that sees as much; -1: there is none."""
        owners = range(self.num_layers - self.shared_cache_layers)
        return next((one for one in reversed(owners) if self._kind(one)[1] == window), -1)

    def _kind(self, number: int) -> tuple[Kind, int | None, FeedForward]:
        """Kind and window of a layer, and what follows its mixer."""
        is_dense = self.experts is None or number < self.experts.dense_layers
        block = FeedForward.MLP if is_dense else FeedForward.EXPERTS
        if not self.layer_pattern:
            return KINDS["F"], self._periodic_window(number), block
        letter = self.layer_pattern[number % len(self.layer_pattern)]
        kind = KINDS[letter.upper()]
        window = self.sliding_window_tokens if kind.windowed else None
        return kind, window, block if letter.isupper() else FeedForward.NONE

    def _periodic_window(self, number: int) -> int | None:
        """The window of a layer where no pattern tells it."""
        every = self.full_attention_every
        sees_everything = every is not None and (number + 1) % every == 0
        return None if sees_everything else self.sliding_window_tokens

    @property
    def rotated_dim(self) -> int:
        """Values of a head that rotary positions turn; 0 where positions are learned."""
        if self.positions != "rotary":
            return 0
        return self.head_dim if self.rotary_dim is None else self.rotary_dim

    def norms_of(self, layer: Layer) -> NormOrder:
        """Where the norms of a layer stand."""
        keeps_state = bool(layer.mixers) and not layer.attends
        return NORM_ORDERS[(self.state_norm_order if keeps_state else "") or self.norm_order]

    @property
    def turned_apart(self) -> bool:
        """Whether queries and keys are turned before the attention operator, not within it.

        They are normalised after that, or the operator does not turn as many: it takes tables of
        whole runs of 8 angles (onnxruntime 1.32.0).
        """
        widths = (self.rotated_dim, self.full_head_dim or 0)
        apart = self.qk_norm_after_rotary or any(width % 16 for width in widths)
        return apart and any(layer.attends and layer.rotary for layer in self.layers)

    @property
    def score_scale(self) -> float:
        """What attention scores are multiplied by."""
        return self.head_dim**-0.5 if self.attention_scale is None else self.attention_scale

    @property
    def rotary_context_tokens(self) -> int:
        """Longest sequence that its rotary frequencies hold for: a longrope's first context.

        Beyond it another list of divisors holds, by which every cached key would be rotated anew.
        """
        if self.rope_scaling is None or self.rope_scaling.kind != "longrope":
            return self.max_context_tokens
        return min(self.max_context_tokens, self.rope_scaling.original_context_tokens)

    @property
    def full_attention_layers(self) -> int:
        """Layers that see everything although others have a window."""
        if self.sliding_window_tokens is None:
            return 0
        return sum(layer.attends and layer.window_tokens is None for layer in self.layers)

    def window_tokens(self, layer: int) -> int | None:
        """How many last tokens a layer sees; None: all."""
        return self.layer(layer).window_tokens


@lru_cache(maxsize=1024)
def _layers(spec: ModelSpec) -> tuple[Layer, ...]:
    """Every layer of an architecture; made once, since every count and estimate asks for them."""
    return tuple(spec.layer(number) for number in range(spec.num_layers))


ENCODER_FAMILIES = ("bert", "distilbert", "xlm-roberta", "roberta")
POOLINGS = ("mean", "cls", "last")
ACTIVATIONS = ("gelu", "gelu_tanh")
DENSE_ACTIVATIONS = ("identity", "tanh", "relu", "gelu")


@dataclass(frozen=True, slots=True)
class Dense:
    """One layer that a pooled vector passes: a matrix, then an activation, then a norm.

    Attributes:
        outputs: width of what it gives.
        bias: whether the matrix adds one.
        activation: one of DENSE_ACTIVATIONS.
        norm: whether a layer norm without bias follows (ModernBERT's head).
    """

    outputs: int
    bias: bool = True
    activation: str = "identity"
    norm: bool = False


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One encoder: learned positions, attention in both directions, a norm after each block.

    Attributes:
        name: the word the user types, such as `all-minilm-l6-v2`.
        family: the Hugging Face `model_type`, one of ENCODER_FAMILIES.
        vocab_size: rows of the embedding.
        hidden_size: width of the residual stream, and of the sentence embedding.
        num_layers: blocks.
        num_heads: attention heads; each is hidden_size / num_heads wide.
        intermediate_size: width of the block after attention.
        max_context_tokens: the longest sequence.
        token_types: rows of the token type table; 0: the family has none (DistilBERT); 1: every
            token has that row, and there is no input for it (XLM-R).
        pooler: whether the checkpoint has BERT's pooler. It is counted as published; sentence
            embeddings do not use it, so it is not built.
        norm_epsilon: added to the variance inside every layer norm.
        activation: `gelu` (exact, with erf) or `gelu_tanh` (its approximation).
        pooling: how a sequence becomes one vector: `mean` of its tokens, the first one (`cls`) or
            the `last` one that is seen.
        first_position: row of the position table that the first token has: RoBERTa leaves out
            those up to its padding token's number.
        dense: what the pooled vector passes.
        scores: the last of these gives scores of a text, or of a pair, as they are; otherwise the
            result is scaled to length 1.
        published_parameters: the count its makers or independent public code state, or None.
        expected_delta: our exact count minus the published one, where known to differ.
        expected_delta_reason: why it differs; empty where expected_delta is 0.
        hf_id: `organisation/name` on the Hugging Face hub, or empty.
        license: of the published weights.
        source: where these numbers were read.
    """

    name: str
    family: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_context_tokens: int
    token_types: int
    pooler: bool
    norm_epsilon: float = 1e-12
    activation: str = "gelu"
    pooling: str = "mean"
    first_position: int = field(default=0, metadata=LATER)
    dense: tuple[Dense, ...] = field(default=(), metadata=LATER)
    scores: bool = field(default=False, metadata=LATER)
    published_parameters: int | None = None
    expected_delta: int = 0
    expected_delta_reason: str = ""
    hf_id: str = ""
    license: str = ""
    source: str = ""

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_size // self.num_heads

    @property
    def position_rows(self) -> int:
        """Rows of the position table."""
        return self.first_position + self.max_context_tokens


ROTARY_ENCODER_FAMILIES = ("modernbert", "eurobert")  # whose classes are encoders only


@dataclass(frozen=True, slots=True)
class RotaryEncoderSpec(ModelSpec):
    """One encoder whose layers are those of a decoder: rotary positions, a norm before each part.

    Fields of a ModelSpec mean the same here; there is no head over words, no cache, and the
    embedding is counted once.

    Attributes:
        causal: a token sees only those before it (Qwen3-Embedding); else also those behind it, and
            a window reaches `sliding_window_tokens` // 2 to each side (ModernBERT, Gemma 3).
        embedding_norm: the norm of the first layer is one of the embedding itself, so that the
            residual stream begins behind it (ModernBERT).
        pooling: as of an EncoderSpec.
        dense: as of an EncoderSpec.
        scores: as of an EncoderSpec.
    """

    causal: bool = False
    embedding_norm: bool = False
    pooling: str = "mean"
    dense: tuple[Dense, ...] = ()
    scores: bool = False


AnySpec = ModelSpec | EncoderSpec | RotaryEncoderSpec
TextSpec = EncoderSpec | RotaryEncoderSpec  # what turns texts into vectors


def spec_type(fields: Mapping[str, object]) -> type[ModelSpec] | type[EncoderSpec]:
    """Return the record that describes an architecture, by its fields as they were written."""
    family = fields.get("family")
    if family in ENCODER_FAMILIES:
        return EncoderSpec
    is_encoder = "pooling" in fields or family in ROTARY_ENCODER_FAMILIES
    return RotaryEncoderSpec if is_encoder else ModelSpec
