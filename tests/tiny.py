"""What tests build when any model will do: architectures, a checkpoint, sizes of a calibration."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from harness.builder.quantize.levels import LEVELS
from harness.estimator.calibration.constants import Sizes
from harness.models.configs.config import spec_from_config
from harness.models.specs.layers import Convolution, DeltaRule, Experts, Mamba
from harness.models.specs.model import Dense, EncoderSpec, ModelSpec, RopeScaling, RotaryEncoderSpec
from harness.models.specs.tensors import logical_tensors
from harness.models.weights.source import ModelSource

# One architecture of every supported kind, in sizes that do not divide into blocks.
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
    "gpt_oss": replace(
        LLAMA,
        family="gpt_oss",
        hidden_size=128,
        qkv_bias=True,
        out_bias=True,
        attention_sinks=True,
        sliding_window_tokens=4,
        full_attention_every=2,
        rope_scaling=RopeScaling("yarn", 4.0, original_context_tokens=16, amplitude=1.1),
        experts=Experts(5, 2, 128, bias=True, gate_slope=1.7, up_added=1.0, limit=7.0),
    ),
    "gemma4": replace(
        LLAMA,
        family="gemma4_text",
        num_layers=4,
        norm_order="around",
        activation="gelu_tanh",
        scaled_embedding=True,
        qk_norm="per_head",
        value_norm=True,
        sliding_window_tokens=4,
        full_attention_every=2,
        local_rope_theta=500.0,
        full_head_dim=64,
        rope_scaling=RopeScaling("proportional", 1.0, turned_share=0.25),
        shared_cache_layers=2,
        shared_block_factor=2,
        per_layer_width=20,
        layer_scalars=True,
        attention_scale=1.0,
    ),
    "lfm2_moe": replace(
        LLAMA,
        family="lfm2_moe",
        hidden_size=128,
        experts=Experts(5, 2, 128, dense_layers=1, sigmoid=True, choice_bias=True),
    ),
    "ministral3": replace(
        LLAMA,
        family="ministral3",
        rope_scaling=RopeScaling("yarn", 4.0, original_context_tokens=16, query_growth=0.1),
    ),
    "hunyuan": replace(
        LLAMA, family="hunyuan_v1_dense", qk_norm="per_head", qk_norm_after_rotary=True
    ),
    "granite": replace(LLAMA, family="granite", embedding_multiplier=12.0, rotary_pairs=True),
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
    "lfm2": replace(
        LLAMA,
        family="lfm2",
        num_layers=3,
        qk_norm="per_head",
        convolution=Convolution(3),
        layer_pattern="CFC",
    ),
    "qwen3_5": replace(
        LLAMA,
        family="qwen3_5_text",
        num_layers=3,
        qk_norm="per_head",
        rotary_dim=16,
        attention_gate=True,
        delta_rule=DeltaRule(2, 4, 16, 32, 4),
        layer_pattern="LFL",
    ),
    "nemotron_h": replace(
        LLAMA,
        family="nemotron_h",
        num_layers=4,
        mlp_gated=False,
        activation="relu2",
        mamba=Mamba(8, 16, 24, 2),
        layer_pattern="mgDm",
    ),
    "falcon_h1": replace(
        LLAMA,
        family="falcon_h1",
        tied_embeddings=False,
        mamba=Mamba(8, 16, 32, gated_norm=False),
        layer_pattern="P",
    ),
    "granite_h": replace(
        LLAMA,
        family="granitemoehybrid",
        mamba=Mamba(8, 16, 32),
        layer_pattern="MG",
        embedding_multiplier=12.0,
        residual_multiplier=0.25,
        logit_multiplier=0.25,
    ),
    "biases": replace(
        LLAMA, head_dim=24, rotary_dim=8, qkv_bias=True, out_bias=True, block_bias=True
    ),
    "lfm3": replace(
        LLAMA,
        family="lfm3",
        num_layers=3,
        norm_order="around",
        qk_norm="per_head",
        attention_gate=True,
        attention_gate_by_head=True,
        convolution=Convolution(7, bias=True),
        sliding_window_tokens=4,
        local_rope_theta=100.0,
        rope_scaling=RopeScaling("proportional", 1.0, turned_share=0.5),
        layer_pattern="CFS",
    ),
    "olmo_hybrid": replace(
        LLAMA,
        family="olmo_hybrid",
        num_layers=3,
        norm_order="after",
        state_norm_order="before",
        qk_norm="full_width",
        delta_rule=DeltaRule(2, 4, 16, 32, 4, rate_scale=2.0, norm_epsilon=1e-5),
        layer_pattern="LGL",
    ),
    "granite_swa": replace(
        LLAMA,
        family="granite_swa",
        num_layers=4,
        attention_sinks=True,
        sliding_window_tokens=4,
        layer_thetas=(0.0, 100.0, 0.0, 500.0),
        layer_pattern="GFNS",
    ),
    "granite_h_tiny": replace(
        LLAMA,
        family="granitemoehybrid",
        hidden_size=128,
        mamba=Mamba(8, 16, 32, 2, norm_first=True, in_bias=True, out_bias=True, taps_bias=False),
        experts=Experts(5, 2, 128, 96),
        layer_pattern="MG",
    ),
    "qwen3_5_moe": replace(
        LLAMA,
        family="qwen3_5_moe_text",
        hidden_size=128,
        qk_norm="per_head",
        attention_gate=True,
        delta_rule=DeltaRule(2, 4, 16, 32, 4),
        experts=Experts(5, 3, 128, 96, shared_gate=True),
        layer_pattern="LF",
    ),
    "lfm2_scaled": replace(
        LLAMA,
        family="lfm2_moe",
        hidden_size=128,
        experts=Experts(5, 2, 128, sigmoid=True, normalised=False, scale=2.5),
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
# Levels of float of 4 and 2 bytes; channel; block: symmetric, with zero points, of two widths.
ONE_OF_EACH_FORM = ("fp32", "fp16", "int8", "int4", "int4-asym", "int4-mixed")
# Other levels differ from these in bits and in the length of a block alone: one plain decoder, one
# with a head of its own and experts, and one with convolutions have them all.
AT_EVERY_LEVEL = ("qwen2", "mixtral", "lfm2")
# QMoE multiplies all of a mixture at one width of bits.
GRID = [
    (name, level)
    for name, spec in SPECS.items()
    for level, row in LEVELS.items()
    if (level in ONE_OF_EACH_FORM or name in AT_EVERY_LEVEL)
    and (spec.experts is None or row.sensitive is None)
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
# Encoders with a decoder's layers, each with what another has not.
ROTARY_ENCODERS = {
    "modernbert": RotaryEncoderSpec(
        name="tiny-modernbert",
        family="modernbert",
        vocab_size=150,
        hidden_size=80,
        num_layers=4,
        num_heads=4,
        num_kv_heads=4,
        head_dim=20,
        intermediate_size=112,
        tied_embeddings=True,
        max_context_tokens=64,
        rope_theta=1000.0,
        local_rope_theta=100.0,
        norm="layernorm_weight",
        activation="gelu",
        sliding_window_tokens=4,
        layer_pattern="FSSF",
        embedding_norm=True,
        dense=(Dense(80, bias=False, activation="gelu", norm=True), Dense(1)),
        scores=True,
    ),
    "gemma3": RotaryEncoderSpec(
        name="tiny-gemma3",
        family="gemma3_text",
        vocab_size=150,
        hidden_size=64,
        num_layers=3,
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        intermediate_size=96,
        tied_embeddings=True,
        max_context_tokens=64,
        rope_theta=1000.0,
        norm_order="around",
        activation="gelu_tanh",
        qk_norm="per_head",
        scaled_embedding=True,
        dense=(Dense(128, bias=False), Dense(64, bias=False)),
    ),
    "qwen3": RotaryEncoderSpec(
        name="tiny-qwen3",
        family="qwen3",
        vocab_size=150,
        hidden_size=64,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        intermediate_size=96,
        tied_embeddings=True,
        max_context_tokens=64,
        rope_theta=1000.0,
        qk_norm="per_head",
        causal=True,
        pooling="last",
    ),
}
# What a cache builds in no time, under the name that a command line would give it.
ONE_LAYER = ModelSpec(
    name="tiny",
    family="llama",
    vocab_size=64,
    hidden_size=32,
    num_layers=1,
    num_heads=2,
    num_kv_heads=1,
    head_dim=16,
    intermediate_size=48,
    tied_embeddings=True,
    max_context_tokens=32,
    rope_theta=10_000.0,
    rope_scaling=RopeScaling("linear", 2.0),
)
ONE_LAYER_SOURCE = ModelSource("tiny", "tiny", ONE_LAYER, None)
# A Hugging Face folder's config.json.
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}
# Calibrates in seconds; the constants mean nothing, their arithmetic is the same.
SIZES = Sizes(
    rounds=2,
    warm_seconds=0.005,
    seconds=0.01,
    passes=3,
    bandwidth_bytes=(2**16, 2**20),
    hidden=128,
    wide=256,
    chain_bytes=100_000,
    rows=(1, 4),
    small=128,
    few=4,
    stack_bytes=50_000,
    operator_width=64,
    operator_layers=(1, 30, 100),
    operator_rows=64,
    cache_layers=1,
    attention_layers=1,
    heads=4,
    kv_heads=2,
    head_dim=16,
    depths=(1, 64, 4096),
    prompts=(8,),
    logits=4096,
    state_rows=(1, 4),
    state_bytes=200_000,
    delta=(4, 32, 32),
    mamba=(4, 32, 16),
    channels=64,
    convolutions=4,
    expert_width=64,
    expert_rows=(1, 4),
)


def write_checkpoint(folder: Path) -> Path:
    """Write CONFIG and seeded weights as a Hugging Face folder, which must not exist yet."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    generator = np.random.default_rng(5)
    tensors = {
        tensor.name: (generator.standard_normal(tensor.shape) / 8).astype(np.float32)
        for tensor in logical_tensors(spec_from_config(CONFIG, "tiny"))
    }
    save_file(tensors, folder / "model.safetensors")
    return folder
