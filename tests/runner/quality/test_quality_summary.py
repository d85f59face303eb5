"""Metrics from per-token values: by hand, with their intervals, and what is refused."""

import math
from dataclasses import replace

import pytest

from harness.core.errors import MeasurementError
from harness.runner.quality.summary import TokenScores, summarize_path
from harness.stats.distributions import t_quantile

CHUNKS = 20


def scores(chunk_tokens=2, chunks=CHUNKS, **lists):
    """The reference's NLL 1, level's 1.5, no divergence, the same tokens; `lists` replace some."""
    tokens = chunk_tokens * chunks
    base = TokenScores([0.0] * tokens, [True] * tokens, [1.0] * tokens, [1.5] * tokens)
    return replace(base, **lists)


def alternating(low, high):
    """Chunk means low and high in turn, two equal tokens each."""
    return [value for _ in range(CHUNKS // 2) for value in (low, low, high, high)]


def test_values_that_do_not_vary():
    """NLL 1.5 nats a byte: perplexity e**1.5 and 1.5 / ln 2 = 2.164 bits."""
    quality = summarize_path("prefill", scores(), 2, tokens_are_bytes=True)
    assert (quality.path, quality.tokens, quality.chunks) == ("prefill", 40, 20)
    assert quality.nll_delta.value == quality.nll_delta.low == quality.nll_delta.high == 0.5
    assert quality.perplexity.value == pytest.approx(math.exp(1.5))
    assert quality.reference_perplexity == pytest.approx(math.e)
    assert quality.bits_per_byte.value == pytest.approx(2.164, abs=1e-3)
    assert quality.reference_bits_per_byte == pytest.approx(1 / math.log(2))
    assert quality.top1_agreement.value == quality.top1_agreement.high == 1.0


def test_bits_per_byte_are_for_bytes_only():
    quality = summarize_path("decode", scores(), 2, tokens_are_bytes=False)
    assert quality.bits_per_byte is None
    assert quality.reference_bits_per_byte is None


def test_the_interval_is_students_over_chunk_means():
    """Ten chunks of 0.1, ten of 0.3: mean 0.2, sd = 0.1 · sqrt(20 / 19), half = t · sd / sqrt(20).

    Over tokens it would be narrower by about sqrt(2): neighbours say the same twice.
    """
    quality = summarize_path("prefill", scores(kl_nats=alternating(0.1, 0.3)), 2, False)
    half = t_quantile(0.975, 19) * 0.1 * math.sqrt(20 / 19) / math.sqrt(20)
    assert quality.kld_nats.value == pytest.approx(0.2)
    assert quality.kld_nats.low == pytest.approx(0.2 - half)
    assert quality.kld_nats.high == pytest.approx(0.2 + half)


def test_ends_that_cannot_be_are_cut():
    """One chunk in 20 diverges: the plain interval would begin below 0, or end above 1."""
    kl_nats = [0.0] * 38 + [5.0] * 2
    same_top = [False] * 2 + [True] * 38
    quality = summarize_path("prefill", scores(kl_nats=kl_nats, same_top=same_top), 2, False)
    assert quality.kld_nats.low == 0.0
    assert quality.kld_nats.high > quality.kld_nats.value == pytest.approx(0.25)
    assert quality.top1_agreement.high == 1.0
    assert quality.top1_agreement.value == pytest.approx(0.95)


def test_nll_may_get_better():
    nll = alternating(0.4, 0.8)
    quality = summarize_path("prefill", scores(candidate_nll_nats=nll), 2, False)
    assert quality.nll_delta.value == pytest.approx(-0.4)
    assert quality.nll_delta.high < 0


def test_rms_delta_p_is_of_the_probability_of_the_true_token():
    """Probability 1 becomes 0.9 and 0.7 in turn: sqrt((0.01 + 0.09) / 2) = 0.2236."""
    nll = alternating(-math.log(0.9), -math.log(0.7))
    lists = {"reference_nll_nats": [0.0] * 40, "candidate_nll_nats": nll}
    found = summarize_path("prefill", scores(**lists), 2, False).rms_delta_p
    assert found.value == pytest.approx(math.sqrt(0.05))
    half = t_quantile(0.975, 19) * 0.04 * math.sqrt(20 / 19) / math.sqrt(20)
    assert found.low == pytest.approx(math.sqrt(0.05 - half))
    assert found.high == pytest.approx(math.sqrt(0.05 + half))
    same = summarize_path("prefill", scores(candidate_nll_nats=[1.0] * 40), 2, False)
    assert same.rms_delta_p.value == same.rms_delta_p.high == 0.0


def test_the_percentile_is_a_token_and_needs_459_of_them():
    """460 tokens 0 .. 459: rank ceil(0.99 · 460) = 456, the value 455."""
    kl_nats = [float(token) for token in range(460)]
    quality = summarize_path("prefill", scores(chunk_tokens=23, kl_nats=kl_nats), 23, False)
    assert quality.kld_p99_nats == 455.0
    assert summarize_path("prefill", scores(), 2, False).kld_p99_nats is None


def test_a_perplexity_beyond_any_float_is_none():
    quality = summarize_path("prefill", scores(candidate_nll_nats=[800.0] * 40), 2, False)
    assert quality.perplexity is None
    assert quality.nll_delta.value == 799.0


@pytest.mark.parametrize(
    "bad",
    [
        scores(chunks=19),
        scores(kl_nats=[0.0] * 39),
        TokenScores([], [], [], []),
        TokenScores([0.0] * 41, [True] * 41, [0.0] * 41, [0.0] * 41),
        scores(kl_nats=[math.nan] * 40),
        scores(reference_nll_nats=[math.inf] * 40),
        scores(candidate_nll_nats=[-math.inf] * 40),
    ],
    ids=["chunks", "lengths", "empty", "part", "kl", "reference", "candidate"],
)
def test_scores_that_give_no_metric_are_refused(bad):
    with pytest.raises(MeasurementError) as caught:
        summarize_path("prefill", bad, 2, False)
    assert caught.value.fix
