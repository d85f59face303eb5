"""Writes the reference logits that the graphs are verified against. Development-time only.

    python -m tests.builder.graph.make_logit_fixtures [folder ...]

Writes the named folders, or all of them anew.
Needs torch and transformers (made with 2.13.0 and 5.24.0). Each folder of tests/fixtures/logits is
a Hugging Face model of a few thousand weights, as `save_pretrained` writes it, but that names and
shapes stand in `shapes.json` in the place of weights, whose values seeded_folder.py draws; and
`reference.safetensors` with what torch computes from it in float32:

    input_ids        int64   [4, 12 + 16]    prompt and the 16 tokens that follow it
    prefill_logits   float32 [4, 12, vocab]  one pass over the prompt
    decode_logits    float32 [4, 16, vocab]  16 passes of one token through torch's own cache

The weights have a realistic spread: each matrix is normal with deviation 1 / sqrt(inputs), every
norm is near 1 but not 1, and one hidden channel in 16 is 4 times as large as the others, as the
outlier channels of trained models are.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file
from transformers import (
    FalconH1Config,
    FalconH1ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteMoeHybridConfig,
    GraniteMoeHybridForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    NemotronHConfig,
    NemotronHForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3_5ForCausalLM,
    Qwen3_5TextConfig,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from tests.builder.graph.seeded_folder import FIXTURES, folder_of, write_shapes

PROMPT_TOKENS, DECODE_TOKENS, BATCH = 12, 16, 4
SIZES = {
    "vocab_size": 96,
    "hidden_size": 48,  # divides neither into blocks of 32 nor of 128
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,  # not hidden_size / heads
    "max_position_embeddings": 64,
    "rope_theta": 10_000.0,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "attn_implementation": "eager",
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
SHORT_WINDOW_TOKENS = 7  # shorter than the prompt
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0, 1.1, 1.3, 1.5, 1.8, 2.0, 2.2, 2.8],
    "long_factor": [1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 30.0, 32.0],
    "original_max_position_embeddings": 32,  # longer than prompt and steps
    "partial_rotary_factor": 0.5,
}


def models() -> dict[str, tuple[PreTrainedModel, torch.dtype]]:
    """Return each model with the type its weights are stored in."""
    stretched = {**SIZES, "rope_parameters": LLAMA3_ROPE}
    del stretched["rope_theta"]
    tied = {**SIZES, "tie_word_embeddings": True}
    window = {**SIZES, "sliding_window": SHORT_WINDOW_TOKENS}
    no_head_dim = {**SIZES, "hidden_size": 64}
    del no_head_dim["head_dim"]
    return {
        **newer_models(tied),
        **mixtures(),
        **hybrids(),
        "llama-tied": (LlamaForCausalLM(LlamaConfig(**tied)), torch.bfloat16),
        "llama-untied": (LlamaForCausalLM(LlamaConfig(**SIZES)), torch.float16),
        "llama-rope3": (LlamaForCausalLM(LlamaConfig(**stretched)), torch.bfloat16),
        "mistral-window": (MistralForCausalLM(MistralConfig(**window)), torch.bfloat16),
        "qwen2-tied": (
            Qwen2ForCausalLM(Qwen2Config(**no_head_dim | {"tie_word_embeddings": True})),
            torch.bfloat16,
        ),
        "qwen3-tied": (
            Qwen3ForCausalLM(Qwen3Config(**tied | {"rms_norm_eps": 1e-6})),
            torch.bfloat16,
        ),
    }


def newer_models(tied: dict[str, object]) -> dict[str, tuple[PreTrainedModel, torch.dtype]]:
    """Return the models whose block is not Llama's."""
    no_head_dim = {**SIZES, "hidden_size": 64}
    del no_head_dim["head_dim"]
    wide_heads = {**no_head_dim, "num_attention_heads": 2, "num_key_value_heads": 2}
    gemma = {**tied, "num_hidden_layers": 3, "query_pre_attn_scalar": 24}
    gemma |= {"sliding_window": SHORT_WINDOW_TOKENS}
    del gemma["rope_theta"]
    long = {**wide_heads, "original_max_position_embeddings": 32, "rope_parameters": LONGROPE}
    del long["rope_theta"]
    layer_norm = {key: value for key, value in no_head_dim.items() if key != "rms_norm_eps"}
    gpt2 = {
        "vocab_size": 96,
        "n_embd": 64,
        "n_layer": 2,
        "n_head": 4,
        "n_inner": 72,
        "n_positions": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "attn_implementation": "eager",
    }
    bf16 = torch.bfloat16
    return {
        "olmo2-untied": (Olmo2ForCausalLM(Olmo2Config(**no_head_dim)), bf16),
        "phi3-window": (
            Phi3ForCausalLM(
                Phi3Config(**no_head_dim, pad_token_id=0, sliding_window=SHORT_WINDOW_TOKENS)
            ),
            bf16,
        ),
        "phi3-longrope": (Phi3ForCausalLM(Phi3Config(**long, pad_token_id=0)), bf16),
        "gemma-tied": (GemmaForCausalLM(GemmaConfig(**tied)), bf16),
        "gemma2-caps": (
            Gemma2ForCausalLM(
                Gemma2Config(**gemma, attn_logit_softcapping=2.0, final_logit_softcapping=3.0)
            ),
            bf16,
        ),
        "gemma3-windows": (
            Gemma3ForCausalLM(Gemma3TextConfig(**gemma, sliding_window_pattern=2)),
            bf16,
        ),
        "phi-parallel": (
            PhiForCausalLM(
                PhiConfig(**layer_norm | {"num_attention_heads": 2, "num_key_value_heads": 2})
            ),
            bf16,
        ),
        "gpt2-tied": (GPT2LMHeadModel(GPT2Config(**gpt2)), bf16),
    }


