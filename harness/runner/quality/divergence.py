"""How far one next-token distribution lies from another: pure numpy, memory bounded.

Logits come as float32 and are compared in float64, a few rows at a time, so that a vocabulary of
150,000 never stands in float64 for more than a handful of tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import MeasurementError
from harness.core.units import MIB

Logits = NDArray[np.float32]
Floats = NDArray[np.float64]

# Float64 values of one block of rows, a row at least. Three blocks are held at once; numpy takes up
# to one more for what is not contiguous.
BLOCK_BYTES = 4 * MIB
BLOCKS = 4


@dataclass(frozen=True, slots=True)
class Divergence:
    """One value per token, in order; each array has the shape [tokens].

    Attributes:
        kl_nats: divergence of the candidate's distribution from the reference's.
        same_top: whether both have the same most probable token (the first of equals).
        reference_nll_nats: negative log-likelihood of the true next token by the reference.
        candidate_nll_nats: the same by the candidate.
    """

    kl_nats: Floats
    same_top: NDArray[np.bool_]
    reference_nll_nats: Floats
    candidate_nll_nats: Floats

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return all parts as one, in order."""
        return cls(
            kl_nats=np.concatenate([part.kl_nats for part in parts]),
            same_top=np.concatenate([part.same_top for part in parts]),
            reference_nll_nats=np.concatenate([part.reference_nll_nats for part in parts]),
            candidate_nll_nats=np.concatenate([part.candidate_nll_nats for part in parts]),
        )

    @property
    def bad_token(self) -> int | None:
        """The first token whose values are no numbers; None: every one is a number."""
        values = (self.kl_nats, self.reference_nll_nats, self.candidate_nll_nats)
        bad = ~np.logical_and.reduce([np.isfinite(value) for value in values])
        return int(bad.argmax()) if bad.any() else None


def compare_logits(reference: Logits, candidate: Logits, targets: NDArray[np.int64]) -> Divergence:
    """Compare two models' logits at the same positions of the same text.

        log p(v) = z(v) - max z - ln Σ exp(z - max z)        p: reference, q: candidate
        KL(p ‖ q) = Σ p(v) · (log p(v) - log q(v))
        NLL = -log p(target)

    KL is 0 for equal logits and never negative; what rounding leaves below 0 becomes 0. Logits
    that are not finite give values that are not: see Divergence.bad_token.
    Source: Kullback & Leibler 1951, doi:10.1214/aoms/1177729694.

    Args:
        reference: float32 [tokens, vocab].
        candidate: the same shape and type.
        targets: int64 [tokens], the token that follows each position.

    Raises:
        MeasurementError: shapes or types that do not belong together, or a target outside the
            vocabulary.
    """
    _check(reference, candidate, targets)
    rows = max(1, BLOCK_BYTES // (8 * reference.shape[1]))
    blocks = [slice(start, start + rows) for start in range(0, len(targets), rows)]
    return Divergence.joined(
        [_compare_block(reference[rows], candidate[rows], targets[rows]) for rows in blocks]
    )


def true_log_probabilities(logits: Logits, targets: NDArray[np.int64]) -> Floats:
    """Ln p of the token that follows each position, float64 [tokens]; see compare_logits.

    Args:
        logits: float32 [tokens, vocab].
        targets: int64 [tokens].
    """
    rows = max(1, BLOCK_BYTES // (8 * logits.shape[1]))
    parts = []
    for start in range(0, len(targets), rows):
        with np.errstate(all="ignore"):  # what is no number stays none
            below = _below_top(logits[start : start + rows])
            taken = below[np.arange(len(below)), targets[start : start + rows]]
            parts.append(taken - np.log(np.exp(below).sum(axis=1)))
    return np.concatenate(parts)


def _compare_block(reference: Logits, candidate: Logits, targets: NDArray[np.int64]) -> Divergence:
    """Compare a few rows; holds at most BLOCKS times their size in float64.

    With s(v) = z(v) - max z and S = Σ exp s(v), log p(v) = s(v) - ln S, so that

        KL(p ‖ q) = Σ exp s_p(v) · (s_p(v) - s_q(v)) / S_p - ln S_p + ln S_q

    which takes one exponential per logit.
    """
    with np.errstate(all="ignore"):  # told by bad_token, not by a warning
        p, q = _below_top(reference), _below_top(candidate)
        odds = np.exp(q)
        q_log_sum = np.log(odds.sum(axis=1))
        np.exp(p, out=odds)
        p_sum = odds.sum(axis=1)
        p_log_sum = np.log(p_sum)
        positions = np.arange(len(targets))
        reference_nll = p_log_sum - p[positions, targets]
        candidate_nll = q_log_sum - q[positions, targets]
        p -= q
        divergence = np.einsum("tv,tv->t", odds, p) / p_sum - p_log_sum + q_log_sum
        divergence = np.maximum(divergence, 0.0)
    return Divergence(
        kl_nats=divergence,
        same_top=reference.argmax(axis=1) == candidate.argmax(axis=1),
        reference_nll_nats=reference_nll,
        candidate_nll_nats=candidate_nll,
    )


def _below_top(logits: Logits) -> Floats:
    """Logits minus the largest of their row, float64 [rows, vocab]."""
    below: Floats = logits.astype(np.float64)
    below -= below.max(axis=1, keepdims=True)
    return below


def _check(reference: Logits, candidate: Logits, targets: NDArray[np.int64]) -> None:
    """Refuse arrays that are not about the same tokens."""
    shape: tuple[Any, ...] = (*targets.shape, reference.shape[-1] if reference.ndim else 0)
    shapes_agree = reference.shape == candidate.shape == shape
    if targets.ndim != 1 or 0 in shape or not shapes_agree:
        raise MeasurementError(
            f"logits {list(reference.shape)} and {list(candidate.shape)} cannot be compared at "
            f"{list(targets.shape)} targets",
            fix="two arrays [tokens, vocab] and one target for each token",
        )
    if reference.dtype != np.float32 or candidate.dtype != np.float32:
        raise MeasurementError(
            f"logits are {reference.dtype} and {candidate.dtype}", fix="float32 for both"
        )
    if targets.min() < 0 or targets.max() >= reference.shape[1]:
        raise MeasurementError(
            f"targets {targets.min()} to {targets.max()} leave the vocabulary",
            fix=f"token ids from 0 to {reference.shape[1] - 1}",
        )
