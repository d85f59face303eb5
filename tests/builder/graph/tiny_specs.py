"""Tiny architectures of every supported kind; sizes that do not divide into blocks."""

from dataclasses import replace

from harness.builder.quantize.levels import LEVELS
from harness.models.specs.encoder import EncoderSpec
from harness.models.specs.model import Experts, ModelSpec, RopeScaling

LLAMA = ModelSpec(
    name="tiny-llama",
    family="llama",
    vocab_size=150,
    hidden_size=80,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=32,
    intermediate_size=112,
    tied_embeddings=True,
    max_context_tokens=64,
    rope_theta=10_000.0,
)
LLAMA_LIKE = {
    "llama": LLAMA,
    "untied": replace(LLAMA, tied_embeddings=False),
    "stretched": replace(LLAMA, rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 32)),
    "mistral": replace(LLAMA, family="mistral", tied_embeddings=False, sliding_window_tokens=4),
    "qwen2": replace(LLAMA, family="qwen2", qkv_bias=True),
    "qwen3": replace(LLAMA, family="qwen3", qk_norm="per_head", head_dim=16, norm_epsilon=1e-6),
}
SPECS = {
    **LLAMA_LIKE,
    "mixtral": replace(
        LLAMA,
        family="mixtral",
        hidden_size=128,
        tied_embeddings=False,
        experts=Experts(4, 2, 128),
    ),
    "qwen2_moe": replace(
        LLAMA,
        family="qwen2_moe",
        hidden_size=128,
        qkv_bias=True,
        experts=Experts(5, 3, 128, 96, shared_gate=True, normalised=False),
    ),
    "olmo2": replace(LLAMA, family="olmo2", norm_order="after", qk_norm="full_width"),
    "phi3": replace(
        LLAMA,
        family="phi3",
        rotary_dim=16,
        rope_scaling=RopeScaling(
            "longrope", 2.0, 1.0, 4.0, 32, (1, 1.1, 1.2, 1.5, 2, 2, 3, 4), 1.1
        ),
    ),
    "gemma2": replace(
        LLAMA,
        family="gemma2",
        num_layers=3,
        norm_order="around",
        activation="gelu_tanh",
        scaled_embedding=True,
        sliding_window_tokens=4,
        full_attention_every=2,
        attention_scale=0.25,
        attention_softcap=2.0,
        logit_softcap=3.0,
    ),
    "gemma3": replace(
        LLAMA,
        family="gemma3_text",
        num_layers=3,
        norm_order="around",
        activation="gelu_tanh",
        scaled_embedding=True,
        qk_norm="per_head",
        sliding_window_tokens=4,
        full_attention_every=3,
        local_rope_theta=100.0,
    ),
    "phi": replace(
        LLAMA,
        family="phi",
        norm="layernorm",
        norm_order="parallel",
        activation="gelu_tanh",
        mlp_gated=False,
        qkv_bias=True,
        all_bias=True,
        head_bias=True,
        rotary_dim=16,
        tied_embeddings=False,
    ),
    "gpt2": replace(
        LLAMA,
        family="gpt2",
        num_kv_heads=4,
        norm="layernorm",
        activation="gelu_tanh",
        mlp_gated=False,
        qkv_bias=True,
        all_bias=True,
        positions="learned",
    ),
}
# QMoE multiplies all of a mixture at one width of bits.
GRID = [
    (name, level)
    for name, spec in SPECS.items()
    for level, row in LEVELS.items()
    if spec.experts is None or row.sensitive is None
]
ENCODER = EncoderSpec(
    name="tiny-bert",
    family="bert",
    vocab_size=150,
    hidden_size=80,
    num_layers=2,
    num_heads=4,
    intermediate_size=112,
    max_context_tokens=64,
    token_types=2,
    pooler=False,
)