def mixtures() -> dict[str, tuple[PreTrainedModel, torch.dtype]]:
    """Return mixtures of experts; every width divides into blocks of 32, as QMoE needs it."""
    sizes = {**SIZES, "hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    sizes |= {"num_experts_per_tok": 2}
    no_head_dim = {key: value for key, value in sizes.items() if key != "head_dim"}
    qwen = {"num_experts": 5, "moe_intermediate_size": 32}
    shared = {"shared_expert_intermediate_size": 64}
    bf16 = torch.bfloat16
    return {
        "mixtral-untied": (MixtralForCausalLM(MixtralConfig(**sizes, num_local_experts=4)), bf16),
        "qwen2_moe-shared": (
            Qwen2MoeForCausalLM(Qwen2MoeConfig(**no_head_dim, **qwen, **shared)),
            bf16,
        ),
        "qwen3_moe-normalised": (
            Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes, **qwen, norm_topk_prob=True)),
            bf16,
        ),
    }


def hybrids() -> dict[str, tuple[PreTrainedModel, torch.dtype]]:
    """Return models some of whose layers keep a state of a fixed size instead of a cache."""
    bf16 = torch.bfloat16
    common = {**SIZES, "hidden_size": 64, "tie_word_embeddings": True}
    del common["head_dim"], common["rms_norm_eps"]
    lfm2 = {
        **common,
        "num_hidden_layers": 3,
        "layer_types": ["conv", "full_attention", "conv"],
        "block_multiple_of": 16,
        "intermediate_size": 100,
    }
    qwen = {
        **common,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "rms_norm_eps": 1e-6,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 32,
        "layer_types": ["linear_attention", "full_attention"] * 2,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "partial_rotary_factor": 0.25,
            "mrope_section": [3, 3, 2],
            "mrope_interleaved": True,
        },
    }
    del qwen["rope_theta"]
    nemotron = {
        **common,
        "layers_block_type": ["linear_attention", "full_attention", "mlp", "linear_attention"],
        "head_dim": 16,
        "layer_norm_epsilon": 1e-5,
        "mamba_num_heads": 8,
        "mamba_head_dim": 16,
        "ssm_state_size": 16,
        "n_groups": 2,
        "chunk_size": 8,
        "time_step_min": 1e-6,  # at more a prompt is computed otherwise than single steps
        "tie_word_embeddings": False,
    }
    del nemotron["rope_theta"], nemotron["num_hidden_layers"]
    mixer = {
        "mamba_n_heads": 8,
        "mamba_d_head": 16,
        "mamba_d_state": 16,
        "mamba_chunk_size": 8,
        "rms_norm_eps": 1e-5,
    }
    granite = {
        **common,
        **mixer,
        "num_hidden_layers": 3,
        "layer_types": ["linear_attention", "full_attention", "linear_attention"],
        "shared_intermediate_size": 72,
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "mamba_expand": 2,
        "embedding_multiplier": 12.0,
        "attention_multiplier": 0.125,
        "residual_multiplier": 0.246,
        "logits_scaling": 3.0,
    }
    falcon = {
        **common,
        **mixer,
        "head_dim": 16,
        "mamba_d_ssm": 128,
        "mamba_n_groups": 2,
        "tie_word_embeddings": False,
        "embedding_multiplier": 4.0,
        "lm_head_multiplier": 0.25,
        "key_multiplier": 0.7,
        "attention_in_multiplier": 0.9,
        "attention_out_multiplier": 0.8,
        "ssm_multipliers": [0.5, 0.25, 0.7, 0.5, 0.3],
        "ssm_in_multiplier": 1.25,
        "ssm_out_multiplier": 0.6,
        "mlp_multipliers": [0.8, 0.4],
    }
    return {
        "granitemoehybrid-mamba": (
            GraniteMoeHybridForCausalLM(GraniteMoeHybridConfig(**granite)),
            bf16,
        ),
        "falcon_h1-parallel": (FalconH1ForCausalLM(FalconH1Config(**falcon)), bf16),
        "nemotron_h-mamba": (NemotronHForCausalLM(NemotronHConfig(**nemotron)), bf16),
        "lfm2-conv": (Lfm2ForCausalLM(Lfm2Config(**lfm2)), bf16),
        "qwen3_5-delta": (Qwen3_5ForCausalLM(Qwen3_5TextConfig(**qwen)), bf16),
    }


