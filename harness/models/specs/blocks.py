"""The table of blocks: what each mixer and each feed-forward trains, keeps and computes.

Tensors, counts, stored matrices, memory, states and estimates follow from a row; its nodes stand in
`harness.builder.graph.block`. A new block is a row here and an emitter there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from harness.models.specs.layers import (
    Convolution,
    DeltaRule,
    Experts,
    FeedForward,
    Layer,
    Mamba,
    Mixer,
)
from harness.models.specs.model import ModelSpec
from harness.models.specs.shapes import DecoderShape

AnyDecoder = ModelSpec | DecoderShape
# Within a layer that has a mixture of experts.
ROUTER, EXPERTS = "mlp.router", "mlp.experts"
CHOICE_BIAS = "mlp.expert_bias"
SHARED, SHARED_GATE = "mlp.shared_expert", "mlp.shared_expert_gate"
CONVOLVED, RECURRENT = "conv", "recurrent"  # names of states
# Within a layer that reads its part of a second embedding.
SIDE_GATE, SIDE_OUT = "per_layer_input_gate", "per_layer_projection"
SIDE_NORM, SCALAR = "post_per_layer_input_norm", "layer_scalar"


@dataclass(frozen=True, slots=True)
class Part:
    """One trained array of a layer, or one of each expert.

    Attributes:
        name: within the layer; of a matrix without `.weight`, of an expert with `{}` for its
            number.
        shape: a matrix is [outputs, inputs]; anything else is small and stays float.
        group: what it is counted among.
        has_bias: a matrix adds `name.bias`.
        bias_group: what the bias is counted among.
        stored: the matrix of several parts, one below the other along the outputs, that holds it;
            empty: it is stored by itself.
        copies: one of each expert; 0: it is no expert's.
    """

    name: str
    shape: tuple[int, ...]
    group: str
    has_bias: bool = False
    bias_group: str = ""
    stored: str = ""
    copies: int = 0

    @property
    def is_matrix(self) -> bool:
        """Whether every token is multiplied by it."""
        return len(self.shape) == 2

    @property
    def elements(self) -> int:
        """Values of one copy, without a bias."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class State:
    """What a layer keeps of a sequence, however long it is: float32, read and written in place.

    Attributes:
        name: `conv` or `recurrent`.
        shape: of one sequence.
    """

    name: str
    shape: tuple[int, ...]


def _no_states(_spec: AnyDecoder, _layer: Layer) -> tuple[State, ...]:
    return ()


def _no_flop(_spec: AnyDecoder, _layer: Layer) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Block:
    """One row: what a block trains, keeps and computes.

    Attributes:
        parts: its trained arrays, in the order of a checkpoint.
        states: what it keeps of a sequence besides keys and values.
        flop_per_token: beside its matrices and attention's scores; a multiplication and an
            addition are two.
        values_between: of one token, that the operators between its matrices read or write.
        sequential: a prompt is read token after token: its cost per token does not fall.
    """

    parts: Callable[[AnyDecoder, Layer], Iterator[Part]]
    states: Callable[[AnyDecoder, Layer], tuple[State, ...]] = _no_states
    flop_per_token: Callable[[AnyDecoder, Layer], int] = _no_flop
    values_between: Callable[[AnyDecoder, Layer], int] = _no_flop
    sequential: bool = False


def _attention(spec: AnyDecoder, layer: Layer) -> Iterator[Part]:
    """Query, key and value lie in one matrix, and with them the gate of what is attended to."""
    hidden, query, key = spec.hidden_size, layer.query_width, layer.key_width
    gates = gate_width(spec, layer)
    by_head = spec.attention_gate_by_head
    gate = (("g", gates),) if gates and not by_head else ()
    own = (("k", key), ("v", key)) if layer.owns_cache else ()
    for letter, width in (("q", query), *own, *gate):
        yield Part(
            f"self_attn.{letter}_proj",
            (width, hidden),
            "attention qkv",
            spec.qkv_bias,
            "attention qkv bias",
            stored="self_attn.qkv_proj",
        )
    if by_head:
        yield Part("self_attn.g_proj", (gates, hidden), "attention gate")
    out = (hidden, query)
    has_bias = spec.all_bias or spec.out_bias
    yield Part("self_attn.o_proj", out, "attention out", has_bias, "attention out bias")
    letters = "qk" if layer.owns_cache else "q"
    for letter, width in zip(letters, _NORM_WIDTHS[spec.qk_norm](layer), strict=False):
        yield Part(f"self_attn.{letter}_norm.weight", (width,), "query and key norms")
    if spec.attention_sinks:
        yield Part("self_attn.sinks", (layer.num_heads,), "attention sinks")


