"""The trained tensors of an architecture, by their Hugging Face names, in file order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import singledispatch
from math import prod

from harness.models.specs.encoder import AnySpec, EncoderSpec
from harness.models.specs.encoder_tensors import POSITIONS, TOKENS, TYPES, encoder_shapes
from harness.models.specs.model import Experts, ModelSpec
from harness.models.specs.norms import NORM_ENDS, NORM_ORDERS

# Matrices whose rows are looked up, or that give the logits: stored by row at every level.
TABLES = frozenset(f"{name}.weight" for name in (TOKENS, POSITIONS, TYPES, "lm_head"))

# Within a layer that has a mixture of experts.
ROUTER, EXPERTS = "mlp.router", "mlp.experts"
SHARED, SHARED_GATE = "mlp.shared_expert", "mlp.shared_expert_gate"


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
    says. Names are Llama's, and those of harness.models.specs.norms; decoder_names and
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
def _of_decoder(spec: ModelSpec) -> Iterator[Tensor]:
    hidden = spec.hidden_size
    yield Tensor(f"{TOKENS}.weight", (spec.vocab_size, hidden))
    if spec.positions == "learned":
        yield Tensor(f"{POSITIONS}.weight", (spec.max_context_tokens, hidden))
    for layer in range(spec.num_layers):
        for name, shape in layer_shapes(spec):
            yield Tensor(f"model.layers.{layer}.{name}", shape)
    for end in NORM_ENDS[spec.norm]:
        yield Tensor(f"model.norm.{end}", (hidden,))
    if not spec.tied_embeddings:
        yield Tensor("lm_head.weight", (spec.vocab_size, hidden))
    if spec.head_bias:
        yield Tensor("lm_head.bias", (spec.vocab_size,))


def layer_shapes(spec: ModelSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name within the layer and shape of each tensor of one layer."""
    hidden = spec.hidden_size
    query, key = spec.num_heads * spec.head_dim, spec.num_kv_heads * spec.head_dim
    for norm in NORM_ORDERS[spec.norm_order].names:
        for end in NORM_ENDS[spec.norm]:
            yield f"{norm}.{end}", (hidden,)
    for letter, width in (("q", query), ("k", key), ("v", key)):
        yield from _linear(f"self_attn.{letter}_proj", width, hidden, has_bias=spec.qkv_bias)
    yield from _linear("self_attn.o_proj", hidden, query, has_bias=spec.all_bias)
    for letter, width in QK_NORM_WIDTHS[spec.qk_norm](spec):
        yield f"self_attn.{letter}_norm.weight", (width,)
    yield from _block_shapes(spec) if spec.experts is None else _expert_shapes(spec, spec.experts)


def _block_shapes(spec: ModelSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the matrices of the block after attention, and their biases."""
    hidden, wide = spec.hidden_size, spec.intermediate_size
    if spec.mlp_gated:
        yield "mlp.gate_proj.weight", (wide, hidden)
    yield from _linear("mlp.up_proj", wide, hidden, has_bias=spec.all_bias)
    yield from _linear("mlp.down_proj", hidden, wide, has_bias=spec.all_bias)


def _expert_shapes(spec: ModelSpec, experts: Experts) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield router, experts and the block that every token uses."""
    hidden, wide = spec.hidden_size, experts.intermediate_size
    yield f"{ROUTER}.weight", (experts.count, hidden)
    for expert in range(experts.count):
        yield f"{EXPERTS}.{expert}.gate_proj.weight", (wide, hidden)
        yield f"{EXPERTS}.{expert}.up_proj.weight", (wide, hidden)
        yield f"{EXPERTS}.{expert}.down_proj.weight", (hidden, wide)
    shared = experts.shared_intermediate_size
    if shared:
        yield f"{SHARED}.gate_proj.weight", (shared, hidden)
        yield f"{SHARED}.up_proj.weight", (shared, hidden)
        yield f"{SHARED}.down_proj.weight", (hidden, shared)
        yield f"{SHARED_GATE}.weight", (hidden,)


def _linear(
    name: str, outputs: int, inputs: int, *, has_bias: bool
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield a matrix and, where it has one, its bias."""
    yield f"{name}.weight", (outputs, inputs)
    if has_bias:
        yield f"{name}.bias", (outputs,)


QK_NORM_WIDTHS: dict[str, Callable[[ModelSpec], tuple[tuple[str, int], ...]]] = {
    "none": lambda _spec: (),
    "per_head": lambda spec: (("q", spec.head_dim), ("k", spec.head_dim)),
    "full_width": lambda spec: (
        ("q", spec.num_heads * spec.head_dim),
        ("k", spec.num_kv_heads * spec.head_dim),
    ),
}
