"""Tiny architectures of every supported kind; sizes that do not divide into blocks."""

from dataclasses import replace

from harness.specs.encoder import EncoderSpec
from harness.specs.model import ModelSpec, RopeScaling

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
SPECS = {
    "llama": LLAMA,
    "untied": replace(LLAMA, tied_embeddings=False),
    "stretched": replace(LLAMA, rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 32)),
    "mistral": replace(LLAMA, family="mistral", tied_embeddings=False, sliding_window_tokens=4),
    "qwen2": replace(LLAMA, family="qwen2", qkv_bias=True),
    "qwen3": replace(LLAMA, family="qwen3", qk_norm=True, head_dim=16, norm_epsilon=1e-6),
}
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
