"""Writes the reference logits of decoders of 2025 and 2026. Development-time only.

    python -m tests.builder.graph.make_modern_fixtures [name ...]

Needs torch and transformers (made with 2.13.0 and 5.24.0). What a folder holds, and how its weights
are spread, says make_logit_fixtures.py; the sizes here differ where a family needs them to.
"""

import sys

from transformers import (
    Ernie4_5Config,
    Ernie4_5ForCausalLM,
    Exaone4Config,
    Exaone4ForCausalLM,
    Gemma4ForCausalLM,
    Gemma4TextConfig,
    GptOssConfig,
    GptOssForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    GraniteMoeHybridConfig,
    GraniteMoeHybridForCausalLM,
    GraniteMoeSWAConfig,
    GraniteMoeSWAForCausalLM,
    GraniteSWAConfig,
    GraniteSWAForCausalLM,
    HunYuanDenseV1Config,
    HunYuanDenseV1ForCausalLM,
    HyperCLOVAXConfig,
    HyperCLOVAXForCausalLM,
    Lfm2MoeConfig,
    Lfm2MoeForCausalLM,
    Lfm3Config,
    Lfm3ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Ministral3Config,
    Ministral3ForCausalLM,
    MinistralConfig,
    MinistralForCausalLM,
    Olmo3Config,
    Olmo3ForCausalLM,
    OlmoHybridConfig,
    OlmoHybridForCausalLM,
    PreTrainedModel,
    Qwen3_5MoeForCausalLM,
    Qwen3_5MoeTextConfig,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from tests.builder.graph.make_logit_fixtures import (
    LLAMA3_ROPE,
    SHORT_WINDOW_TOKENS,
    SIZES,
    write_folder,
)

NO_ROPE_KEYS = {key: value for key, value in SIZES.items() if key != "rope_theta"}
NO_ROPE_KEYS |= {"pad_token_id": 0}
NO_HEAD_DIM = {key: value for key, value in NO_ROPE_KEYS.items() if key != "head_dim"}
NO_HEAD_DIM |= {"hidden_size": 64}
PLAIN_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}}
MULTIPLIERS = {
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.5,
    "attention_multiplier": 0.125,
    "logits_scaling": 2.0,
}
# Begins to stretch, and to let queries grow, within the prompt.
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 8,
    "beta_fast": 4.0,
    "beta_slow": 1.0,
}


def models() -> dict[str, PreTrainedModel]:
    """Return each model by the name of its folder."""
    others = {"gpt_oss-sinks": gpt_oss(), "gemma4_text-shared": gemma4()}
    others |= {"lfm2_moe-sigmoids": lfm2_moe()}
    return {**plain_models(), **windowed_models(), **others}


def plain_models() -> dict[str, PreTrainedModel]:
    """Return those whose layers are alike, or differ in rotary positions alone."""
    four = {**NO_HEAD_DIM, **PLAIN_ROPE, "num_hidden_layers": 4}
    tied = {"tie_word_embeddings": True}
    hybrid = {"shared_intermediate_size": 72, "num_local_experts": 0, "num_experts_per_tok": 0}
    hybrid |= {"layer_types": ["attention"] * 2, "position_embedding_type": "rope"}
    hybrid |= {"mamba_n_heads": 4, "mamba_d_head": 32}
    alpha = {"rope_type": "dynamic", "rope_theta": 10_000.0, "alpha": 50.0, "factor": 1.0}
    return {
        "smollm3-norotary": SmolLM3ForCausalLM(SmolLM3Config(**four | tied)),
        "granite-multipliers": GraniteForCausalLM(
            GraniteConfig(**NO_HEAD_DIM, **PLAIN_ROPE, **MULTIPLIERS)
        ),
        "granitemoehybrid-dense": GraniteMoeHybridForCausalLM(
            GraniteMoeHybridConfig(
                **NO_HEAD_DIM | PLAIN_ROPE | MULTIPLIERS | hybrid | tied | {"intermediate_size": 40}
            )
        ),
        "hyperclovax-peri": HyperCLOVAXForCausalLM(
            HyperCLOVAXConfig(**NO_HEAD_DIM, **PLAIN_ROPE, **MULTIPLIERS)
        ),
        "exaone4-full": Exaone4ForCausalLM(
            Exaone4Config(
                **NO_HEAD_DIM,
                rope_parameters=LLAMA3_ROPE,
                sliding_window=None,
                layer_types=["full_attention"] * 2,
            )
        ),
        "hunyuan_v1_dense-alpha": HunYuanDenseV1ForCausalLM(
            HunYuanDenseV1Config(**NO_ROPE_KEYS, rope_parameters=alpha)
        ),
        "ernie4_5-pairs": Ernie4_5ForCausalLM(Ernie4_5Config(**NO_ROPE_KEYS | PLAIN_ROPE | tied)),
        "ministral3-yarn": Ministral3ForCausalLM(
            Ministral3Config(
                **NO_ROPE_KEYS,
                rope_parameters={
                    **YARN,
                    "mscale": 1.0,
                    "mscale_all_dim": 1.0,
                    "llama_4_scaling_beta": 0.1,
                },
            )
        ),
    }


def windowed_models() -> dict[str, PreTrainedModel]:
    """Return those of which some layers see the last tokens alone."""
    four = {**NO_HEAD_DIM, "num_hidden_layers": 4, "sliding_window": SHORT_WINDOW_TOKENS}
    kinds = ["sliding_attention"] * 3 + ["full_attention"]
    return {
        "exaone4-windows": Exaone4ForCausalLM(Exaone4Config(**four, **PLAIN_ROPE)),
        "olmo3-windows": Olmo3ForCausalLM(
            Olmo3Config(
                **four,
                layer_types=kinds,
                rope_parameters={
                    "full_attention": YARN,
                    "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
                },
            )
        ),
    }


