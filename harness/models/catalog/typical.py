"""A decoder of any size that looks like those that are published: for a question about counts.

Layers and widths follow the published ones of like size; between two of them both are interpolated
along the logarithm of the count, and the block after attention takes what is left of it.
"""

from functools import cache
from math import exp, log

from harness.models.catalog.target import EstimateTarget
from harness.models.specs.dissect import decoder_structure
from harness.models.specs.shapes import DecoderShape

# Parameters, layers, width. By the published ones of about that size: SmolLM2 135M and 360M,
# Qwen2.5 0.5B, Llama 3.2 1B and 3B, Llama 3 8B, Qwen2.5 14B and 32B, Llama 3 70B, Llama 3.1 405B;
# beyond them, where nothing is published, in the same direction.
TYPICAL = (
    (10**6, 4, 64),
    (10**7, 8, 192),
    (135 * 10**6, 24, 576),
    (5 * 10**8, 24, 896),
    (12 * 10**8, 24, 1_792),
    (32 * 10**8, 28, 2_816),
    (8 * 10**9, 32, 4_096),
    (14 * 10**9, 42, 5_120),
    (32 * 10**9, 60, 5_888),
    (70 * 10**9, 80, 8_192),
    (405 * 10**9, 126, 16_384),
    (10**15, 400, 262_144),
)
HEAD_DIM = 64
KEY_SHARE, MOST_KEYS = 3, 1_024  # of the width; what those from 3B on share
VOCAB, TABLE_SHARE = 128_000, 0.2  # a small model has fewer words: its table takes so much of it
CONTEXT_TOKENS = 131_072


@cache
def typical_shape(parameters: int) -> DecoderShape:
    """Return the sizes of a decoder of about so many parameters.

    Its table is also its head, so that a token reads every parameter, as of a bare count.
    """
    layers, hidden = _interpolated(parameters)
    keys = min(MOST_KEYS, max(HEAD_DIM, hidden // KEY_SHARE // HEAD_DIM * HEAD_DIM))
    vocab = min(VOCAB, max(1, round(TABLE_SHARE * parameters / hidden)))
    attention = layers * (2 * hidden * hidden + 2 * hidden * keys)
    left = parameters - vocab * hidden - attention
    return DecoderShape(
        vocab_size=vocab,
        hidden_size=hidden,
        num_layers=layers,
        num_heads=max(1, hidden // HEAD_DIM),
        num_kv_heads=keys // HEAD_DIM,
        head_dim=HEAD_DIM,
        intermediate_size=max(1, round(left / (3 * hidden * layers))),
        tied_embeddings=True,
        max_context_tokens=CONTEXT_TOKENS,
        rope_theta=500_000.0,
    )


@cache
def typical_target(parameters: int) -> EstimateTarget:
    """Return such a decoder, to be estimated."""
    name = f"typical {parameters:,}"
    structure = decoder_structure(name, typical_shape(parameters))
    return EstimateTarget(name, structure.parameters, structure, "typical of its count")


def _interpolated(parameters: int) -> tuple[int, int]:
    """Return layers and width, the width in whole heads."""
    count = min(max(parameters, TYPICAL[0][0]), TYPICAL[-1][0])
    above = next(index for index, row in enumerate(TYPICAL) if index and count <= row[0])
    low, high = TYPICAL[above - 1], TYPICAL[above]
    share = log(count / low[0]) / log(high[0] / low[0])
    layers, hidden = (
        exp(log(low[place]) + share * log(high[place] / low[place])) for place in (1, 2)
    )
    return round(layers), max(HEAD_DIM, round(hidden / HEAD_DIM) * HEAD_DIM)
