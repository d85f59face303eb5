"""Divergence by hand, against a slow second computation, and within its memory."""

import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from harness.core.errors import MeasurementError
from harness.runner.quality import divergence
from harness.runner.quality.divergence import BLOCK_BYTES, BLOCKS, Divergence, compare_logits


def logits(*rows):
    return np.array(rows, dtype=np.float32)


def ids(*values):
    return np.array(values, dtype=np.int64)


def drawn(tokens, vocab, scale=3.0, seed=0):
    generator = np.random.default_rng(seed)
    reference = (generator.standard_normal((tokens, vocab)) * scale).astype(np.float32)
    candidate = (reference + generator.standard_normal((tokens, vocab)) * 0.3).astype(np.float32)
    return reference, candidate, generator.integers(0, vocab, tokens)


def slow_scores(reference, candidate, target):
    """One token by Python floats and fsum: KL, NLL of both."""

    def log_probabilities(row):
        peak = max(row)
        total = math.fsum(math.exp(value - peak) for value in row)
        return [value - peak - math.log(total) for value in row]

    log_p, log_q = log_probabilities(reference), log_probabilities(candidate)
    kl = math.fsum(math.exp(p) * (p - q) for p, q in zip(log_p, log_q, strict=True))
    return kl, -log_p[target], -log_q[target]


def test_two_tokens_by_hand():
    """With p = (3/4, 1/4), q = (1/2, 1/2): KL = 3/4 ln 3/2 + 1/4 ln 1/2 = 0.130812 nats."""
    scores = compare_logits(logits([math.log(3), 0]), logits([5, 5]), ids(1))
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert scores.kl_nats[0] == pytest.approx(expected, abs=1e-7)
    assert expected == pytest.approx(0.130812, abs=1e-6)
    assert scores.reference_nll_nats[0] == pytest.approx(math.log(4), abs=1e-7)
    assert scores.candidate_nll_nats[0] == pytest.approx(math.log(2))


def test_divergence_is_not_symmetric():
    """The other way round: 1/2 ln 2/3 + 1/2 ln 2 = 0.143841 nats."""
    scores = compare_logits(logits([5, 5]), logits([math.log(3), 0]), ids(0))
    assert scores.kl_nats[0] == pytest.approx(0.143841, abs=1e-6)


def test_equal_logits_diverge_by_nothing():
    reference, _, targets = drawn(40, 300, scale=20)
    scores = compare_logits(reference, reference.copy(), targets)
    assert not scores.kl_nats.any()
    assert scores.same_top.all()
    np.testing.assert_array_equal(scores.reference_nll_nats, scores.candidate_nll_nats)


def test_a_constant_on_all_logits_changes_nothing():
    """exp(z + c) / Σ exp(z + c) = exp(z) / Σ exp(z); 0.5 and 8 are exact in float32."""
    reference = np.round(drawn(20, 50)[0] * 8) / 8
    scores = compare_logits(reference, reference + np.float32(8.5), ids(*range(20)))
    assert scores.kl_nats.max() < 1e-14


def test_divergence_is_never_negative():
    """Where rounding could leave -1e-17: candidates a hair's breadth away."""
    reference, _, targets = drawn(500, 64)
    scores = compare_logits(reference, np.nextafter(reference, np.float32(9)), targets)
    assert scores.kl_nats.min() >= 0


