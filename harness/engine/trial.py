"""What a model gives for tokens that all devices are fed alike: to be compared between two."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.builder.graph.static.geometry import TextShape
from harness.engine.passes import seeded_ids
from harness.engine.protocol import Decoder, Encoder

Outputs = Sequence[NDArray[np.float32]]
PROMPT_TOKENS = 8
STEPS = 3
SHORT_TEXTS = TextShape(tokens=PROMPT_TOKENS, sequences=1 + STEPS)


def decoder_outputs(decoder: Decoder, seed: int) -> list[NDArray[np.float32]]:
    """Logits of a prompt, then of steps."""
    ids = seeded_ids(seed, 1, PROMPT_TOKENS + STEPS, decoder.vocab_size)
    pieces = [ids[:, :PROMPT_TOKENS], *np.split(ids[:, PROMPT_TOKENS:], STEPS, axis=1)]
    found = [decoder.prefill(piece).copy() for piece in pieces]
    decoder.rewind(PROMPT_TOKENS)
    decoder.prepare_steps(PROMPT_TOKENS, 1)  # and the way in which steps are timed
    decoder.next_ids[...] = ids[:, PROMPT_TOKENS]
    decoder.greedy_step()
    return [*found, decoder.last_logits.copy()]


def half_outputs(decoder: Decoder, seed: int) -> list[NDArray[np.float32]]:
    """Logits of single tokens: of a decoder that looks at what an encoder gave."""
    ids = seeded_ids(seed, 1, STEPS, decoder.vocab_size)
    decoder.fill(0, seed)
    return [decoder.prefill(ids[:, at : at + 1]).copy() for at in range(STEPS)]


def encoder_outputs(encoder: Encoder, seed: int, texts: TextShape) -> list[NDArray[np.float32]]:
    """Embeddings of one text after another, so that a stale input is seen; then of a full pass.

    A provider may be right about the first text of a pass and wrong about the others.

    Args:
        encoder: open.
        seed: of the token ids.
        texts: the largest pass.
    """
    short = min(PROMPT_TOKENS, texts.tokens)
    singles = seeded_ids(seed, 1 + STEPS, short, encoder.vocab_size)
    found = [encoder.encode(text[np.newaxis]).copy() for text in singles]
    whole = seeded_ids(seed, texts.sequences, texts.tokens, encoder.vocab_size)
    return [*found, *encoder.encode(whole).copy()]