def gpt_oss() -> PreTrainedModel:
    """Return a mixture with sinks; its widths divide into blocks of 32, as QMoE needs it."""
    sizes = {**NO_ROPE_KEYS, "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 2}
    config = GptOssConfig(
        **sizes,
        num_local_experts=5,
        num_experts_per_tok=2,
        sliding_window=SHORT_WINDOW_TOKENS,
        swiglu_limit=1.5,
        rope_parameters={**YARN, "truncate": False},
    )
    config._experts_implementation = "eager"
    return GptOssForCausalLM(config)


def lfm2_moe() -> PreTrainedModel:
    """Return convolutions and attention, a plain block in the first of three layers."""
    sizes = {**NO_HEAD_DIM, **PLAIN_ROPE, "num_hidden_layers": 3, "norm_eps": 1e-5}
    config = Lfm2MoeConfig(
        **sizes | {"tie_word_embeddings": True, "intermediate_size": 96},
        layer_types=["conv", "full_attention", "conv"],
        num_dense_layers=1,
        num_experts=6,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
    )
    config._experts_implementation = "eager"
    return Lfm2MoeForCausalLM(config)


def gemma4() -> PreTrainedModel:
    """Return two kinds of heads, the last layers of each reading the caches of earlier ones."""
    sizes = {**NO_ROPE_KEYS, "num_hidden_layers": 5, "num_key_value_heads": 1}
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    config = Gemma4TextConfig(
        **sizes | {"tie_word_embeddings": True, "rms_norm_eps": 1e-6},
        global_head_dim=32,
        sliding_window=SHORT_WINDOW_TOKENS,
        layer_types=[*kinds, "sliding_attention", "full_attention"],
        num_kv_shared_layers=2,
        use_double_wide_mlp=True,
        hidden_size_per_layer_input=16,
        vocab_size_per_layer_input=96,
        final_logit_softcapping=5.0,
    )
    return Gemma4ForCausalLM(config)


def small_models() -> dict[str, PreTrainedModel]:
    """Return those of 32 values a token, whose references have three sequences."""
    small = {**NO_ROPE_KEYS, **PLAIN_ROPE, "vocab_size": 48, "hidden_size": 32}
    small |= {"intermediate_size": 32, "num_hidden_layers": 3}
    no_head_dim = {key: value for key, value in small.items() if key != "head_dim"}
    no_rope = {key: value for key, value in small.items() if key != "rope_parameters"}
    window, tied = {"sliding_window": SHORT_WINDOW_TOKENS}, {"tie_word_embeddings": True}
    mixture = {"moe_intermediate_size": 32, "num_experts": 5, "num_experts_per_tok": 2}
    mixture |= {"shared_expert_intermediate_size": 64}
    delta = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 32}
    delta |= {"linear_value_head_dim": 8}
    linear, full, windowed = "linear_attention", "full_attention", "sliding_attention"
    turned = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.25}
    qwen = {**small, **mixture, **delta, "layer_types": [linear, full, linear]}
    qwen |= {"rope_parameters": turned, "rms_norm_eps": 1e-6}
    multiplied = {**no_head_dim, **MULTIPLIERS, **window}
    local = {"num_local_experts": 6, "num_experts_per_tok": 2}
    mixer = {"mamba_n_heads": 4, "mamba_d_state": 16, "mamba_chunk_size": 8}
    return {
        "llama-biases": LlamaForCausalLM(
            LlamaConfig(**small | {"head_dim": 8, "attention_bias": True, "mlp_bias": True})
        ),
        "ministral-windows": MinistralForCausalLM(
            MinistralConfig(**small, **window, layer_types=[windowed, full, windowed])
        ),
        "granite_swa-sinks": GraniteSWAForCausalLM(
            GraniteSWAConfig(
                **multiplied | tied | {"num_hidden_layers": 4, "num_key_value_heads": 1},
                layer_rope_theta=[10_000.0, 500.0, 0, 100.0],
            )
        ),
        "granitemoe_swa-sinks": GraniteMoeSWAForCausalLM(
            GraniteMoeSWAConfig(**multiplied, **local, shared_intermediate_size=64)
        ),
        "granitemoehybrid-mixture": GraniteMoeHybridForCausalLM(
            GraniteMoeHybridConfig(
                **no_head_dim | MULTIPLIERS | mixer | local,
                layer_types=[linear, full, linear],
                shared_intermediate_size=64,
            )
        ),
        "lfm3-gates": Lfm3ForCausalLM(
            Lfm3Config(
                **no_rope | window | tied, layer_types=["conv", full, windowed], norm_eps=1e-5
            )
        ),
        "olmo_hybrid-delta": OlmoHybridForCausalLM(
            OlmoHybridConfig(
                **no_head_dim | delta | {"num_key_value_heads": 2, "vocab_size": 48},
                layer_types=[linear, full, linear],
            )
        ),
        "qwen3_5_moe_text-delta": Qwen3_5MoeForCausalLM(Qwen3_5MoeTextConfig(**qwen)),
        "qwen3_next-delta": Qwen3NextForCausalLM(
            Qwen3NextConfig(**qwen, decoder_sparse_step=1, norm_topk_prob=True)
        ),
    }


def main(names: list[str]) -> None:
    """Write the named folders, or every one, anew."""
    for name, model in small_models().items():
        if name in names or not names:
            write_folder(name, model, batch=3)
    for name, model in models().items():
        if name in names or not names:
            write_folder(name, model)


if __name__ == "__main__":
    main(sys.argv[1:])
