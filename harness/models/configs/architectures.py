"""Which Hugging Face classes this version builds, and what others would need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.core.records import JsonValues
from harness.models.configs import hybrid
from harness.models.configs.gemma import gemma4
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
        normalised: key of the flag that scales the weights to sum to 1; empty: they always do.
        fields: what the class fixes of Experts.
        numbers: keys of config.json by fields of Experts, each with its default.
        flags: the same of what is true or false.
        dense: key of how many first layers have a plain block; empty: none has.
    """

    count: tuple[str, ...] = ("num_experts", "num_local_experts")
    width: str = "moe_intermediate_size"
    shared_width: str = ""
    normalised: str = "norm_topk_prob"
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
        part_defaults: keys of config.json with the defaults of the class, which transformers 4 left
            out of the text part of a larger model.
        absent: keys of config.json that must be 0: what they count is not built.
        read: what else config.json says, by fields of a ModelSpec; see configs/hybrid.py.
        own_code: whether `auto_map` may name code of the makers': it came before the class.
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
    part_defaults: Mapping[str, Any] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    read: Callable[[JsonValues], Mapping[str, Any]] = lambda _values: {}
    own_code: bool = False
    encodes: str = "never"
    window_key: str = "sliding_window"
    full_key: str = "sliding_window_pattern"
    full_first: bool = False