def gate_width(spec: AnyDecoder, layer: Layer) -> int:
    """Return how wide the gate is of what a layer's attention gives; 0: it has none."""
    if not spec.attention_gate:
        return 0
    return layer.num_heads if spec.attention_gate_by_head else layer.query_width


_NORM_WIDTHS: Mapping[str, Callable[[Layer], tuple[int, ...]]] = {
    "none": lambda _layer: (),
    "per_head": lambda layer: (layer.head_dim, layer.head_dim),
    "full_width": lambda layer: (layer.query_width, layer.key_width),
}


def _mlp(spec: AnyDecoder, layer: Layer) -> Iterator[Part]:
    hidden, wide = spec.hidden_size, layer.intermediate_size
    biases = (spec.all_bias or spec.block_bias, "block biases")
    if spec.mlp_gated:
        yield Part("mlp.gate_proj", (wide, hidden), "block gate", *biases)
    yield Part("mlp.up_proj", (wide, hidden), "block up", *biases)
    yield Part("mlp.down_proj", (hidden, wide), "block down", *biases)


def experts_of(spec: AnyDecoder) -> Experts:
    """Return the mixture of a model that has one."""
    if spec.experts is None:
        raise ValueError("a layer of experts in a model without any")
    return spec.experts


def _mixture(spec: AnyDecoder, _layer: Layer) -> Iterator[Part]:
    """Router, experts and the block that every token uses."""
    experts, hidden = experts_of(spec), spec.hidden_size
    count, wide, shared = (
        experts.count,
        experts.intermediate_size,
        experts.shared_intermediate_size,
    )
    up, biases = "experts gate and up", (experts.bias, "experts biases")
    yield Part(ROUTER, (count, hidden), "router", experts.bias, "router bias")
    if experts.choice_bias:
        yield Part(CHOICE_BIAS, (count,), "router bias")
    yield Part(f"{EXPERTS}.{{}}.gate_proj", (wide, hidden), up, *biases, copies=count)
    yield Part(f"{EXPERTS}.{{}}.up_proj", (wide, hidden), up, *biases, copies=count)
    yield Part(f"{EXPERTS}.{{}}.down_proj", (hidden, wide), "experts down", *biases, copies=count)
    if shared:
        yield Part(f"{SHARED}.gate_proj", (shared, hidden), "shared gate and up")
        yield Part(f"{SHARED}.up_proj", (shared, hidden), "shared gate and up")
        yield Part(f"{SHARED}.down_proj", (hidden, shared), "shared down")
    if experts.shared_gate:
        yield Part(f"{SHARED_GATE}.weight", (hidden,), "shared gate")


def _convolution(spec: AnyDecoder, _layer: Layer) -> Iterator[Part]:
    """Three parts of the input, taps of one channel each, and the way back."""
    hidden, bias = spec.hidden_size, _convolution_of(spec).bias
    biases = (bias, "convolution biases")
    yield Part("conv.in_proj", (3 * hidden, hidden), "convolution in", *biases)
    yield Part("conv.out_proj", (hidden, hidden), "convolution out", *biases)
    yield Part("conv.conv.weight", (hidden, 1, _taps(spec)), "convolution taps")
    if bias:
        yield Part("conv.conv.bias", (hidden,), "convolution biases")


def _convolution_of(spec: AnyDecoder) -> Convolution:
    if spec.convolution is None:
        raise ValueError("a layer of convolutions in a model without any")
    return spec.convolution


def _taps(spec: AnyDecoder) -> int:
    return _convolution_of(spec).kernel


def _convolution_states(spec: AnyDecoder, _layer: Layer) -> tuple[State, ...]:
    return (State(CONVOLVED, (spec.hidden_size, _taps(spec) - 1)),)


