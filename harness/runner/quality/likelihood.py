"""How likely a model finds the rest of a text: the sum over its tokens, and whether it says so."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.models.texts.task_tokens import Passage
from harness.runner.quality.divergence import Floats, Logits, true_log_probabilities
from harness.runner.quality.paths import Ids, Reader


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What a model says of a passage's judged tokens.

    Attributes:
        log_likelihood: sum of ln p over them, nats.
        is_greedy: whether each one is the likeliest at its place (the first of equals).
    """

    log_likelihood: float
    is_greedy: bool


def judge_passage(reader: Reader, passage: Passage) -> Likelihood:
    """Read a passage from an empty cache and judge its last tokens.

        ln p(continuation | context) = Σ ln p(token | all tokens before it)

    Args:
        reader: an open model.
        passage: what is read and judged.
    """
    ids = np.array(passage.ids, dtype=np.int64)
    total, is_greedy = 0.0, True
    for logits, targets in _judged(reader, ids, passage.start):
        found: Floats = true_log_probabilities(logits, targets)
        total += float(found.sum())
        is_greedy = is_greedy and bool((logits.argmax(axis=1) == targets).all())
    return Likelihood(total, is_greedy)


def _judged(reader: Reader, ids: Ids, start: int) -> Iterator[tuple[Logits, Ids]]:
    """Yield logits [rows, vocab] with the tokens that follow them, of the judged ones only."""
    place = 0
    for block in reader.blocks(ids[:-1]):
        first = max(0, start - 1 - place)
        targets = ids[place + first + 1 : place + len(block) + 1]
        if len(targets):
            yield block[first:], targets
        place += len(block)
