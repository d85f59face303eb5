"""From one value per token to the metrics of quality, each with its interval. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.core.errors import MeasurementError
from harness.results.quality import Mean, PathQuality
from harness.runner.quality.chunks import LEAST_CHUNKS
from harness.stats.intervals import percentile, t_interval

# The two ways a text passes through a model, in the order they are measured.
PREFILL, DECODE = "prefill", "decode"
PERCENTILE = 0.99


@dataclass(frozen=True, slots=True)
class TokenScores:
    """One value per scored token, chunk after chunk.

    Attributes:
        kl_nats: divergence from the reference's distribution.
        same_top: whether the most probable token is the reference's.
        reference_nll_nats: negative log-likelihood of the true token by the reference.
        candidate_nll_nats: the same by the level that is judged.
    """

    kl_nats: Sequence[float]
    same_top: Sequence[bool]
    reference_nll_nats: Sequence[float]
    candidate_nll_nats: Sequence[float]


def summarize_path(
    path: str, scores: TokenScores, chunk_tokens: int, tokens_are_bytes: bool
) -> PathQuality:
    """Compute every metric of one path.

        perplexity = exp(mean NLL)            bits per byte = mean NLL / ln 2
        RMS Δp = sqrt(mean of (p_level(true token) - p_reference(true token))²)

    Intervals are Student's t over chunk means; ends that the quantity cannot reach (a divergence
    below 0, a share outside 0 to 1) are cut. The ends of perplexity are exp of those of the NLL.
    Those of RMS Δp are the square roots of those of the mean square, cut at 0 and 1.
    Source of perplexity: Jelinek et al. 1977, doi:10.1121/1.2016299; of RMS Δp: the tool
    llama-perplexity of llama.cpp, which gives it in percent.

    Args:
        path: `prefill` or `decode`.
        scores: of whole chunks, every value finite.
        chunk_tokens: tokens of one chunk.
        tokens_are_bytes: whether one token is one byte of text.

    Raises:
        MeasurementError: lists of unlike lengths, parts of chunks, fewer than LEAST_CHUNKS
            chunks, or a value that is no number.
    """
    chunks = _check(scores, chunk_tokens)
    nll = _mean(scores.candidate_nll_nats, chunk_tokens)
    reference_nll = fmean(scores.reference_nll_nats)
    deltas = [
        candidate - reference
        for candidate, reference in zip(
            scores.candidate_nll_nats, scores.reference_nll_nats, strict=True
        )
    ]
    return PathQuality(
        path=path,
        tokens=len(scores.kl_nats),
        chunks=chunks,
        kld_nats=_cut(_mean(scores.kl_nats, chunk_tokens), 0.0, math.inf),
        kld_p99_nats=percentile(scores.kl_nats, PERCENTILE),
        top1_agreement=_cut(_mean(scores.same_top, chunk_tokens), 0.0, 1.0),
        rms_delta_p=_rms_delta_p(scores, chunk_tokens),
        nll_delta=_mean(deltas, chunk_tokens),
        perplexity=_exp_mean(nll),
        reference_perplexity=_exp(reference_nll),
        bits_per_byte=_bits(nll) if tokens_are_bytes else None,
        reference_bits_per_byte=reference_nll / math.log(2) if tokens_are_bytes else None,
    )


def _mean(values: Sequence[float], chunk_tokens: int) -> Mean:
    """Mean of the values and the t-interval over the means of their chunks."""
    means = [
        fmean(values[start : start + chunk_tokens]) for start in range(0, len(values), chunk_tokens)
    ]
    interval = t_interval(means)
    return Mean(fmean(means), interval.low, interval.high)


def _rms_delta_p(scores: TokenScores, chunk_tokens: int) -> Mean:
    """How far the probability of the true token moves, either way."""
    squares = [
        (math.exp(-candidate) - math.exp(-reference)) ** 2
        for candidate, reference in zip(
            scores.candidate_nll_nats, scores.reference_nll_nats, strict=True
        )
    ]
    found = _cut(_mean(squares, chunk_tokens), 0.0, 1.0)
    return Mean(*(math.sqrt(end) for end in (found.value, found.low, found.high)))


def _cut(mean: Mean, least: float, most: float) -> Mean:
    """The same mean, its interval cut to what the quantity can be."""
    return Mean(mean.value, max(mean.low, least), min(mean.high, most))


def _bits(nll: Mean) -> Mean:
    """Nats as bits."""
    return Mean(*(end / math.log(2) for end in (nll.value, nll.low, nll.high)))


def _exp_mean(nll: Mean) -> Mean | None:
    """Exp of a mean and of its ends; None where one of them is beyond any float."""
    ends = [_exp(end) for end in (nll.value, nll.low, nll.high)]
    value, low, high = ends
    return None if value is None or low is None or high is None else Mean(value, low, high)


def _exp(nats: float) -> float | None:
    """Exp, or None where no float holds it."""
    try:
        return math.exp(nats)
    except OverflowError:
        return None


def _check(scores: TokenScores, chunk_tokens: int) -> int:
    """Return the number of chunks; refuse what is not a whole number of them, or no number."""
    lists = (scores.kl_nats, scores.reference_nll_nats, scores.candidate_nll_nats)
    lengths = {len(values) for values in (*lists, scores.same_top)}
    chunks, rest = divmod(max(lengths), chunk_tokens)
    if len(lengths) > 1 or rest or chunks < LEAST_CHUNKS:
        raise MeasurementError(
            f"lists of {sorted(lengths)} scores are not {LEAST_CHUNKS} or more whole chunks of "
            f"{chunk_tokens} tokens",
            fix="score every token of every chunk",
        )
    if not all(math.isfinite(value) for values in lists for value in values):
        raise MeasurementError(
            "a score is no number", fix="find the logits that are not finite; the level is invalid"
        )
    return chunks
