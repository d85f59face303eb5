"""How many parameters an architecture has and how fast its cache grows: closed formulas."""

from harness.specs.encoder import AnySpec, EncoderSpec
from harness.specs.encoder_tensors import encoder_parameters, pooler_parameters


def parameters(spec: AnySpec) -> int:
    """Return the number of trained values, exactly; a tied head is counted once.

    Of an encoder: see encoder_tensors.encoder_parameters. Of a decoder:

        q = heads·d, k = kv_heads·d
        attention = h·q + 2·h·k + q·h  [+ q + 2·k with biases]  [+ 2·d with q and k norms]
        layer = attention + 3·h·i + 2·h
        total = V·h·(1 if tied else 2) + layers·layer + h

    With h the hidden size, d the head width, i the width of the gated block, V the vocabulary.
    Rotary tables are computed, not trained, and are left out.
    Source: shapes of the transformers classes Llama, Mistral, Qwen2 and Qwen3ForCausalLM.
    """
    if isinstance(spec, EncoderSpec):
        return encoder_parameters(spec)
    hidden, head = spec.hidden_size, spec.head_dim
    query, key = spec.num_heads * head, spec.num_kv_heads * head
    attention = 2 * hidden * query + 2 * hidden * key
    attention += query + 2 * key if spec.qkv_bias else 0
    attention += 2 * head if spec.qk_norm else 0
    layer = attention + 3 * hidden * spec.intermediate_size + 2 * hidden
    tables = spec.vocab_size * hidden * (1 if spec.tied_embeddings else 2)
    return tables + spec.num_layers * layer + hidden


def built_parameters(spec: AnySpec) -> int:
    """Return how many of them a built model stores: all but the pooler of a BERT."""
    pooler = pooler_parameters(spec) if isinstance(spec, EncoderSpec) else 0
    return parameters(spec) - pooler


def kv_values_per_token(spec: AnySpec) -> int:
    """Return the values one more token adds to the cache of one sequence; 0 for an encoder.

        2 · layers · kv_heads · d

    The 2 is for keys and values. A sliding window bounds how many tokens are read, not how many
    the cache holds: it is left out here.
    """
    if isinstance(spec, EncoderSpec):
        return 0
    return 2 * spec.num_layers * spec.num_kv_heads * spec.head_dim


def kv_bytes_per_token(spec: AnySpec, bytes_per_value: int) -> int:
    """Return the bytes one more token adds to the cache of one sequence: values · bytes of one."""
    return kv_values_per_token(spec) * bytes_per_value
