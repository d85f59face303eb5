"""How many parameters an architecture has and how fast its cache grows: closed formulas."""

from dataclasses import dataclass
from functools import singledispatch

from harness.models.specs.encoder import AnySpec, EncoderSpec
from harness.models.specs.encoder_tensors import encoder_parameters, pooler_parameters
from harness.models.specs.model import Experts, ModelSpec
from harness.models.specs.norms import NORM_ORDERS, NORM_VECTORS


def parameters(spec: AnySpec) -> int:
    """Return the number of trained values, exactly; a tied head is counted once.

    Of an encoder: see encoder_tensors.encoder_parameters. Of a decoder:

        q = heads·d, k = kv_heads·d
        attention = 2·h·q + 2·h·k  [+ q + 2·k with biases] [+ h with all]
                    [+ 2·d per-head | + q + k full-width query and key norms]
        block = 3·h·i gated, 2·h·i without gate  [+ i + h with all biases]
        experts = E·3·h·e + E·h router  [+ 3·h·s shared [+ h gate]]
        layer = attention + (block | experts) + norms·(1 RMS, 2 layer norm)·h
        total = V·h·(1 if tied else 2) [+ V head bias] [+ context·h learned positions]
                + layers·layer + final norm

    With h the hidden size, d the head width, i the width of the block, V the vocabulary, E experts
    of width e. Rotary tables are computed, not trained, and are left out.
    Source: shapes of the transformers classes named in harness.models.configs.architectures.
    """
    return _counts(spec).parameters


@dataclass(frozen=True, slots=True)
class _Counts:
    """What differs by the kind of an architecture; active None: all of them."""

    parameters: int
    built: int
    active: int | None
    kv_values_per_token: int


@singledispatch
def _counts(spec: AnySpec) -> _Counts:
    """Return every count of an architecture, by its kind."""
    raise TypeError(f"{spec!r} is no architecture")


@_counts.register
def _of_encoder(spec: EncoderSpec) -> _Counts:
    """All but the pooler is stored; nothing is cached."""
    total = encoder_parameters(spec)
    return _Counts(total, total - pooler_parameters(spec), None, 0)


@_counts.register
def _of_decoder(spec: ModelSpec) -> _Counts:
    """Everything is stored; of a mixture a token uses some experts."""
    total, active = _decoder_parameters(spec), None
    if spec.experts is not None:
        unused = spec.experts.count - spec.experts.active
        one = 3 * spec.hidden_size * spec.experts.intermediate_size
        active = total - spec.num_layers * unused * one
    return _Counts(total, total, active, 2 * spec.num_layers * spec.num_kv_heads * spec.head_dim)


def _decoder_parameters(spec: ModelSpec) -> int:
    """The sum that `parameters` states."""
    hidden = spec.hidden_size
    norm = NORM_VECTORS[spec.norm] * hidden
    norms = len(NORM_ORDERS[spec.norm_order].names) * norm
    block = _block(spec) if spec.experts is None else _experts(hidden, spec.experts)
    tables = spec.vocab_size * hidden * (1 if spec.tied_embeddings else 2)
    tables += spec.vocab_size if spec.head_bias else 0
    tables += spec.max_context_tokens * hidden if spec.positions == "learned" else 0
    return tables + spec.num_layers * (_attention(spec) + block + norms) + norm


def _attention(spec: ModelSpec) -> int:
    """Trained values of one layer's attention."""
    hidden, head = spec.hidden_size, spec.head_dim
    query, key = spec.num_heads * head, spec.num_kv_heads * head
    count = 2 * hidden * query + 2 * hidden * key
    count += query + 2 * key if spec.qkv_bias else 0
    count += hidden if spec.all_bias else 0
    return count + {"none": 0, "per_head": 2 * head, "full_width": query + key}[spec.qk_norm]


def _block(spec: ModelSpec) -> int:
    """Trained values of one layer's block."""
    hidden, wide = spec.hidden_size, spec.intermediate_size
    biases = wide + hidden if spec.all_bias else 0
    return (3 if spec.mlp_gated else 2) * hidden * wide + biases


def _experts(hidden: int, experts: Experts) -> int:
    """Trained values of one layer's router, experts and shared block."""
    count = experts.count * (3 * hidden * experts.intermediate_size + hidden)
    count += 3 * hidden * experts.shared_intermediate_size
    return count + (hidden if experts.shared_gate else 0)


def built_parameters(spec: AnySpec) -> int:
    """Return how many of them a built model stores: all but the pooler of a BERT."""
    return _counts(spec).built


def active_parameters(spec: AnySpec) -> int | None:
    """Return how many of them one token uses; None where it uses all: there are no experts.

    total - layers · (E - active) · 3·h·e
    """
    return _counts(spec).active


def kv_values_per_token(spec: AnySpec) -> int:
    """Return the values one more token adds to the cache of one sequence; 0 for an encoder.

        2 · layers · kv_heads · d

    The 2 is for keys and values. A sliding window bounds how many tokens are read, not how many
    the cache holds: it is left out here.
    """
    return _counts(spec).kv_values_per_token


def kv_bytes_per_token(spec: AnySpec, bytes_per_value: int) -> int:
    """Return the bytes one more token adds to the cache of one sequence: values · bytes of one."""
    return kv_values_per_token(spec) * bytes_per_value