# The classes that came before RMS norms and gated blocks.
_LAYER_NORM: Mapping[str, Any] = {
    "norm": "layernorm",
    "mlp_gated": False,
    "qkv_bias": True,
    "all_bias": True,
}
_GEMMA: Mapping[str, Any] = {"norm_order": "around", "scaled_embedding": True}
_GRANITE = {
    "embedding_multiplier": "embedding_multiplier",
    "residual_multiplier": "residual_multiplier",
    "attention_scale": "attention_multiplier",
}
_BOTH_WAYS = "use_bidirectional_attention"
_GEMMA_FLAGS = {_BOTH_WAYS: False}
# Gemma's first files say gelu and mean its approximation: so the class itself reads them.
_GEMMA_ACTIVATIONS = {**ACTIVATIONS, "gelu": "gelu_tanh"}

ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("llama", kv_heads_default_to_heads=True, reads_window=False),
    "MistralForCausalLM": Architecture("mistral", default_window_tokens=4096),
    "Qwen2ForCausalLM": Architecture("qwen2", {"qkv_bias": True}, window_behind_flag=True),
    "Qwen3ForCausalLM": Architecture(
        "qwen3", {"qk_norm": "per_head"}, default_head_dim=128, window_behind_flag=True
    ),
    "Qwen2MoeForCausalLM": Architecture(
        "qwen2_moe",
        {"qkv_bias": True},
        window_behind_flag=True,
        experts=ExpertKeys(shared_width="shared_expert_intermediate_size"),
        refused={"qkv_bias": True},
    ),
    "Qwen3MoeForCausalLM": Architecture(
        "qwen3_moe", {"qk_norm": "per_head"}, window_behind_flag=True, experts=ExpertKeys()
    ),
    "MixtralForCausalLM": Architecture(
        "mixtral",
        rotary=Rotary(default_theta=1_000_000.0),
        experts=ExpertKeys(width="intermediate_size", normalised=""),
    ),
    "Olmo2ForCausalLM": Architecture(
        "olmo2",
        {"norm_order": "after", "qk_norm": "full_width"},
        kv_heads_default_to_heads=True,
        reads_window=False,
    ),
    "Phi3ForCausalLM": Architecture(
        "phi3",
        kv_heads_default_to_heads=True,
        rotary=Rotary(partial=True, long=True),
        own_code=True,
    ),
    "GemmaForCausalLM": Architecture(
        "gemma",
        {"scaled_embedding": True},
        default_head_dim=256,
        tied_by_default=True,
        activations=_GEMMA_ACTIVATIONS,
        default_activation="gelu_pytorch_tanh",
        reads_window=False,
        refused=_GEMMA_FLAGS,
    ),
    "Gemma2ForCausalLM": Architecture(
        "gemma2",
        _GEMMA,
        default_head_dim=256,
        tied_by_default=True,
        activation_keys=("hidden_activation",),
        default_activation="gelu_pytorch_tanh",
        default_window_tokens=4096,
        default_full_every=2,
        scale_key="query_pre_attn_scalar",
        default_scale=256,
        softcaps={
            "attention_softcap": ("attn_logit_softcapping", 50.0),
            "logit_softcap": ("final_logit_softcapping", 30.0),
        },
        refused=_GEMMA_FLAGS,
    ),
    "Gemma3ForCausalLM": Architecture(
        "gemma3_text",
        {**_GEMMA, "qk_norm": "per_head"},
        default_head_dim=256,
        tied_by_default=True,
        activation_keys=("hidden_activation",),
        default_activation="gelu_pytorch_tanh",
        rotary=Rotary(default_theta=1_000_000.0, local_theta=10_000.0, by_kind=True),
        default_window_tokens=4096,
        default_full_every=6,
        scale_key="query_pre_attn_scalar",
        default_scale=256,
        softcaps={
            "attention_softcap": ("attn_logit_softcapping", None),
            "logit_softcap": ("final_logit_softcapping", None),
        },
        part_defaults={
            "vocab_size": 262_208,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "max_position_embeddings": 131_072,
            "rms_norm_eps": 1e-6,
        },
        encodes=_BOTH_WAYS,
    ),
    "Gemma4ForCausalLM": Architecture(
        "gemma4_text",
        {
            **_GEMMA,
            "qk_norm": "per_head",
            "value_norm": True,
            "attention_scale": 1.0,
            "layer_scalars": True,
        },
        default_head_dim=256,
        tied_by_default=True,
        activation_keys=("hidden_activation",),
        default_activation="gelu_pytorch_tanh",
        rotary=Rotary(default_theta=1_000_000.0, local_theta=10_000.0, by_kind=True),
        default_window_tokens=512,
        default_full_every=6,
        softcaps={"logit_softcap": ("final_logit_softcapping", None)},
        part_defaults={
            "vocab_size": 262_144,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "max_position_embeddings": 131_072,
            "rms_norm_eps": 1e-6,
        },
        read=gemma4,
    ),
    "SmolLM3ForCausalLM": Architecture(
        "smollm3",
        kv_heads_default_to_heads=True,
        tied_by_default=True,
        rotary=Rotary(default_theta=2_000_000.0),
        reads_window=False,
        unrotated="listed",
        refused={"use_sliding_window": False},
    ),
    "GraniteForCausalLM": Architecture(
        "granite",
        kv_heads_default_to_heads=True,
        reads_window=False,
        multipliers=_GRANITE,
        divisors={"logit_multiplier": "logits_scaling"},
    ),
    "GraniteMoeHybridForCausalLM": Architecture(
        "granitemoehybrid",
        keys={"intermediate_size": "shared_intermediate_size"},
        kv_heads_default_to_heads=True,
        reads_window=False,
        multipliers=_GRANITE,
        divisors={"logit_multiplier": "logits_scaling"},
        unrotated="unless rope",
        absent=("num_local_experts",),
        read=hybrid.granite_h,
    ),
    "FalconH1ForCausalLM": Architecture(
        "falcon_h1",
        kv_heads_default_to_heads=True,
        multipliers={
            "embedding_multiplier": "embedding_multiplier",
            "logit_multiplier": "lm_head_multiplier",
        },
        reads_window=False,
        read=hybrid.falcon_h1,
    ),
    "HyperCLOVAXForCausalLM": Architecture(
        "hyperclovax",
        {"norm_order": "around"},
        kv_heads_default_to_heads=True,
        reads_window=False,
        multipliers={**_GRANITE, "logit_multiplier": "logits_scaling"},
        refused={"use_post_norm": True},
        own_code=True,
    ),
    "Exaone4ForCausalLM": Architecture(
        "exaone4",
        {"norm_order": "after", "qk_norm": "per_head"},
        kv_heads_default_to_heads=True,
        default_window_tokens=4096,
        default_full_every=4,
        unrotated="full",
    ),
    "Olmo3ForCausalLM": Architecture(
        "olmo3",
        {"norm_order": "after", "qk_norm": "full_width"},
        kv_heads_default_to_heads=True,
        rotary=Rotary(default_theta=500_000.0, by_kind=True),
        default_window_tokens=4096,
        default_full_every=4,
    ),
    "HunYuanDenseV1ForCausalLM": Architecture(
        "hunyuan_v1_dense",
        {"qk_norm": "per_head", "qk_norm_after_rotary": True},
        kv_heads_default_to_heads=True,
        reads_window=False,
        own_code=True,
    ),
    "Ernie4_5ForCausalLM": Architecture(
        "ernie4_5",
        {"rotary_pairs": True},
        default_head_dim=128,
        kv_heads_default_to_heads=True,
        tied_by_default=True,
        rotary=Rotary(default_theta=500_000.0),
        reads_window=False,
        refused={"use_bias": False},
        own_code=True,
    ),
    "Ministral3ForCausalLM": Architecture(
        "ministral3",
        default_head_dim=128,
        rotary=Rotary(default_theta=1_000_000.0, grows=True),
    ),
    "GptOssForCausalLM": Architecture(
        "gpt_oss",
        {"qkv_bias": True, "out_bias": True, "attention_sinks": True},
        default_head_dim=64,
        kv_heads_default_to_heads=True,
        rotary=Rotary(default_theta=150_000.0),
        default_window_tokens=128,
        default_full_every=2,
        experts=ExpertKeys(
            count=("num_local_experts", "num_experts"),
            width="intermediate_size",
            normalised="",
            fields={"bias": True, "up_added": 1.0},
            numbers={"gate_slope": ("swiglu_alpha", 1.702), "limit": ("swiglu_limit", 7.0)},
        ),
        refused={"attention_bias": True},
    ),
    "Lfm2ForCausalLM": Architecture(
        "lfm2",
        {"qk_norm": "per_head"},
        keys={"norm_epsilon": "norm_eps"},
        tied_by_default=True,
        rotary=Rotary(default_theta=1_000_000.0),
        reads_window=False,
        refused={"conv_bias": False},
        read=hybrid.lfm2,
    ),
    "Lfm2MoeForCausalLM": Architecture(
        "lfm2_moe",
        {"qk_norm": "per_head"},
        keys={"norm_epsilon": "norm_eps"},
        tied_by_default=True,
        rotary=Rotary(default_theta=1_000_000.0),
        reads_window=False,
        experts=ExpertKeys(
            fields={"sigmoid": True},
            flags={"choice_bias": ("use_expert_bias", True)},
            dense="num_dense_layers",
        ),
        refused={"conv_bias": False},
        read=hybrid.lfm2_moe,
    ),
    "Qwen3_5ForCausalLM": Architecture(
        "qwen3_5_text",
        {"qk_norm": "per_head", "attention_gate": True},
        default_head_dim=256,
        rotary=Rotary(partial=True, default_share=0.25),
        reads_window=False,
        part_defaults={
            "vocab_size": 248_320,
            "hidden_size": 4096,
            "intermediate_size": 12_288,
            "num_hidden_layers": 32,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
            "max_position_embeddings": 32_768,
            "rms_norm_eps": 1e-6,
        },
        read=hybrid.qwen3_5,
    ),
    "NemotronHForCausalLM": Architecture(
        "nemotron_h",
        {"mlp_gated": False},
        keys={"norm_epsilon": "layer_norm_epsilon"},
        default_head_dim=128,
        activation_keys=("mlp_hidden_act",),
        activations={"relu2": "relu2"},
        default_activation="relu2",
        reads_window=False,
        read=hybrid.nemotron_h,
        own_code=True,
    ),
    "PhiForCausalLM": Architecture(
        "phi",
        {**_LAYER_NORM, "norm_order": "parallel", "head_bias": True},
        keys={"norm_epsilon": "layer_norm_eps"},
        kv_heads_default_to_heads=True,
        default_activation="gelu_new",
        rotary=Rotary(partial=True, default_share=0.5),
        reads_window=False,
        refused={"qk_layernorm": False},
        own_code=True,
    ),
    "GPT2LMHeadModel": Architecture(
        "gpt2",
        {**_LAYER_NORM, "positions": "learned"},
        keys={
            "hidden_size": "n_embd",
            "num_layers": "n_layer",
            "num_heads": "n_head",
            "intermediate_size": "n_inner",
            "max_context_tokens": "n_positions",
            "norm_epsilon": "layer_norm_epsilon",
        },
        kv_heads_default_to_heads=True,
        default_intermediate_factor=4,
        tied_by_default=True,
        activation_keys=("activation_function",),
        default_activation="gelu_new",
        reads_window=False,
        refused={
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "add_cross_attention": False,
        },
    ),
}
SUPPORTED = ", ".join(ARCHITECTURES)

