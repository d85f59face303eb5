"""A row of the table of classes: what its config.json calls things, and what it leaves out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.core.records import JsonValues
from harness.models.configs.rope import Rotary

# The words of config.json for the activations built here.
ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
}


@dataclass(frozen=True, slots=True)
class ExpertKeys:
    """What a class calls the numbers of its mixture.

    Attributes:
        count: keys of the experts of a layer; transformers 5 renamed some.
        width: of one expert.
        shared_width: of the block that every token uses; empty: there is none.
        shared_gate: that block's output is scaled by a learned gate.
        normalised: key of the flag that scales the weights to sum to 1; empty: they always do.
        normalised_default: where that flag is missing.
        may_be_none: of 0 experts, layers have a plain block, as wide as `shared_width` says.
        scale: key of what multiplies their output; empty: nothing does.
        fields: what the class fixes of Experts.
        numbers: keys of config.json by fields of Experts, each with its default.
        flags: the same of what is true or false.
        dense: key of how many first layers have a plain block; empty: none has.
    """

    count: tuple[str, ...] = ("num_experts", "num_local_experts")
    width: str = "moe_intermediate_size"
    shared_width: str = ""
    shared_gate: bool = True
    normalised: str = "norm_topk_prob"
    normalised_default: bool = False
    may_be_none: bool = False
    scale: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    flags: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    dense: str = ""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One supported class; its defaults are those of the class in transformers.

    Attributes:
        family: `model_type` in config.json.
        fields: what the class fixes of a ModelSpec, whatever config.json says.
        keys: what config.json calls a number of a ModelSpec, where not as Llama's does.
        default_head_dim: where config.json has none; None: hidden_size / num_attention_heads.
        kv_heads_default_to_heads: a missing num_key_value_heads means one per query head.
        default_intermediate_factor: a missing width of the block means so many hidden sizes.
        tied_by_default: a missing tie_word_embeddings means that the head is the embedding.
        activation_keys: where the activation of the block is read; the first that is there.
        activations: its words, and what they mean here.
        default_activation: the word where config.json has none.
        rotary: what its rotary positions may be.
        reads_window: whether the class looks at sliding_window at all.
        window_behind_flag: sliding_window counts only with use_sliding_window, per layer.
        default_window_tokens: where config.json does not mention sliding_window; None: no window.
        default_full_every: of so many layers the last sees everything, unless config.json says
            otherwise; None: all layers are alike.
        scale_key: the scores are multiplied by this number to the power of -1/2; empty: by
            head_dim^-1/2.
        default_scale: where config.json has none.
        multipliers: keys of config.json by fields of a ModelSpec that multiply; missing ones: 1.
        divisors: the same, of which the field takes the reciprocal.
        unrotated: layers that do not turn queries and keys: those that `no_rope_layers` lists
            (`listed`), those that see everything beside others that do not (`full`), or all of
            them unless position_embedding_type is rope (`unless rope`); empty: none.
        softcaps: keys of config.json by fields of a ModelSpec, each with its default.
        experts: what it calls the numbers of its mixture; None: it has none.
        refused: flags of config.json that would change the computation, with the value built here.
        absent: keys of config.json that must be 0: what they count is not built.
        read: what else config.json says, by fields of a ModelSpec; see configs/hybrid.py.
        own_code: whether `auto_map` may name code of the makers': it came before the class.
        attention_bias_keys: flags by which all four matrices of attention add a bias.
        block_bias_keys: flags by which the matrices of the block do.
        encodes: whether a class without a head is an encoder: `never`, unless files of
            sentence-transformers lie beside it; `always`; or by the flag of config.json so called,
            which then also says that attention looks in both directions.
        window_key: what config.json calls the window.
        full_key: what it calls `default_full_every`.
        full_first: of so many layers it is the first that sees everything.
    """

    family: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    default_head_dim: int | None = None
    kv_heads_default_to_heads: bool = False
    default_intermediate_factor: int | None = None
    tied_by_default: bool = False
    activation_keys: tuple[str, ...] = ("hidden_act",)
    activations: Mapping[str, str] = field(default_factory=lambda: ACTIVATIONS)
    default_activation: str = "silu"
    rotary: Rotary = field(default_factory=Rotary)
    reads_window: bool = True
    window_behind_flag: bool = False
    default_window_tokens: int | None = None
    default_full_every: int | None = None
    scale_key: str = ""
    default_scale: float = 1.0
    multipliers: Mapping[str, str] = field(default_factory=dict)
    divisors: Mapping[str, str] = field(default_factory=dict)
    unrotated: str = ""
    softcaps: Mapping[str, tuple[str, float | None]] = field(default_factory=dict)
    experts: ExpertKeys | None = None
    refused: Mapping[str, bool] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    read: Callable[[JsonValues], Mapping[str, Any]] = lambda _values: {}
    own_code: bool = False
    attention_bias_keys: tuple[str, ...] = ("attention_bias",)
    block_bias_keys: tuple[str, ...] = ("mlp_bias",)
    encodes: str = "never"
    window_key: str = "sliding_window"
    full_key: str = "sliding_window_pattern"
    full_first: bool = False
