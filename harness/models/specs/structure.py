"""A model taken apart: every trained array with what is done with it. All counts start here."""

from dataclasses import dataclass
from enum import StrEnum

from harness.models.specs.layers import cache_rows
from harness.models.specs.model import AnySpec


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
        repeats: how often one pass multiplies by each copy (ALBERT's layers share theirs).
    """

    name: str
    role: Role
    outputs: int
    inputs: int = 1
    copies: int = 1
    active: int | None = None
    sensitive: bool = False
    stage: Stage = Stage.DECODER
    repeats: int = 1

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
        scores: what is done to scores beside a softmax: `softcap`, `sinks`, both, or nothing.
        cache_window_tokens: so many last tokens their caches have to keep; None: all.
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
    scores: str = ""
    cache_window_tokens: int | None = None

    @property
    def cached_values_per_token(self) -> int:
        """Values one token adds to the cache: 2 · layers · kv_heads · head_dim."""
        return 0 if not self.owns_cache else 2 * self.layers * self.kv_heads * self.head_dim

    def cached_values(self, tokens: int) -> int:
        """Values of the caches of one sequence of so many tokens; see `layers.cache_rows`."""
        return self.cached_values_per_token * cache_rows(self.cache_window_tokens, tokens)


STATE_BYTES = 4  # of one value of a state: float32 at every level


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Layers that keep a state of a fixed size in the same way.

    Attributes:
        name: of the operator: of its mixer, or `convolution` of one before a recurrence too.
        layers: how many.
        state_values: of one layer and one sequence.
        flop_per_token: of one layer.
        sequential: a prompt is read token after token.
        values_between: of one layer and token, that its mixer's other operators read or write
            beside the matrices; counted with one operator of each mixer.
    """

    name: str
    layers: int
    state_values: int
    flop_per_token: int
    sequential: bool
    values_between: int = 0


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
    def kind_word(self) -> str:
        """The kind as people are told: whether an encoder has a decoder's layers is no kind."""
        return "encoder" if self.kind == "bert" else self.kind

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
        return sum(attention.cached_values_per_token for attention in self._caching)

    @property
    def growing_values_per_token(self) -> int:
        """Values one more token adds once every window is full."""
        return sum(
            attention.cached_values_per_token
            for attention in self._caching
            if attention.cache_window_tokens is None
        )

    @property
    def window_values(self) -> int:
        """Values of the windows of one sequence, when they are full."""
        return sum(
            attention.cached_values_per_token * attention.cache_window_tokens
            for attention in self._caching
            if attention.cache_window_tokens is not None
        )

    def cached_values(self, tokens: int) -> int:
        """Values of the caches of one sequence of so many tokens, as they are bound for it."""
        return sum(attention.cached_values(tokens) for attention in self._caching)

    @property
    def _caching(self) -> tuple[Attention, ...]:
        """What keeps keys and values of the tokens that are decoded."""
        return tuple(
            attention
            for attention in self.attention
            if attention.stage is Stage.DECODER and not attention.to_encoder
        )

    def kv_bytes_per_token(self, bytes_per_value: int) -> int:
        """Bytes one more token adds to the cache of one sequence."""
        return bytes_per_value * self.kv_values_per_token