# Classes that are encoders only.
ROTARY_ENCODERS = {
    "ModernBertModel": Architecture(
        "modernbert",
        {"norm": "layernorm_weight", "embedding_norm": True},
        keys={"norm_epsilon": "norm_eps"},
        kv_heads_default_to_heads=True,
        tied_by_default=True,
        activation_keys=("hidden_activation",),
        activations={"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"},
        default_activation="gelu",
        rotary=Rotary(
            theta_key="global_rope_theta",
            default_theta=160_000.0,
            local_key="local_rope_theta",
            local_theta=10_000.0,
            by_kind=True,
        ),
        default_window_tokens=128,
        default_full_every=3,
        refused={"norm_bias": False},
        encodes="always",
        window_key="local_attention",
        full_key="global_attn_every_n_layers",
        full_first=True,
    ),
    "EuroBertModel": Architecture(
        "eurobert", kv_heads_default_to_heads=True, reads_window=False, encodes="always"
    ),
}

# What stands between a class and the block built here; read from the transformers classes.
NEEDS = {
    "EuroBertForSequenceClassification": "a classifier's head that is not built for this body",
    "ExaoneForCausalLM": "other tensor names (transformer.h.*)",
    "GPTNeoXForCausalLM": "a norm of its own for each of two parallel blocks",
    "Gemma3ForConditionalGeneration": "an image encoder",
    "Gemma4ForConditionalGeneration": "encoders of images and sounds",
    "Llama4ForConditionalGeneration": "experts and an image encoder",
    "MiniCPMForCausalLM": "scaled embeddings and residuals",
    "OlmoForCausalLM": "LayerNorm without weights",
    "PhimoeForCausalLM": "experts",
    "T5ForConditionalGeneration": "an encoder beside the decoder",
    "WhisperForConditionalGeneration": "an audio encoder beside the decoder",
}
