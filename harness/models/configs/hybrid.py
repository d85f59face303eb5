"""What config.json says of layers that do not all attend: a pattern, and the sizes of their blocks.

One function per class, from its config.json to fields of a ModelSpec; as the class of transformers
reads it, older spellings included.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.records import JsonValues
from harness.models.specs.layers import Convolution, DeltaRule, Mamba, shortest_pattern

Fields = Mapping[str, Any]
_FULL = "full_attention"


def pattern_of(values: JsonValues, words: Sequence[str], letters: Mapping[str, str]) -> str:
    """Return the letters of layers that config.json calls by words, without repetition.

    Args:
        values: for the number of layers, and for messages.
        words: one a layer.
        letters: of the words that are built.

    Raises:
        ModelError: not one word a layer, or an unknown word.
    """
    layers = values.integer("num_hidden_layers")
    if len(words) != layers:
        raise values.unsupported(
            f"its layer types name {len(words)} layers of {layers}", "one word for each layer"
        )
    unknown = next((word for word in words if word not in letters), None)
    if unknown is not None:
        raise values.unsupported(
            f"a layer of type {unknown!r} is not built", f"layer types {', '.join(letters)}"
        )
    return shortest_pattern("".join(letters[word] for word in words))


def lfm2(values: JsonValues) -> Fields:
    """Read the class Lfm2Config: short convolutions, and attention in some layers.

    The width of the block follows from one that config.json states, unless it says otherwise:

        2/3 of it, times a factor, rounded up to a multiple
    """
    words: Sequence[str] = values.texts("layer_types")
    if not words:
        layers = range(values.integer("num_hidden_layers"))
        stated = values.values.get("full_attn_idxs")
        attending = layers if stated is None else values.numbers("full_attn_idxs")
        words = [_FULL if layer in attending else "conv" for layer in layers]
    wide = values.integer("block_ff_dim", values.integer("intermediate_size", 12_288))
    if values.flag("block_auto_adjust_ff_dim", True):
        factor = values.number("block_ffn_dim_multiplier", 1.0)
        multiple = values.integer("block_multiple_of", 256)
        wide = int(factor * int(2 * wide / 3))
        wide = multiple * -(-wide // multiple)
    tied = values.flag("tie_word_embeddings", True)
    return {
        "layer_pattern": pattern_of(values, words, {_FULL: "F", "conv": "C"}),
        "convolution": Convolution(values.integer("conv_L_cache", 3)),
        "intermediate_size": wide,
        "tied_embeddings": values.flag("tie_embedding", tied),
    }


def qwen3_5(values: JsonValues) -> Fields:
    """Read the class Qwen3_5TextConfig: linear attention, and attention in every fourth layer."""
    words: Sequence[str] = values.texts("layer_types")
    if not words:
        layers = range(1, values.integer("num_hidden_layers") + 1)
        every = values.integer("full_attention_interval", 4)
        words = ["linear_attention" if layer % every else _FULL for layer in layers]
    rule = DeltaRule(
        key_heads=values.integer("linear_num_key_heads", 16),
        value_heads=values.integer("linear_num_value_heads", 32),
        key_dim=values.integer("linear_key_head_dim", 128),
        value_dim=values.integer("linear_value_head_dim", 128),
        kernel=values.integer("linear_conv_kernel_dim", 4),
    )
    pattern = pattern_of(values, words, {_FULL: "F", "linear_attention": "L"})
    return {"layer_pattern": pattern, "delta_rule": rule}


# One letter of hybrid_override_pattern, and what transformers 5 calls it.
_NEMOTRON = {"M": "linear_attention", "*": _FULL, "-": "mlp", "E": "moe"}


def nemotron_h(values: JsonValues) -> Fields:
    """Read the class NemotronHConfig: in every layer Mamba-2, attention or a block, not two.

    Steps of time may be clamped from below in a prompt (time_step_min), which single steps are not;
    the graph computes both like single steps.
    """
    words: Sequence[str] = values.texts("layers_block_type") or values.texts("layer_types")
    pattern = values.text("hybrid_override_pattern", "")
    if not words and pattern:
        words = [_NEMOTRON.get(letter, letter) for letter in pattern if letter != "|"]
    letters = {_FULL: "g", "attention": "g", "linear_attention": "m", "mamba": "m", "mlp": "D"}
    if not values.has("num_hidden_layers"):
        values = JsonValues({**values.values, "num_hidden_layers": len(words)}, values.where)
    for key in ("use_bias", "mamba_proj_bias"):
        if values.flag(key):
            raise values.unsupported(f"{key} is true", f"{key} false")
    _refuse_step_limits(values)
    mamba = Mamba(
        heads=values.integer("mamba_num_heads", 128),
        head_dim=values.integer("mamba_head_dim", 64),
        state_dim=values.integer("ssm_state_size", 128),
        groups=values.integer("n_groups", values.integer("mamba_n_groups", 8)),
        kernel=values.integer("conv_kernel", values.integer("mamba_d_conv", 4)),
    )
    return {
        "layer_pattern": pattern_of(values, words, letters),
        "num_layers": len(words),
        "mamba": mamba,
    }


def _refuse_step_limits(values: JsonValues) -> None:
    """Refuse steps of time that are clamped, which the operators do not do, and convolutions."""
    limits = values.values.get("time_step_limit")
    if limits is not None and not _unlimited(limits):
        raise values.unsupported(f"time_step_limit is {limits}", "steps between 0 and infinity")
    for key in ("use_conv_bias", "mamba_conv_bias"):
        if not values.flag(key, True):
            raise values.unsupported(f"{key} is false", f"{key} true")


def _unlimited(limits: Any) -> bool:
    """Whether steps may have any length; JSON has no word for infinity, transformers 5 has one."""
    infinite = ({"__float__": "Infinity"}, "Infinity", float("inf"))
    return isinstance(limits, list) and len(limits) == 2 and not limits[0] and limits[1] in infinite