@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0])
def test_every_token_equals_the_slow_computation(scale):
    reference, candidate, targets = drawn(30, 200, scale)
    scores = compare_logits(reference, candidate, targets)
    rows = zip(reference.tolist(), candidate.tolist(), targets.tolist(), strict=True)
    expected = np.array([slow_scores(*row) for row in rows])
    np.testing.assert_allclose(scores.kl_nats, expected[:, 0], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(scores.reference_nll_nats, expected[:, 1], rtol=1e-12)
    np.testing.assert_allclose(scores.candidate_nll_nats, expected[:, 2], rtol=1e-12)


def test_top_tokens_are_compared_and_the_first_of_equals_counts():
    scores = compare_logits(
        logits([1, 2, 0], [3, 3, 0], [3, 3, 0]),
        logits([9, 1, 0], [5, 5, 1], [4, 5, 0]),
        ids(0, 0, 0),
    )
    assert scores.same_top.tolist() == [False, True, False]


def test_logits_far_from_zero_do_not_overflow():
    """exp(1e4) is beyond any float; the odds of 1e4 against 1e4 - 1 are e to 1."""
    scores = compare_logits(logits([1e4, 1e4 - 1]), logits([-1e4, -1e4]), ids(1))
    p = math.e / (1 + math.e)
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert scores.kl_nats[0] == pytest.approx(expected, abs=1e-9)


def test_blocks_change_nothing(monkeypatch):
    """7 rows at a time, or one, or all: the same bits."""
    reference, candidate, targets = drawn(23, 100)
    whole = compare_logits(reference, candidate, targets)
    for rows in (1, 7):
        monkeypatch.setattr(divergence, "BLOCK_BYTES", rows * 100 * 8)
        parts = compare_logits(reference, candidate, targets)
        np.testing.assert_array_equal(parts.kl_nats, whole.kl_nats)
        np.testing.assert_array_equal(parts.same_top, whole.same_top)


def test_a_vocabulary_of_150_000_stays_within_its_memory():
    """256 x 150,000 float32 are 146 MiB a model; float64 of both would be 586 MiB more.

    Bound: BLOCKS blocks of BLOCK_BYTES, 16 MiB, whatever the number of tokens.
    """
    reference = np.zeros((256, 150_000), dtype=np.float32)
    reference[:, ::7] = 2.0
    candidate = reference[:, ::-1]
    tracemalloc.start()
    scores = compare_logits(reference, candidate, np.arange(256))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(scores.kl_nats) == 256
    assert peak_bytes < BLOCKS * BLOCK_BYTES


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_logits_that_are_no_numbers_are_told(wrong, side):
    pair = {"reference": drawn(5, 8)[0], "candidate": drawn(5, 8)[0]}
    pair[side][3, 2] = wrong
    assert compare_logits(**pair, targets=ids(0, 0, 0, 0, 0)).bad_token == 3


def test_numbers_are_not_called_bad():
    assert compare_logits(*drawn(5, 8)).bad_token is None


def test_parts_join_in_order():
    reference, candidate, targets = drawn(6, 9)
    first = compare_logits(reference[:2], candidate[:2], targets[:2])
    rest = compare_logits(reference[2:], candidate[2:], targets[2:])
    whole = compare_logits(reference, candidate, targets)
    np.testing.assert_array_equal(Divergence.joined([first, rest]).kl_nats, whole.kl_nats)


def test_a_mixture_by_fractions():
    """Integer odds 1:2:5 against 2:2:4, as logarithms: exact shares in the formula by hand."""
    odds, others = [1, 2, 5], [2, 2, 4]
    shares = [(Fraction(a, 8), Fraction(b, 8)) for a, b in zip(odds, others, strict=True)]
    expected = sum(float(p) * math.log(p / q) for p, q in shares)
    scores = compare_logits(logits(np.log(odds)), logits(np.log(others)), ids(2))
    assert scores.kl_nats[0] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("reference", "candidate", "targets"),
    [
        (logits([1, 2]), logits([1, 2, 3]), ids(0)),
        (logits([1, 2]), logits([1, 2]), ids(0, 1)),
        (logits([1, 2]), logits([1, 2]), ids()),
        (logits([1, 2])[0], logits([1, 2])[0], ids(0)),
        (np.zeros((1, 0), np.float32), np.zeros((1, 0), np.float32), ids(0)),
        (np.zeros((1, 2)), np.zeros((1, 2)), ids(0)),
        (logits([1, 2]), logits([1, 2]), ids(2)),
        (logits([1, 2]), logits([1, 2]), ids(-1)),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(reference, candidate, targets):
    with pytest.raises(MeasurementError) as caught:
        compare_logits(reference, candidate, targets)
    assert caught.value.fix
