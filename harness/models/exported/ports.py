"""The inputs and outputs of a graph that this package did not write, and what each one is for."""

from dataclasses import dataclass
from math import prod

from harness.models.specs.layers import cache_rows

Dimension = int | str
# What a cache may hold: type -> bytes of one value.
VALUE_BYTES = {
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int8": 1,
    "uint8": 1,
    "int32": 4,
    "int64": 8,
}


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a graph.

    Attributes:
        name: as the session knows it.
        element_type: of its values: a NumPy name such as `int64`, or `bfloat16`, `string`.
        shape: a number per fixed dimension; a free one by its name, or `name[axis]` without one.
            None: the graph does not say how many dimensions there are.
    """

    name: str
    element_type: str
    shape: tuple[Dimension, ...] | None

    @property
    def rank(self) -> int | None:
        """Number of dimensions, where it is known."""
        return None if self.shape is None else len(self.shape)

    @property
    def free(self) -> tuple[str, ...]:
        """Names of its free dimensions."""
        return tuple(size for size in self.shape or () if isinstance(size, str))


@dataclass(frozen=True, slots=True)
class PortNames:
    """Which input or output plays which part; None: the graph has none of it.

    Attributes:
        ids: token ids [batch, tokens]; of a decoder half, those of the decoder.
        embeds: vectors of the tokens instead of their ids [batch, tokens, hidden]: the decoder of a
            model whose table of embeddings is another graph.
        mask: 1 where there is a token: [batch, cached + new tokens], or with four dimensions
            [batch, 1, new tokens, cached + new tokens] and 0 where attention may look.
        positions: of each new token [batch, tokens].
        token_types: of each token [batch, tokens]; all 0 for one text.
        use_cache_branch: bool [1] of a merged decoder: whether the cache holds anything.
        cache_position: of each new token [tokens]: the same for every sequence.
        logits_to_keep: how many of the last tokens get logits, an integer scalar or [1].
        pixel_values: images [batch, channels, height, width].
        pixel_mask: 1 where an image has pixels [batch, height, width].
        input_values: sounds as they are [batch, samples].
        input_features: spectrogram of an audio encoder [batch, bins, frames].
        encoder_hidden_states: of a decoder half [batch, source tokens, hidden].
        encoder_mask: of a decoder half [batch, source tokens].
        decoder_ids: of a graph that holds both halves [batch, target tokens].
        write_indices: where in a buffer of fixed capacity the new tokens go [batch].
        held_lengths: positions of that buffer that hold a token, the new ones included [batch].
        last_positions: number of the last new token [batch], as GroupQueryAttention takes it.
        past_length: how many tokens the cache holds, an integer scalar or [1].
        total_length: cached and new tokens, an integer scalar or [1].
        logits: [batch, tokens or 1, vocab], or of the last token alone [batch, vocab]; of a
            classifier [batch, classes].
        hidden: vectors of every token or patch [batch, tokens, hidden].
        embedding: one vector per sequence or image [batch, width].
    """

    ids: str | None = None
    embeds: str | None = None
    mask: str | None = None
    positions: str | None = None
    token_types: str | None = None
    use_cache_branch: str | None = None
    cache_position: str | None = None
    logits_to_keep: str | None = None
    pixel_values: str | None = None
    pixel_mask: str | None = None
    input_values: str | None = None
    input_features: str | None = None
    encoder_hidden_states: str | None = None
    encoder_mask: str | None = None
    decoder_ids: str | None = None
    write_indices: str | None = None
    held_lengths: str | None = None
    last_positions: str | None = None
    past_length: str | None = None
    total_length: str | None = None
    logits: str | None = None
    hidden: str | None = None
    embedding: str | None = None


@dataclass(frozen=True, slots=True)
class CachePair:
    """One cached tensor: where it goes in and where it comes out.

    Attributes:
        layer: from 0.
        half: `key`, `value`, or `both`, where one tensor [2, batch, heads, length, width] is both;
            what else a layer keeps by its exporter's word, such as `conv` or `recurrent`.
        past: input name; None: this graph only fills the cache.
        present: output name; None: this graph only reads it (the encoder's in every later step).
        shape: of the tensor; 0 where sequences or tokens are counted. A length that the graph
            fixes stands there: a buffer of so many positions.
        element_type: of its values, such as `float16`.
        batch_axis: the dimension of the sequences.
        length_axis: the dimension of the tokens; None: a state, as large after one as after all.
        window_tokens: the operator keeps the last tokens alone, so many at least; None: all.
    """

    layer: int
    half: str
    past: str | None
    present: str | None
    shape: tuple[int, ...]
    element_type: str
    batch_axis: int = 0
    length_axis: int | None = 2
    window_tokens: int | None = None

    @property
    def capacity_tokens(self) -> int | None:
        """Positions that the graph fixes; None: as many as are fed, or a state."""
        return None if self.length_axis is None else self.shape[self.length_axis] or None

    def rows(self, tokens: int) -> int:
        """Positions of a buffer for so many tokens: a whole window at least, where it slides."""
        least = self.window_tokens or 0
        return self.capacity_tokens or max(least, cache_rows(self.window_tokens, tokens))

    @property
    def step_bytes(self) -> int:
        """Bytes of one position of one sequence, or of one sequence's whole state."""
        sizes = [size for axis, size in enumerate(self.shape) if axis != self.batch_axis]
        if self.length_axis is not None:
            sizes.pop(self.length_axis - (self.length_axis > self.batch_axis))
        return prod(sizes) * VALUE_BYTES[self.element_type]


@dataclass(frozen=True, slots=True)
class CacheLayout:
    """The cached keys, values and states of a graph.

    Attributes:
        own: of the decoder's own tokens, in the order of the inputs (of the outputs without any).
        cross: of the encoder's tokens; empty but in the decoder half of two.
        shares_buffer: whether past and present may be one buffer of fixed capacity, because every
            cache goes through an operator that writes it in place (GroupQueryAttention,
            TensorScatter). Else each present is a new tensor: of keys and values one step longer.
    """

    own: tuple[CachePair, ...]
    cross: tuple[CachePair, ...]
    shares_buffer: bool

    @property
    def growing(self) -> tuple[CachePair, ...]:
        """The own part that holds something of every token."""
        return tuple(pair for pair in self.own if pair.length_axis is not None)

    @property
    def states(self) -> tuple[CachePair, ...]:
        """The own part that is as large after one token as after all."""
        return tuple(pair for pair in self.own if pair.length_axis is None)

    @property
    def element_type(self) -> str:
        """Of keys and values; of states where there is nothing else."""
        return (self.growing or self.own)[0].element_type

    @property
    def num_layers(self) -> int:
        """Layers that cache something."""
        return len({pair.layer for pair in self.own})

    @property
    def bytes_per_token(self) -> int:
        """What the own part of the cache grows by with each token of one sequence."""
        return sum(pair.step_bytes for pair in self.growing)

    @property
    def state_bytes(self) -> int:
        """What the states of one sequence take, whatever its length."""
        return sum(pair.step_bytes for pair in self.states)

    def bound_bytes(self, tokens: int) -> int:
        """Bytes of the own keys and values of one sequence of so many tokens, as they are bound.

        A buffer of fixed size counts as a whole, which its attention reads in every step.
        """
        return sum(pair.step_bytes * pair.rows(tokens) for pair in self.growing)

    @property
    def capacity_tokens(self) -> int | None:
        """Positions of buffers whose size the graph fixes; None: nothing is fixed.

        That of a window bounds no sequence.
        """
        pairs = [pair for pair in self.own if pair.window_tokens is None]
        fixed = [pair.capacity_tokens for pair in pairs if pair.capacity_tokens]
        return min(fixed, default=None)

    @property
    def has_past(self) -> bool:
        """Whether the graph reads a cache, and does not only fill it."""
        return any(pair.past is not None for pair in self.own)
