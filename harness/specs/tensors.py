"""The trained tensors of an architecture, by their Hugging Face names, in file order."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from harness.specs.encoder import AnySpec, EncoderSpec
from harness.specs.encoder_tensors import POSITIONS, TOKENS, TYPES, encoder_shapes
from harness.specs.model import ModelSpec

# Matrices whose rows are looked up, or that give the logits: stored by row at every level.
TABLES = frozenset(f"{name}.weight" for name in (TOKENS, POSITIONS, TYPES, "lm_head"))


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
    """Yield every trained tensor that is built, once.

    Of a decoder embedding, layers, final norm, and an untied head; of an encoder what
    encoder_tensors says, under names that encoder_names translates.

    Names and shapes are those of the transformers classes Llama, Mistral, Qwen2 and
    Qwen3ForCausalLM; the sum of `elements` is `count.parameters(spec)`.
    """
    if isinstance(spec, EncoderSpec):
        yield from (Tensor(name, shape) for name, shape in encoder_shapes(spec))
        return
    table = (spec.vocab_size, spec.hidden_size)
    yield Tensor("model.embed_tokens.weight", table)
    for layer in range(spec.num_layers):
        for name, shape in _layer_shapes(spec):
            yield Tensor(f"model.layers.{layer}.{name}", shape)
    yield Tensor("model.norm.weight", (spec.hidden_size,))
    if not spec.tied_embeddings:
        yield Tensor("lm_head.weight", table)


def _layer_shapes(spec: ModelSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name within the layer and shape of each tensor of one block."""
    hidden, wide = spec.hidden_size, spec.intermediate_size
    query, key = spec.num_heads * spec.head_dim, spec.num_kv_heads * spec.head_dim
    yield "input_layernorm.weight", (hidden,)
    for letter, width in (("q", query), ("k", key), ("v", key)):
        yield f"self_attn.{letter}_proj.weight", (width, hidden)
        if spec.qkv_bias:
            yield f"self_attn.{letter}_proj.bias", (width,)
    yield "self_attn.o_proj.weight", (hidden, query)
    if spec.qk_norm:
        yield "self_attn.q_norm.weight", (spec.head_dim,)
        yield "self_attn.k_norm.weight", (spec.head_dim,)
    yield "post_attention_layernorm.weight", (hidden,)
    yield "mlp.gate_proj.weight", (wide, hidden)
    yield "mlp.up_proj.weight", (wide, hidden)
    yield "mlp.down_proj.weight", (hidden, wide)
