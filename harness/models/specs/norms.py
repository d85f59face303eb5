"""Where the norms of a layer stand, by the names of a Hugging Face checkpoint."""

from dataclasses import dataclass


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
NORM_ENDS = {"rmsnorm": ("weight",), "layernorm": ("weight", "bias")}
# Vectors of hidden_size that each norm trains; one kind is only counted, never built.
NORM_VECTORS = {"rmsnorm": 1, "layernorm": 2, "nonparametric_layernorm": 0}
