"""What each layer of a decoder is: what mixes its tokens, what follows, and the sizes of both.

A pattern gives one letter a layer. A capital letter has the block of the model behind its mixer, a
small one nothing:

    F attention to everything      S attention within the sliding window
    G attention without rotary     C short convolution (LFM2)
    L gated delta rule (Qwen3.5)   M Mamba-2 (Granite 4 H, Nemotron-H)
    D no mixer: the block alone    P attention and Mamba-2 side by side (Falcon-H1)
    N attention within the sliding window, without rotary

A pattern shorter than the model is repeated: `LLLF` describes 24 layers as well as 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# Of a field of a spec that came after the first builds: it is no part of their hash at its default,
# so that a new field changes no folder that was built before it.
LATER: Mapping[str, bool] = {"later": True}


class Mixer(StrEnum):
    """What carries values from token to token; the rows of `harness.models.specs.blocks.MIXERS`."""

    ATTENTION = "attention"
    CONVOLUTION = "convolution"
    DELTA = "delta rule"
    MAMBA = "mamba"


class FeedForward(StrEnum):
    """What follows the mixer, token by token."""

    MLP = "mlp"
    EXPERTS = "experts"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a letter of a pattern says of a layer.

    Attributes:
        mixers: side by side, each reading the same norm; empty: there is none.
        windowed: attention sees the last tokens only.
        rotary: attention turns queries and keys by their positions.
    """

    mixers: tuple[Mixer, ...]
    windowed: bool = False
    rotary: bool = True


KINDS: Mapping[str, Kind] = {
    "F": Kind((Mixer.ATTENTION,)),
    "S": Kind((Mixer.ATTENTION,), windowed=True),
    "G": Kind((Mixer.ATTENTION,), rotary=False),
    "N": Kind((Mixer.ATTENTION,), windowed=True, rotary=False),
    "C": Kind((Mixer.CONVOLUTION,)),
    "L": Kind((Mixer.DELTA,)),
    "M": Kind((Mixer.MAMBA,)),
    "P": Kind((Mixer.ATTENTION, Mixer.MAMBA)),
    "D": Kind(()),
}


