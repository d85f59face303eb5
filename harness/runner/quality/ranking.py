"""What a level changes about embeddings, and about the order they put passages in. Pure numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # [texts, hidden], each of length 1


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What one model makes of a ranking set.

    Attributes:
        queries: [queries, hidden].
        passages: [passages, hidden].
    """

    queries: Vectors
    passages: Vectors

    @property
    def similarities(self) -> NDArray[np.float64]:
        """Cosine of each query and each passage [queries, passages]."""
        scores: NDArray[np.float64] = self.queries.astype(np.float64) @ self.passages.T.astype(
            np.float64
        )
        return scores


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model that scores pairs makes of a ranking set.

    Attributes:
        similarities: score of each query with each passage [queries, passages].
    """

    similarities: NDArray[np.float64]


Ranking = Embeddings | Scores


def cosines(ours: Vectors, theirs: Vectors) -> NDArray[np.float64]:
    """Cosine of each pair of vectors [texts]; rounding does not lift it above 1.

    Vectors need not have length 1: a . b / (|a| |b|), 0 where one of them is 0.
    """
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products = (a * b).sum(axis=1)
    shares: NDArray[np.float64] = np.zeros_like(products)
    np.divide(products, lengths, out=shares, where=lengths > 0)
    return shares.clip(max=1.0)


def same_nearest(ours: Ranking, theirs: Ranking) -> NDArray[np.bool_]:
    """Whether each query has the same nearest passage [queries]."""
    same: NDArray[np.bool_] = ours.similarities.argmax(1) == theirs.similarities.argmax(1)
    return same


def kendall_taus(ours: Ranking, theirs: Ranking) -> NDArray[np.float64]:
    """Kendall's tau of both orders of the passages, of each query [queries].

        tau = (pairs in the same order - pairs in the other order) / sqrt(ordered · ordered)

    Pairs that are equally near count as neither (tau-b): two texts of the same tokens have no
    order. Where one side orders no pair at all there is nothing to agree with: 0.
    Source: Kendall 1945, doi:10.1093/biomet/33.3.239.
    """
    a, b = _signs(ours.similarities), _signs(theirs.similarities)
    ordered = np.sqrt(np.abs(a).sum(axis=(1, 2)) * np.abs(b).sum(axis=(1, 2)))
    taus: NDArray[np.float64] = np.zeros_like(ordered)
    np.divide((a * b).sum(axis=(1, 2)), ordered, out=taus, where=ordered > 0)
    return taus


def _signs(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Which of each pair of passages is nearer [queries, passages, passages]: 1, 0 or -1."""
    signs: NDArray[np.float64] = np.sign(scores[:, :, None] - scores[:, None, :])
    return signs
