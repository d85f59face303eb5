"""What config.json says of layers that do not all attend: a pattern, and the sizes of their blocks.

One function per class, from its config.json to fields of a ModelSpec; as the class of transformers
reads it, older spellings included.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.records import JsonValues
from harness.models.specs.check import require_positive
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


def convolution_of(values: JsonValues, taps: int) -> Convolution:
    """Return the short convolutions, of so many taps where config.json does not say it."""
    return Convolution(values.integer("conv_L_cache", taps), values.flag("conv_bias"))


def lfm2_moe(values: JsonValues) -> Fields:
    """Read the class Lfm2MoeConfig: LFM2 with experts behind its first layers."""
    words = values.texts("layer_types")
    tied = values.flag("tie_embedding", values.flag("tie_word_embeddings", True))
    return {
        "layer_pattern": pattern_of(values, words, {_FULL: "F", "conv": "C"}),
        "convolution": convolution_of(values, 3),
        "tied_embeddings": tied,
    }


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
        require_positive(values.where, "block_multiple_of", multiple)
        wide = int(factor * int(2 * wide / 3))
        wide = multiple * -(-wide // multiple)
    tied = values.flag("tie_word_embeddings", True)
    return {
        "layer_pattern": pattern_of(values, words, {_FULL: "F", "conv": "C"}),
        "convolution": convolution_of(values, 3),
        "intermediate_size": wide,
        "tied_embeddings": values.flag("tie_embedding", tied),
    }


def lfm3(values: JsonValues) -> Fields:
    """Read the class Lfm3Config: short convolutions, attention to everything or in a window."""
    words: Sequence[str] = values.texts("layer_types")
    if not words:
        layers = range(values.integer("num_hidden_layers"))
        turns = (_FULL, "conv", "sliding_attention", "conv")  # from the third layer on
        words = [turns[(layer - 2) % 4] if layer else "conv" for layer in layers]
    letters = {_FULL: "F", "sliding_attention": "S", "conv": "C"}
    has_gate = values.flag("use_attention_gate", True)
    stated = "sliding_window" not in values.values or values.has("sliding_window")
    window = values.integer("sliding_window", 256) if stated else None
    if window is None:
        letters["sliding_attention"] = "F"
    pattern = pattern_of(values, words, letters)
    return {
        "layer_pattern": pattern,
        "sliding_window_tokens": window if "S" in pattern else None,
        "convolution": convolution_of(values, 7),
        "norm_order": "around" if values.flag("use_sandwich_norm", True) else "before",
        "attention_gate": has_gate,
        "attention_gate_by_head": has_gate,
    }


def olmo_hybrid(values: JsonValues) -> Fields:
    """Read the class OlmoHybridConfig: linear attention, and attention in every fourth layer.

    Without rope_parameters nothing is turned. The norm of what linear attention gives has an
    epsilon of its own.
    """
    words: Sequence[str] = values.texts("layer_types")
    layers = values.integer("num_hidden_layers")
    if not words:
        words = [_FULL if layer % 4 == 3 else "linear_attention" for layer in range(layers)]
        words = words if _FULL in words else [*words[:-1], _FULL]
    heads, hidden = values.integer("num_attention_heads"), values.integer("hidden_size")
    key_heads = values.integer("linear_num_key_heads", heads)
    key_dim = values.integer("linear_key_head_dim", int(0.75 * hidden / max(1, key_heads)))
    rule = DeltaRule(
        key_heads=key_heads,
        value_heads=values.integer("linear_num_value_heads", heads),
        key_dim=key_dim,
        value_dim=values.integer("linear_value_head_dim", 2 * key_dim),
        kernel=values.integer("linear_conv_kernel_dim", 4),
        rate_scale=2.0 if values.flag("linear_allow_neg_eigval", True) else 1.0,
        norm_epsilon=1e-5,
    )
    table = values.table("rope_parameters")
    turned = values.has("rope_theta") or table is None or table.has("rope_theta")
    letters = {_FULL: "F" if turned else "G", "linear_attention": "L"}
    return {"layer_pattern": pattern_of(values, words, letters), "delta_rule": rule}


def qwen3_5(values: JsonValues) -> Fields:
    """Read the class Qwen3_5TextConfig: linear attention, and attention in every fourth layer."""
    words: Sequence[str] = values.texts("layer_types")
    if not words:
        layers = range(1, values.integer("num_hidden_layers") + 1)
        every = values.integer("full_attention_interval", 4)
        require_positive(values.where, "full_attention_interval", every)
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
    _refuse_step_limits(values)
    bias = values.flag("use_bias")
    mamba = Mamba(
        heads=values.integer("mamba_num_heads", 128),
        head_dim=values.integer("mamba_head_dim", 64),
        state_dim=values.integer("ssm_state_size", 128),
        groups=values.integer("n_groups", values.integer("mamba_n_groups", 8)),
        kernel=values.integer("conv_kernel", values.integer("mamba_d_conv", 4)),
        in_bias=bias,
        out_bias=bias,
        taps_bias=values.flag("use_conv_bias", values.flag("mamba_conv_bias", True)),
    )
    return {
        "layer_pattern": pattern_of(values, words, letters),
        "num_layers": len(words),
        "mamba": mamba,
    }


def _refuse_step_limits(values: JsonValues) -> None:
    """Refuse steps of time that are clamped, which the operators do not do."""
    limits = values.values.get("time_step_limit")
    if limits is not None and not _unlimited(limits):
        raise values.unsupported(f"time_step_limit is {limits}", "steps between 0 and infinity")


def _unlimited(limits: Any) -> bool:
    """Whether steps may have any length; JSON has no word for infinity, transformers 5 has one."""
    infinite = ({"__float__": "Infinity"}, "Infinity", float("inf"))
    return isinstance(limits, list) and len(limits) == 2 and not limits[0] and limits[1] in infinite


def _mamba_of(values: JsonValues, inner_width: int, **sizes: Any) -> Mamba:
    """Read the numbers that Granite 4 H and Falcon-H1 call alike.

    Args:
        values: a config.json.
        inner_width: of all heads together, where it does not say the width of one.
        sizes: what else is known of the mixer.
    """
    _refuse_step_limits(values)
    bias = values.flag("mamba_proj_bias")
    heads = values.integer("mamba_n_heads", 128)
    stated = values.values.get("mamba_d_head", "auto")
    return Mamba(
        heads=heads,
        head_dim=inner_width // max(1, heads) if stated in ("auto", None) else int(stated),
        state_dim=values.integer("mamba_d_state", 256),
        groups=values.integer("mamba_n_groups", 1),
        kernel=values.integer("mamba_d_conv", 4),
        in_bias=bias,
        taps_bias=values.flag("mamba_conv_bias", True),
        **{"out_bias": bias, **sizes},
    )


def granite_h(values: JsonValues) -> Fields:
    """Read the class GraniteMoeHybridConfig where some layers are Mamba-2; else nothing."""
    words: Sequence[str] = values.texts("layer_types") or values.texts("layers_block_type")
    if not {"mamba", "linear_attention"} & set(words):
        return {}
    attention = "F" if values.text("position_embedding_type", "") == "rope" else "G"
    letters = {_FULL: attention, "attention": attention, "linear_attention": "M", "mamba": "M"}
    inner = values.integer("mamba_expand", 2) * values.integer("hidden_size")
    return {
        "layer_pattern": pattern_of(values, words, letters),
        "mamba": _mamba_of(values, inner),
    }


def falcon_h1(values: JsonValues) -> Fields:
    """Read the class FalconH1Config: attention and Mamba-2 side by side in every layer.

    Its multipliers are constants beside matrices, and are folded into them: one for each part of
    the projection into the mixer, and one for each other matrix.
    """
    has_norm = values.flag("mamba_rms_norm")
    inner = _falcon_width(values)
    return {
        "layer_pattern": "P",
        "mamba": _mamba_of(
            values,
            inner,
            gated_norm=has_norm,
            norm_first=has_norm and values.flag("mamba_norm_before_gate", True),
            out_bias=values.flag("projectors_bias"),
        ),
        "part_multipliers": _falcon_multipliers(values),
    }


def _falcon_width(values: JsonValues) -> int:
    """Return the width of all heads of the mixer: null means a multiple of hidden_size."""
    if "mamba_d_ssm" in values.values and not values.has("mamba_d_ssm"):
        return values.integer("mamba_expand", 2) * values.integer("hidden_size")
    return values.integer("mamba_d_ssm", 1024)


def _falcon_multipliers(values: JsonValues) -> tuple[tuple[str, float], ...]:
    """Return what each matrix of a layer is multiplied by, but for those of 1.

    What the input of a matrix is multiplied by does not reach its bias.
    """
    into, inside = (
        values.number("attention_in_multiplier", 1.0),
        values.number("key_multiplier", 1.0),
    )
    gate, down = _numbers(values, "mlp_multipliers", 2)
    mixer = values.number("ssm_in_multiplier", 1.0)
    inner = dict(
        zip(("z", "x", "B", "C", "dt"), _numbers(values, "ssm_multipliers", 5), strict=True)
    )
    found = {
        "self_attn.q_proj": into,
        "self_attn.k_proj": into * inside,
        "self_attn.v_proj": into,
        "self_attn.o_proj": values.number("attention_out_multiplier", 1.0),
        **{f"mamba.{letters}_proj": mixer * factor for letters, factor in inner.items()},
        "mamba.out_proj": values.number("ssm_out_multiplier", 1.0),
        "mlp.gate_proj": gate,
        "mlp.down_proj": down,
    }
    biases: dict[str, float] = {}
    if values.flag("attention_bias"):
        biases |= {"self_attn.q_proj": 1.0, "self_attn.k_proj": inside, "self_attn.v_proj": 1.0}
    if values.flag("mamba_proj_bias"):
        biases |= {f"mamba.{letters}_proj": factor for letters, factor in inner.items()}
    others = ((f"{name}.bias", factor) for name, factor in biases.items() if factor != found[name])
    return (*((name, factor) for name, factor in found.items() if factor != 1.0), *others)


def _numbers(values: JsonValues, key: str, count: int) -> tuple[float, ...]:
    """Return a list of so many numbers; ones where there is none."""
    if not values.has(key):
        return (1.0,) * count
    numbers = values.numbers(key)
    if len(numbers) != count:
        raise values.unsupported(f"{key} has {len(numbers)} numbers", f"{count} numbers")
    return numbers