def shortest_pattern(letters: str) -> str:
    """Return what a pattern repeats: `LLLF` of `LLLFLLLF`, so that one model has one spelling."""
    for length in range(1, len(letters)):
        if len(letters) % length == 0 and letters == letters[:length] * (len(letters) // length):
            return letters[:length]
    return letters


@dataclass(frozen=True, slots=True)
class Convolution:
    """Short convolutions over the tokens, each channel by itself, between two gates (LFM2).

    Attributes:
        kernel: taps: the token itself and so many less one before it.
        bias: whether both matrices and the taps add one.
    """

    kernel: int
    bias: bool = field(default=False, metadata=LATER)


@dataclass(frozen=True, slots=True)
class DeltaRule:
    """Linear attention by the gated delta rule: each value head keeps a matrix (Qwen3.5).

    Attributes:
        key_heads: heads of queries and keys; each serves value_heads / key_heads heads in a row.
        value_heads: heads of values.
        key_dim: width of a query or key head.
        value_dim: width of a value head.
        kernel: taps of the convolution over queries, keys and values.
        rate_scale: multiplies the sigmoid that a head writes by: of 2, what it keeps may change its
            sign (OLMo Hybrid).
        norm_epsilon: of the norm of what it gives; None: as of all norms.
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    rate_scale: float = field(default=1.0, metadata=LATER)
    norm_epsilon: float | None = field(default=None, metadata=LATER)

    @property
    def keys_width(self) -> int:
        """Values of all key heads."""
        return self.key_heads * self.key_dim

    @property
    def values_width(self) -> int:
        """Values of all value heads."""
        return self.value_heads * self.value_dim

    @property
    def packed_width(self) -> int:
        """Queries, keys and values together."""
        return 2 * self.keys_width + self.values_width


@dataclass(frozen=True, slots=True)
class Mamba:
    """A Mamba-2 mixer: each head keeps a matrix that decays and grows with every token.

    Attributes:
        heads: of values.
        head_dim: width of one.
        state_dim: width of what a group writes and reads by.
        groups: each is shared by heads / groups heads in a row.
        kernel: taps of the convolution.
        gated_norm: an RMS norm per group and the gate; without it the gate alone (Falcon-H1).
        norm_first: the gate comes behind that norm, not before it.
        in_bias: whether the projection into the mixer adds a bias.
        out_bias: whether the one out of it does.
        taps_bias: whether the convolution does.
    """

    heads: int
    head_dim: int
    state_dim: int
    groups: int = 1
    kernel: int = 4
    gated_norm: bool = True
    norm_first: bool = field(default=False, metadata=LATER)
    in_bias: bool = field(default=False, metadata=LATER)
    out_bias: bool = field(default=False, metadata=LATER)
    taps_bias: bool = field(default=True, metadata=LATER)

    @property
    def inner_width(self) -> int:
        """Values of all heads."""
        return self.heads * self.head_dim

    @property
    def group_width(self) -> int:
        """What all groups write by, or read by."""
        return self.groups * self.state_dim

    @property
    def convolved_width(self) -> int:
        """Values, and what groups write and read by."""
        return self.inner_width + 2 * self.group_width


@dataclass(frozen=True, slots=True)
class Experts:
    """The mixture that stands in each layer instead of one gated block.

    Attributes:
        count: experts stored per layer.
        active: experts that one token uses.
        intermediate_size: width of one expert.
        shared_intermediate_size: width of the block that every token uses too; 0: none.
        shared_gate: whether that block's output is scaled by a learned gate [hidden].
        normalised: whether the weights of the active experts are scaled to sum to 1.
        bias: whether router and experts add biases (gpt-oss).
        gate_slope: the gate is g · sigmoid(this · g).
        up_added: added to up before it is multiplied by the gate.
        dense_layers: so many first layers have a block of intermediate_size instead.
        sigmoid: experts are chosen by sigmoids of the router, not by their softmax (LFM2).
        choice_bias: a trained number per expert is added to them for the choice alone.
        scale: multiplies what the chosen experts give; folded into the weights of a checkpoint.
        limit: gate is cut above it, up on both sides; None: neither is.
    """

    count: int
    active: int
    intermediate_size: int
    shared_intermediate_size: int = 0
    shared_gate: bool = False
    normalised: bool = True
    bias: bool = field(default=False, metadata=LATER)
    gate_slope: float = field(default=1.0, metadata=LATER)
    up_added: float = field(default=0.0, metadata=LATER)
    limit: float | None = field(default=None, metadata=LATER)
    dense_layers: int = field(default=0, metadata=LATER)
    sigmoid: bool = field(default=False, metadata=LATER)
    choice_bias: bool = field(default=False, metadata=LATER)
    scale: float = field(default=1.0, metadata=LATER)


# Rows of a sliding cache beyond its window. ONNX Runtime moves a full one to its beginning, which
# costs about what reading it costs: with C rows for a window of W it does so every C - W + 1 steps.
SPARE_ROWS, SPARE_SHARE = 64, 8  # at most, and of the window: a row for every so many of it


def cache_rows(window_tokens: int | None, capacity_tokens: int) -> int:
    """Rows of a cache for so many tokens, of which a layer sees a window.

    rows = min(tokens, window + min(64, window // 8))
    """
    if window_tokens is None:
        return capacity_tokens
    spare = min(SPARE_ROWS, window_tokens // SPARE_SHARE)
    return min(capacity_tokens, window_tokens + spare)


def kept_rows(window_tokens: int | None, rows: int, tokens: int) -> int:
    """Last tokens that lie in the first rows of a cache behind a sequence.

        L = tokens                                         while they fit the rows
        L = tokens - g · ⌈(tokens - rows) / g⌉,  g = rows - window + 1

    Source: the description of GroupQueryAttention in ONNX Runtime 1.32, `sliding_window_cache`.
    """
    if window_tokens is None or tokens <= rows:
        return tokens
    evicted_at_once = rows - window_tokens + 1
    return tokens - evicted_at_once * -((rows - tokens) // evicted_at_once)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a decoder.

    Attributes:
        number: from 0.
        mixers: side by side; empty: there is none.
        feed_forward: what follows them.
        intermediate_size: width of the block, where it is one; of experts see ModelSpec.experts.
        num_heads: query heads of its attention.
        num_kv_heads: key and value heads.
        head_dim: width of one head.
        window_tokens: attention sees only this many last tokens; None: all.
        rotary: attention turns queries and keys by their positions.
        cache_layer: the layer whose keys and values it reads: itself, unless a cache is shared.
        cache_window_tokens: so many last tokens its cache has to keep; None: all, as where a layer
            without keys of its own reads them too, which ONNX Runtime does in whole caches alone.
    """

    number: int
    mixers: tuple[Mixer, ...]
    feed_forward: FeedForward
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    window_tokens: int | None = None
    rotary: bool = True
    cache_layer: int = 0
    cache_window_tokens: int | None = None

    @property
    def attends(self) -> bool:
        """Whether one of its mixers is attention."""
        return Mixer.ATTENTION in self.mixers

    @property
    def owns_cache(self) -> bool:
        """Whether it keeps keys and values of its own."""
        return self.attends and self.cache_layer == self.number

    @property
    def query_width(self) -> int:
        """Values of all query heads."""
        return self.num_heads * self.head_dim

    @property
    def key_width(self) -> int:
        """Values of all key heads."""
        return self.num_kv_heads * self.head_dim
