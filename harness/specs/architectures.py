"""Which Hugging Face classes this version builds, and what others would need."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """One supported class; its defaults are those of the class in transformers.

    Attributes:
        family: `model_type` in config.json.
        qkv_bias: query, key and value projections add a bias, whatever config.json says.
        qk_norm: each query and key head is RMS-normalised.
        default_head_dim: where config.json has none; None: hidden_size / num_attention_heads.
        kv_heads_default_to_heads: a missing num_key_value_heads means one per query head.
        window_behind_flag: sliding_window counts only with use_sliding_window, per layer.
        default_window_tokens: where config.json does not mention sliding_window; None: no window.
    """

    family: str
    qkv_bias: bool = False
    qk_norm: bool = False
    default_head_dim: int | None = None
    kv_heads_default_to_heads: bool = False
    window_behind_flag: bool = False
    default_window_tokens: int | None = None


ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("llama", kv_heads_default_to_heads=True),
    "MistralForCausalLM": Architecture("mistral", default_window_tokens=4096),
    "Qwen2ForCausalLM": Architecture("qwen2", qkv_bias=True, window_behind_flag=True),
    "Qwen3ForCausalLM": Architecture(
        "qwen3", qk_norm=True, default_head_dim=128, window_behind_flag=True
    ),
}
SUPPORTED = ", ".join(ARCHITECTURES)

# What stands between a class and the block built here; read from the transformers classes.
NEEDS = {
    "BertForSequenceClassification": "a classifier's head",
    "ExaoneForCausalLM": "other tensor names (transformer.h.*)",
    "GPT2LMHeadModel": "learned positions and LayerNorm",
    "GPTNeoXForCausalLM": "parallel blocks and LayerNorm",
    "Gemma2ForCausalLM": "GELU, four norms per layer and capped logits",
    "Gemma3ForCausalLM": "GELU, four norms per layer and a window in some layers only",
    "GemmaForCausalLM": "GELU, scaled embeddings and norms that add one",
    "GptOssForCausalLM": "experts and attention sinks",
    "GraniteForCausalLM": "multipliers on embedding, attention, residual and logits",
    "Lfm2ForCausalLM": "convolution layers",
    "Llama4ForConditionalGeneration": "experts and an image encoder",
    "MiniCPMForCausalLM": "scaled embeddings and residuals",
    "MixtralForCausalLM": "experts",
    "OlmoForCausalLM": "LayerNorm without weights",
    "Olmo2ForCausalLM": "norms after the block and full-width query and key norms",
    "Phi3ForCausalLM": "packed projections (qkv_proj, gate_up_proj) and partial or long rotary",
    "PhiForCausalLM": "parallel blocks, LayerNorm and partial rotary",
    "Qwen2MoeForCausalLM": "experts",
    "Qwen3MoeForCausalLM": "experts",
    "SmolLM3ForCausalLM": "layers without rotary positions",
    "T5ForConditionalGeneration": "an encoder beside the decoder",
    "WhisperForConditionalGeneration": "an audio encoder beside the decoder",
}
