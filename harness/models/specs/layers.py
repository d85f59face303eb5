"""What each layer of a decoder is: what mixes its tokens, what follows, and the sizes of both.

A pattern gives one letter a layer. A capital letter has the block of the model behind its mixer, a
small one nothing:

    F attention to everything      S attention within the sliding window
    G attention without rotary     D no mixer: the block alone

A pattern shorter than the model is repeated: `SSSF` describes 24 layers as well as 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# Of a field of a spec that came after the first builds: it is no part of their hash at its default,
# so that a new field changes no folder that was built before it.
LATER: Mapping[str, bool] = {"later": True}


class Mixer(StrEnum):
    """What carries values from token to token; the rows of `harness.models.specs.blocks.MIXERS`."""

    ATTENTION = "attention"
    CONVOLUTION = "convolution"


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
    "D": Kind(()),
}


@dataclass(frozen=True, slots=True)
class Convolution:
    """Short convolutions over the tokens, each channel by itself, between two gates (LFM2).

    Attributes:
        kernel: taps: the token itself and so many less one before it.
    """

    kernel: int


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