def _convolution_flop(spec: AnyDecoder, _layer: Layer) -> int:
    return 2 * _taps(spec) * spec.hidden_size


def _convolution_values(spec: AnyDecoder, _layer: Layer) -> int:
    """Count a split of three parts (6 widths) and two products (3 each)."""
    return 12 * spec.hidden_size


def _delta_rule(spec: AnyDecoder) -> DeltaRule:
    if spec.delta_rule is None:
        raise ValueError("a layer of linear attention in a model without any")
    return spec.delta_rule


def _delta(spec: AnyDecoder, _layer: Layer) -> Iterator[Part]:
    """Queries, keys and values; the gate of the output; rates of writing and of forgetting."""
    rule, hidden, name = _delta_rule(spec), spec.hidden_size, "linear_attn"
    rates, small = "linear attention rates", "linear attention small arrays"
    yield Part(f"{name}.in_proj_qkv", (rule.packed_width, hidden), "linear attention qkv")
    yield Part(f"{name}.in_proj_z", (rule.values_width, hidden), "linear attention gate")
    yield Part(f"{name}.in_proj_b", (rule.value_heads, hidden), rates)
    yield Part(f"{name}.in_proj_a", (rule.value_heads, hidden), rates)
    yield Part(f"{name}.out_proj", (hidden, rule.values_width), "linear attention out")
    yield Part(f"{name}.conv1d.weight", (rule.packed_width, 1, rule.kernel), small)
    yield Part(f"{name}.dt_bias", (rule.value_heads,), small)
    yield Part(f"{name}.A_log", (rule.value_heads,), small)
    yield Part(f"{name}.norm.weight", (rule.value_dim,), small)


def _delta_states(spec: AnyDecoder, _layer: Layer) -> tuple[State, ...]:
    rule = _delta_rule(spec)
    matrices = (rule.value_heads, rule.key_dim, rule.value_dim)
    return State(CONVOLVED, (rule.packed_width, rule.kernel - 1)), State(RECURRENT, matrices)


def _delta_flop(spec: AnyDecoder, _layer: Layer) -> int:
    """Count decay, product with the key, update and product with the query, of each value head."""
    rule = _delta_rule(spec)
    state = rule.value_heads * rule.key_dim * rule.value_dim
    return 7 * state + 2 * rule.kernel * rule.packed_width


def _delta_values(spec: AnyDecoder, _layer: Layer) -> int:
    """Count two splits and the norm of queries and keys (2 each), the recurrence's, the gate's."""
    rule = _delta_rule(spec)
    return 2 * rule.packed_width + 8 * rule.keys_width + 3 * rule.values_width


def _mamba_of(spec: AnyDecoder) -> Mamba:
    if spec.mamba is None:
        raise ValueError("a layer of Mamba-2 in a model without any")
    return spec.mamba


def mamba_widths(mamba: Mamba) -> dict[str, int]:
    """Return what the projection into a mixer gives, in its order: gate, values, groups, steps."""
    groups = mamba.group_width
    return {"z": mamba.inner_width, "x": mamba.inner_width, "B": groups, "C": groups} | {
        "dt": mamba.heads
    }


def _mamba(spec: AnyDecoder, _layer: Layer) -> Iterator[Part]:
    """Five parts of one projection, which may have multipliers of their own."""
    mamba, hidden, small = _mamba_of(spec), spec.hidden_size, "mamba small arrays"
    for letters, width in mamba_widths(mamba).items():
        name = f"mamba.{letters}_proj"
        bias = (mamba.in_bias, "mamba biases")
        yield Part(name, (width, hidden), "mamba in", *bias, stored="mamba.in_proj")
    out = (hidden, mamba.inner_width)
    yield Part("mamba.out_proj", out, "mamba out", mamba.out_bias, "mamba biases")
    yield Part("mamba.conv1d.weight", (mamba.convolved_width, 1, mamba.kernel), small)
    if mamba.taps_bias:
        yield Part("mamba.conv1d.bias", (mamba.convolved_width,), small)
    for name in ("dt_bias", "A_log", "D"):
        yield Part(f"mamba.{name}", (mamba.heads,), small)
    if mamba.gated_norm:
        yield Part("mamba.norm.weight", (mamba.inner_width,), small)


