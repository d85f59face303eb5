"""Which tensors a GGUF file of a decoder has: what each is called there, and what lies in it."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.builder.gguf.families import family_of
from harness.models.specs.model import NORM_ORDERS, ModelSpec
from harness.models.specs.tensors import POSITIONS, TOKENS, Tensor, logical_tensors

ROPE_FREQS, ROPE_LONG, ROPE_SHORT = "rope_freqs", "rope_factors_long", "rope_factors_short"


@dataclass(frozen=True, slots=True)
class FileTensor:
    """One tensor of the file.

    Attributes:
        name: in the file.
        parts: ours that lie in it, one below the other.
        shape: as we have it, [outputs, inputs] or [n].
        turned_heads: heads whose rows are put in the order of neighbours; 0: none are.
    """

    name: str
    parts: tuple[Tensor, ...]
    shape: tuple[int, ...]
    turned_heads: int = 0

    @property
    def is_matrix(self) -> bool:
        """Whether tokens are multiplied by it, or rows of it are looked up."""
        return len(self.parts[0].shape) == 2


def rotary_tensors(spec: ModelSpec) -> tuple[str, ...]:
    """Return the tensors of rotary factors, each with one value a rotated pair."""
    words = {"llama3": (ROPE_FREQS,), "longrope": (ROPE_LONG, ROPE_SHORT)}
    return words.get(spec.rope_scaling.kind, ()) if spec.rope_scaling is not None else ()


def file_tensors(spec: ModelSpec) -> Iterator[FileTensor]:
    """Yield every trained tensor of the file, in the order of our own.

    Raises:
        ModelError: as family_of.
    """
    family = family_of(spec)
    seen: dict[str, Tensor] = {}
    packed = {part: name for name, parts in family.packed.items() for part in parts}
    turned = {"self_attn.q_proj": spec.num_heads, "self_attn.k_proj": spec.num_kv_heads}
    turns = family.pairs and not spec.rotary_pairs
    for tensor in logical_tensors(spec):
        layer, part, end = _place(tensor)
        seen[tensor.name] = tensor
        if part not in packed:
            heads = turned.get(part, 0) if turns else 0
            name = f"{layer}{_names(spec)[part]}.{end}"
            yield FileTensor(name, (tensor,), _squeezed(tensor.shape), heads)
            continue
        parts = family.packed[packed[part]]
        if part == parts[-1]:
            found = tuple(seen[tensor.name.replace(part, one)] for one in parts)
            shape = (sum(one.shape[0] for one in found), *tensor.shape[1:])
            yield FileTensor(f"{layer}{packed[part]}.{end}", found, shape)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without what is 1 wide in its middle, as of the taps of a convolution."""
    return (shape[0], *(one for one in shape[1:] if one != 1)) if len(shape) == 3 else shape


def _place(tensor: Tensor) -> tuple[str, str, str]:
    """Return `blk.N.`, the name within a layer, and `weight` or `bias`."""
    plain, _, end = tensor.name.rpartition(".")
    if end not in ("weight", "bias"):  # the sinks of attention
        plain, end = tensor.name, "weight"
    if not plain.startswith("model.layers."):
        return "", plain, end
    number, _, part = plain.removeprefix("model.layers.").partition(".")
    return f"blk.{number}.", part, end


def _names(spec: ModelSpec) -> dict[str, str]:
    """Return ours -> theirs, without `blk.N.` and the end."""
    order = NORM_ORDERS[spec.norm_order]
    norms = {
        order.before_attention: "attn_norm",
        order.after_attention: "post_attention_norm",
        order.before_block: "ffn_norm",
        order.after_block: "post_ffw_norm",
    }
    return norms | {
        TOKENS: "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        **{f"self_attn.{letter}_proj": f"attn_{letter}" for letter in "qkv"},
        "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "self_attn.sinks": "attn_sinks",
        POSITIONS: "position_embd",
        **{f"mlp.{word}_proj": f"ffn_{word}" for word in ("gate", "up", "down")},
        **{f"conv.{word}": f"shortconv.{word}" for word in ("in_proj", "conv", "out_proj")},
        **family_of(spec).names,
    }
