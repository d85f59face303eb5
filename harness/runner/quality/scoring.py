"""Scores of one level against its reference, by chunk, up to the first value that is no number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.progress import told_parts
from harness.runner.quality.divergence import Divergence, Logits, compare_logits
from harness.runner.quality.paths import Ids, Reader
from harness.runner.quality.replies import BadToken


@dataclass(frozen=True, slots=True)
class Scored:
    """What was compared.

    Attributes:
        scores: of every chunk before the first bad one; None: the first one was bad.
        bad: the first token without a score, or None.
    """

    scores: Divergence | None
    bad: BadToken | None


def score_chunks(reference: Reader, level: Reader, chunks: Sequence[Sequence[int]]) -> Scored:
    """Read every chunk with both models and compare their logits after each token.

    The reference reads a chunk first; its logits are the only ones held, float32
    [chunk_tokens, vocab], beside one block of the level's.

    Args:
        reference: reads a chunk in one block.
        level: reads it in blocks of any size.
        chunks: token ids; all but the last are read, all but the first predicted.
    """
    parts: list[Divergence] = []
    for index, chunk in enumerate(told_parts(chunks, "chunks")):
        ids = np.array(chunk, dtype=np.int64)
        (expected,) = reference.blocks(ids[:-1])
        scores = _score_chunk(expected, level, ids)
        token = scores.bad_token
        if token is not None:
            at_reference = not np.isfinite(expected[token]).all()
            layer = (reference if at_reference else level).first_bad_layer()
            bad = BadToken(
                model="reference" if at_reference else "level",
                chunk=index,
                token=token,
                layer=layer,
            )
            return Scored(Divergence.joined(parts) if parts else None, bad)
        parts.append(scores)
    return Scored(Divergence.joined(parts), None)


def _score_chunk(expected: Logits, level: Reader, ids: Ids) -> Divergence:
    """Compare one chunk, block after block as the level gives them."""
    parts, start = [], 0
    for block in level.blocks(ids[:-1]):
        end = start + len(block)
        parts.append(compare_logits(expected[start:end], block, ids[start + 1 : end + 1]))
        start = end
    return Divergence.joined(parts)