def reference(model: PreTrainedModel, batch: int = BATCH) -> dict[str, torch.Tensor]:
    """Return tokens and logits: one pass over the prompt, then one pass per token."""
    random = torch.Generator().manual_seed(7)
    ids = torch.randint(
        model.config.vocab_size, (batch, PROMPT_TOKENS + DECODE_TOKENS), generator=random
    )
    with torch.no_grad():
        prompt = model(ids[:, :PROMPT_TOKENS], use_cache=True)
        cache, decoded = prompt.past_key_values, []
        for position in range(PROMPT_TOKENS, ids.shape[1]):
            step = model(ids[:, position : position + 1], past_key_values=cache, use_cache=True)
            cache = step.past_key_values
            decoded.append(step.logits)
        whole = model(ids).logits  # the same without a cache
    decode_logits = torch.cat(decoded, dim=1)
    torch.testing.assert_close(decode_logits, whole[:, PROMPT_TOKENS:], rtol=0, atol=5e-5)
    return {
        "input_ids": ids,
        "prefill_logits": prompt.logits.contiguous(),
        "decode_logits": decode_logits.contiguous(),
    }


def write_folder(
    name: str, model: PreTrainedModel, dtype: torch.dtype = torch.bfloat16, batch: int = BATCH
) -> None:
    """Write one folder anew: config.json, names and shapes, and what torch computes."""
    folder = FIXTURES / name
    with TemporaryDirectory() as scratch:
        model.config._experts_implementation = "eager"
        model.to(dtype).save_pretrained(scratch)
        write_shapes(Path(scratch), folder)
        shutil.copy(f"{scratch}/config.json", folder)
    kept = {"dtype": torch.float32, "attn_implementation": "eager"}
    read = type(model).from_pretrained(folder_of(name), **kept).eval()
    read.config._experts_implementation = "eager"
    save_file(reference(read, batch), folder / "reference.safetensors")


def main(names: list[str]) -> None:
    """Write the named folders, or every one, anew."""
    for name, (model, dtype) in models().items():
        if name in names or not names:
            write_folder(name, model, dtype)


if __name__ == "__main__":
    main(sys.argv[1:])
