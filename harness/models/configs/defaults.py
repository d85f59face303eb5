"""What the classes of transformers fill in where a config.json leaves a key out.

A text part inside a larger model's config.json leaves out whatever is its class's default
(transformers 4 writes the difference alone). A decoder's own config.json states its shapes, so of
those nothing is filled in there: a missing one is asked for.
Source: the configuration classes of transformers 5.24.0.
"""

from collections.abc import Mapping
from typing import Any

from harness.core.records import JsonValues

# Of these a decoder's own config.json may do without: no tensor's shape tells that one is missing.
_NO_SHAPE = (
    *("rms_norm_eps", "norm_eps", "layer_norm_epsilon"),
    *("num_key_value_heads", "max_position_embeddings", "num_experts_per_tok"),
)
# Families of which everything is asked for: their makers always wrote it.
_ASKED = ("llama", "mistral", "qwen2", "qwen3")
_NUMBERS: Mapping[str, Mapping[str, float]] = {
    "smollm3": {
        "vocab_size": 128_256,
        "hidden_size": 2_048,
        "intermediate_size": 11_008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
    },
    "granite": {
        "vocab_size": 32_000,
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2_048,
        "rms_norm_eps": 1e-6,
    },
    "granitemoehybrid": {
        "vocab_size": 32_000,
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2_048,
        "rms_norm_eps": 1e-6,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 1_024,
    },
    "granite_swa": {
        "vocab_size": 100_352,
        "hidden_size": 2_560,
        "intermediate_size": 8_192,
        "num_hidden_layers": 24,
        "num_attention_heads": 20,
        "num_key_value_heads": 4,
        "max_position_embeddings": 8_192,
        "rms_norm_eps": 1e-5,
    },
    "granitemoe_swa": {
        "vocab_size": 32_000,
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2_048,
        "rms_norm_eps": 1e-6,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 0,
    },
    "falcon_h1": {
        "vocab_size": 128_000,
        "hidden_size": 4_096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8_192,
        "rms_norm_eps": 1e-5,
    },
    "hyperclovax": {
        "vocab_size": 32_000,
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2_048,
        "rms_norm_eps": 1e-6,
    },
    "exaone4": {
        "vocab_size": 102_400,
        "hidden_size": 4_096,
        "intermediate_size": 16_384,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 2_048,
        "rms_norm_eps": 1e-5,
    },
    "olmo3": {
        "vocab_size": 50_304,
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2_048,
        "rms_norm_eps": 1e-5,
    },
    "olmo_hybrid": {
        "vocab_size": 100_352,
        "hidden_size": 3_840,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 30,
        "max_position_embeddings": 65_536,
        "rms_norm_eps": 1e-6,
    },
    "hunyuan_v1_dense": {
        "vocab_size": 290_943,
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2_048,
        "rms_norm_eps": 1e-5,
    },
    "ernie4_5": {
        "vocab_size": 103_424,
        "hidden_size": 1_024,
        "intermediate_size": 3_072,
        "num_hidden_layers": 18,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5,
    },
    "ministral3": {
        "vocab_size": 131_072,
        "hidden_size": 4_096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 34,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 262_144,
        "rms_norm_eps": 1e-5,
    },
    "ministral": {
        "vocab_size": 32_000,
        "hidden_size": 4_096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-6,
    },
    "gpt_oss": {
        "vocab_size": 201_088,
        "hidden_size": 2_880,
        "intermediate_size": 2_880,
        "num_hidden_layers": 36,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5,
        "num_local_experts": 128,
        "num_experts_per_tok": 4,
    },
    "lfm2": {
        "vocab_size": 65_536,
        "hidden_size": 2_560,
        "intermediate_size": 12_288,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 128_000,
        "norm_eps": 1e-5,
    },
    "lfm2_moe": {
        "vocab_size": 65_536,
        "hidden_size": 2_048,
        "intermediate_size": 7_168,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 128_000,
        "norm_eps": 1e-5,
        "num_experts": 32,
        "num_experts_per_tok": 4,
        "moe_intermediate_size": 1_792,
    },
    "lfm3": {
        "vocab_size": 128_000,
        "hidden_size": 2_048,
        "intermediate_size": 7_680,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 128_000,
        "norm_eps": 1e-5,
    },
    "qwen3_5_text": {
        "vocab_size": 248_320,
        "hidden_size": 4_096,
        "intermediate_size": 12_288,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
    },
    "qwen3_5_moe_text": {
        "vocab_size": 248_320,
        "hidden_size": 2_048,
        "num_hidden_layers": 40,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
    },
    "qwen3_next": {
        "vocab_size": 151_936,
        "hidden_size": 2_048,
        "intermediate_size": 5_632,
        "num_hidden_layers": 48,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
        "num_experts": 512,
        "num_experts_per_tok": 10,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
    },
    "nemotron_h": {
        "vocab_size": 131_072,
        "hidden_size": 4_096,
        "intermediate_size": 21_504,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 4_096,
        "layer_norm_epsilon": 1e-5,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 7_688,
    },
    "gemma3_text": {
        "vocab_size": 262_208,
        "hidden_size": 2_304,
        "intermediate_size": 9_216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-6,
    },
    "gemma4_text": {
        "vocab_size": 262_144,
        "hidden_size": 2_304,
        "intermediate_size": 9_216,
        "num_hidden_layers": 30,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-6,
    },
    "mistral": {
        "vocab_size": 32_000,
        "hidden_size": 4_096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-6,
    },
    "llama": {
        "vocab_size": 32_000,
        "hidden_size": 4_096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2_048,
        "rms_norm_eps": 1e-6,
    },
    "qwen2": {
        "vocab_size": 151_936,
        "hidden_size": 4_096,
        "intermediate_size": 22_016,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
    },
    "qwen3": {
        "vocab_size": 151_936,
        "hidden_size": 4_096,
        "intermediate_size": 22_016,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6,
    },
}
_BY_KIND = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    "full_attention": {"rope_type": "proportional", "rope_theta": 1_000_000.0},
}
_TURNS: Mapping[str, Mapping[str, Any]] = {
    "gemma4_text": {
        **_BY_KIND,
        "full_attention": {**_BY_KIND["full_attention"], "partial_rotary_factor": 0.25},
    },
    "lfm3": {
        **_BY_KIND,
        "full_attention": {**_BY_KIND["full_attention"], "partial_rotary_factor": 0.5},
    },
    "ministral3": {
        "rope_type": "yarn",
        "rope_theta": 1_000_000.0,
        "factor": 16.0,
        "original_max_position_embeddings": 16_384,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "llama_4_scaling_beta": 0.1,
    },
    "gpt_oss": {
        "rope_type": "yarn",
        "rope_theta": 150_000.0,
        "factor": 32.0,
        "truncate": False,
        "original_max_position_embeddings": 4096,
    },
}


def filled(values: JsonValues, family: str, *, is_part: bool) -> JsonValues:
    """Return a config.json with what its class fills in.

    Args:
        values: as it was written.
        family: of its class.
        is_part: it is the text part of a larger model's.
    """
    known = _NUMBERS.get(family, {})
    if not is_part:
        known = {} if family in _ASKED else {k: v for k, v in known.items() if k in _NO_SHAPE}
    given = dict(values.values)
    turned = ("rope_parameters", "rope_scaling", "rope_theta")
    if family in _TURNS and not any(values.has(key) for key in turned):
        given = {**given, "rope_parameters": _TURNS[family]}
    return JsonValues({**known, **given}, values.where)