def _mamba_states(spec: AnyDecoder, _layer: Layer) -> tuple[State, ...]:
    mamba = _mamba_of(spec)
    matrices = (mamba.heads, mamba.state_dim, mamba.head_dim)
    return State(CONVOLVED, (mamba.convolved_width, mamba.kernel - 1)), State(RECURRENT, matrices)


def _mamba_flop(spec: AnyDecoder, _layer: Layer) -> int:
    """Count decay, update and product with what is read by, of each head."""
    mamba = _mamba_of(spec)
    state = mamba.inner_width * mamba.state_dim
    return 5 * state + 2 * mamba.kernel * mamba.convolved_width


def _mamba_values(spec: AnyDecoder, _layer: Layer) -> int:
    """Count two splits, what is fed (2), skipped (2), summed (3), the gate (8) and its norm (2)."""
    mamba = _mamba_of(spec)
    norm = 2 if mamba.gated_norm else 0
    return 4 * mamba.convolved_width + (17 + norm) * mamba.inner_width


def _nothing(_spec: AnyDecoder, _layer: Layer) -> Iterator[Part]:
    return iter(())


MIXERS: Mapping[Mixer, Block] = {
    Mixer.ATTENTION: Block(_attention),
    Mixer.CONVOLUTION: Block(
        _convolution, _convolution_states, _convolution_flop, _convolution_values
    ),
    Mixer.DELTA: Block(_delta, _delta_states, _delta_flop, _delta_values, sequential=True),
    Mixer.MAMBA: Block(_mamba, _mamba_states, _mamba_flop, _mamba_values, sequential=True),
}
FEED_FORWARDS: Mapping[FeedForward, Block] = {
    FeedForward.MLP: Block(_mlp),
    FeedForward.EXPERTS: Block(_mixture),
    FeedForward.NONE: Block(_nothing),
}


def mixer_parts(spec: AnyDecoder, layer: Layer) -> tuple[Part, ...]:
    """Return the trained arrays of a layer's mixers."""
    return tuple(part for mixer in layer.mixers for part in MIXERS[mixer].parts(spec, layer))


def feed_forward_parts(spec: AnyDecoder, layer: Layer) -> tuple[Part, ...]:
    """Return the trained arrays of what follows them."""
    return (*FEED_FORWARDS[layer.feed_forward].parts(spec, layer), *_side_parts(spec))


def _side_parts(spec: AnyDecoder) -> Iterator[Part]:
    """Yield what reads a layer's part of the second embedding, and the layer's scalar."""
    hidden, width = spec.hidden_size, spec.per_layer_width
    if width:
        yield Part(SIDE_GATE, (width, hidden), "per-layer gate")
        yield Part(SIDE_OUT, (hidden, width), "per-layer out")
        yield Part(f"{SIDE_NORM}.weight", (hidden,), "per-layer norms")
    if spec.layer_scalars:
        yield Part(SCALAR, (1,), "layer scalars")


def layer_parts(spec: AnyDecoder, layer: Layer) -> tuple[Part, ...]:
    """Return every trained array of a layer but its norms."""
    return (*mixer_parts(spec, layer), *feed_forward_parts(spec, layer))


def layer_states(spec: AnyDecoder, layer: Layer) -> tuple[State, ...]:
    """Return what a layer keeps of a sequence besides keys and values."""
    return tuple(state for mixer in layer.mixers for state in MIXERS[mixer].states(spec, layer))


def state_values(spec: ModelSpec) -> int:
    """Return how many float32 values all layers keep of one sequence, however long it is."""
    return sum(prod(state.shape) for layer in spec.layers for state in layer_states(spec, layer))


def layer_norms(spec: ModelSpec, layer: Layer) -> tuple[str, ...]:
    """Return the norms of a layer: those around what it has, in the order of a layer."""
    order = spec.norms_of(layer)
    names: list[str] = []
    if layer.mixers:
        names += [order.before_attention, order.after_attention]
    if layer.feed_forward is not FeedForward.NONE:
        names += [order.before_block, order.after_block]
    return tuple(name for name in names if name)
