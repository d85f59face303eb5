"""Which Hugging Face classes this version builds, and what others would need."""

from collections.abc import Mapping
from typing import Any

from harness.models.configs import hybrid
from harness.models.configs.gemma import gemma4
from harness.models.configs.granite import granite_swa, hyperclovax
from harness.models.configs.rope import Rotary
from harness.models.configs.row import ACTIVATIONS, Architecture, ExpertKeys

# The classes that came before RMS norms and gated blocks.
_LAYER_NORM: Mapping[str, Any] = {
    "norm": "layernorm",
    "mlp_gated": False,
    "qkv_bias": True,
    "all_bias": True,
}
_GEMMA: Mapping[str, Any] = {"norm_order": "around", "scaled_embedding": True}
_GRANITE_EXPERTS = ExpertKeys(
    count=("num_local_experts", "num_experts"),
    width="intermediate_size",
    shared_width="shared_intermediate_size",
    shared_gate=False,
    normalised="",
    may_be_none=True,
)
_GRANITE = {
    "embedding_multiplier": "embedding_multiplier",
    "residual_multiplier": "residual_multiplier",
    "attention_scale": "attention_multiplier",
}
_QWEN3_NEXT: Mapping[str, Any] = {"qk_norm": "per_head", "attention_gate": True}
_BOTH_WAYS = "use_bidirectional_attention"
_GEMMA_FLAGS = {_BOTH_WAYS: False}
# Gemma's first files say gelu and mean its approximation: so the class itself reads them.
_GEMMA_ACTIVATIONS = {**ACTIVATIONS, "gelu": "gelu_tanh"}

ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("llama", kv_heads_default_to_heads=True, reads_window=False),
    "MistralForCausalLM": Architecture("mistral", default_window_tokens=4096),
    "MinistralForCausalLM": Architecture("ministral", default_window_tokens=4096),
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
        read=gemma4,
    ),
    "SmolLM3ForCausalLM": Architecture(
        "smollm3",
        kv_heads_default_to_heads=True,
        tied_by_default=True,
        rotary=Rotary(default_theta=2_000_000.0),
        window_behind_flag=True,
        unrotated="listed",
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
        experts=_GRANITE_EXPERTS,
        read=hybrid.granite_h,
    ),
    "GraniteSWAForCausalLM": Architecture(
        "granite_swa",
        {"attention_sinks": True},
        kv_heads_default_to_heads=True,
        tied_by_default=True,
        multipliers=_GRANITE,
        divisors={"logit_multiplier": "logits_scaling"},
        default_window_tokens=128,
        read=granite_swa,
    ),
    "GraniteMoeSWAForCausalLM": Architecture(
        "granitemoe_swa",
        {"attention_sinks": True},
        kv_heads_default_to_heads=True,
        multipliers=_GRANITE,
        divisors={"logit_multiplier": "logits_scaling"},
        default_window_tokens=128,
        experts=_GRANITE_EXPERTS,
        read=granite_swa,
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
        read=hyperclovax,
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
        attention_bias_keys=("use_bias",),
        block_bias_keys=("use_bias",),
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
            normalised_default=True,
            scale="routed_scaling_factor",
        ),
        read=hybrid.lfm2_moe,
    ),
    "Lfm3ForCausalLM": Architecture(
        "lfm3",
        {"qk_norm": "per_head"},
        keys={"norm_epsilon": "norm_eps"},
        default_head_dim=128,
        tied_by_default=True,
        rotary=Rotary(default_theta=1_000_000.0, local_theta=10_000.0, by_kind=True),
        default_window_tokens=256,
        read=hybrid.lfm3,
    ),
    "OlmoHybridForCausalLM": Architecture(
        "olmo_hybrid",
        {"norm_order": "after", "state_norm_order": "before", "qk_norm": "full_width"},
        kv_heads_default_to_heads=True,
        reads_window=False,
        read=hybrid.olmo_hybrid,
    ),
    "Qwen3NextForCausalLM": Architecture(
        "qwen3_next",
        _QWEN3_NEXT,
        default_head_dim=256,
        rotary=Rotary(partial=True, default_share=0.25),
        reads_window=False,
        experts=ExpertKeys(shared_width="shared_expert_intermediate_size", normalised_default=True),
        read=hybrid.qwen3_5,
    ),
    "Qwen3_5MoeForCausalLM": Architecture(
        "qwen3_5_moe_text",
        _QWEN3_NEXT,
        default_head_dim=256,
        rotary=Rotary(partial=True, default_share=0.25),
        reads_window=False,
        experts=ExpertKeys(shared_width="shared_expert_intermediate_size", normalised=""),
        read=hybrid.qwen3_5,
    ),
    "Qwen3_5ForCausalLM": Architecture(
        "qwen3_5_text",
        _QWEN3_NEXT,
        default_head_dim=256,
        rotary=Rotary(partial=True, default_share=0.25),
        reads_window=False,
        read=hybrid.qwen3_5,
    ),
    "NemotronHForCausalLM": Architecture(
        "nemotron_h",
        {"mlp_gated": False, "tied_embeddings": False},
        keys={"norm_epsilon": "layer_norm_epsilon"},
        default_head_dim=128,
        activation_keys=("mlp_hidden_act",),
        activations={"relu2": "relu2"},
        default_activation="relu2",
        reads_window=False,
        attention_bias_keys=(),  # the class has none, whatever config.json says
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
