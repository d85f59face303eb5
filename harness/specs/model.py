"""The architecture of one decoder as numbers: everything a builder or an estimator must know."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How rotary frequencies are stretched beyond the trained context.

    Attributes:
        kind: `llama3` (frequency-dependent) or `linear`.
        factor: how many times longer the context becomes.
        low_frequency_factor: llama3 only; wavelengths above context / this are divided by factor.
        high_frequency_factor: llama3 only; wavelengths below context / this are kept.
        original_context_tokens: llama3 only; the context the model was first trained with.
    """

    kind: str
    factor: float
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_context_tokens: int = 8192


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One decoder: RMS norm, rotary attention with grouped heads, gated SiLU block.

    Attributes:
        name: the word the user types, such as `smollm2-135m`.
        family: the Hugging Face `model_type`: `llama`, `mistral`, `qwen2` or `qwen3`.
        vocab_size: rows of the embedding.
        hidden_size: width of the residual stream.
        num_layers: decoder blocks.
        num_heads: query heads.
        num_kv_heads: key and value heads.
        head_dim: width of one head; read, never derived from hidden_size / num_heads.
        intermediate_size: width of the gated block.
        tied_embeddings: whether the head is the embedding itself.
        max_context_tokens: longest sequence the model takes.
        rope_theta: base of the rotary frequencies.
        norm_epsilon: added to the mean square inside every RMS norm.
        qkv_bias: whether query, key and value projections add a bias (Qwen2).
        qk_norm: whether each query and key head is RMS-normalised (Qwen3).
        sliding_window_tokens: attention sees only this many last tokens; None: all.
        rope_scaling: stretched rotary frequencies, or None.
        published_parameters: the count its makers or independent public code state, or None.
        expected_delta: our exact count minus the published one, where known to differ.
        expected_delta_reason: why it differs; empty where expected_delta is 0.
        hf_id: `organisation/name` on the Hugging Face hub, or empty.
        license: of the published weights.
        source: where these numbers were read.
    """

    name: str
    family: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    tied_embeddings: bool
    max_context_tokens: int
    rope_theta: float
    norm_epsilon: float = 1e-5
    qkv_bias: bool = False
    qk_norm: bool = False
    sliding_window_tokens: int | None = None
    rope_scaling: RopeScaling | None = None
    published_parameters: int | None = None
    expected_delta: int = 0
    expected_delta_reason: str = ""
    hf_id: str = ""
    license: str = ""
    source: str = ""
