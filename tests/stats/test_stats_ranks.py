"""Shifts by ranks and distribution-free percentile intervals: exact distributions, coverage."""

import itertools
import math
import random

import pytest

from harness.stats.intervals import percentile_interval
from harness.stats.ranks import (
    rank_sum_counts,
    shift_of_pairs,
    shift_of_samples,
    signed_rank_counts,
)


def test_signed_ranks_by_hand():
    """Ranks 1, 2, 3: sums 0..6, of which 3 comes twice (3, and 1 + 2)."""
    assert signed_rank_counts(3) == (1, 1, 1, 2, 1, 1, 1)


def test_rank_sums_by_enumeration():
    """All 56 orders of 3 and 5 values, counted."""
    counts = [0] * 16
    for chosen in itertools.combinations(range(8), 3):
        others = [place for place in range(8) if place not in chosen]
        counts[sum(a < b for a in chosen for b in others)] += 1
    assert list(rank_sum_counts(3, 5)) == counts


def test_exact_tails_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    differences = [0.5, -0.2, 1.1, 1.4, 0.3, 0.9, 2.0]  # positive ranks: 28 - 1 = 27
    expected = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
    counts = signed_rank_counts(7)
    assert sum(counts[27:]) / 2**7 == pytest.approx(expected, rel=1e-9)
    base, new = [1, 3, 5, 7, 9, 11.0], [4, 6, 8, 10, 12, 14.0]
    larger = sum(b > a for a in base for b in new)
    expected = stats.mannwhitneyu(new, base, alternative="greater", method="exact").pvalue
    counts = rank_sum_counts(6, 6)
    assert sum(counts[larger:]) / math.comb(12, 6) == pytest.approx(expected, rel=1e-9)


def test_shift_of_pairs_by_hand():
    """Differences 1..6 have 21 means around 3.5, and the ends are the outermost, 1 and 6.

    One sign pattern of 64 on each side is 2 / 64 = 3.1 %; two on each would be 6.3 %.
    """
    found = shift_of_pairs([0.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert found is not None
    assert (found.center, found.low, found.high) == (3.5, 1.0, 6.0)


def test_five_are_too_few_for_ranks():
    assert shift_of_pairs([0.0] * 5, [1.0] * 5) is None
    assert shift_of_samples([0.0] * 6, [1.0] * 5) is None


def test_one_wild_process_hardly_moves_the_shift():
    base, new = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0], [1.2, 1.3, 1.1, 1.25, 1.15, 90.0]
    found = shift_of_samples(base, new)
    assert found is not None
    assert found.center == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("count", [6, 8, 12])
@pytest.mark.parametrize("kind", ["pairs", "samples"])
def test_rank_intervals_cover_at_least_what_they_say(count, kind):
    """Of 1500 seeded skewed draws; 3.5 standard errors of 95 % are 2 %."""
    chance = random.Random(f"ranks {count} {kind}")
    find = shift_of_pairs if kind == "pairs" else shift_of_samples
    runs, covered = 1500, 0
    for _ in range(runs):
        base = [chance.expovariate(1) for _ in range(count)]
        new = [0.4 + chance.expovariate(1) for _ in range(count)]
        found = find(base, new)
        assert found is not None
        covered += found.low <= 0.4 <= found.high
    assert covered / runs >= 0.95 - 0.02


def test_percentile_interval_agrees_with_scipy():
    """The ranks are the binomial quantiles."""
    stats = pytest.importorskip("scipy.stats")
    for count, share in ((20, 0.5), (100, 0.9), (1000, 0.99), (37, 0.3)):
        binomial = stats.binom(count, share)
        low = max(rank for rank in range(count + 1) if binomial.cdf(rank - 1) <= 0.025)
        high = min(rank for rank in range(1, count + 2) if binomial.cdf(rank - 1) >= 0.975)
        found = percentile_interval([float(rank) for rank in range(1, count + 1)], share)
        assert found == (low, high)


def test_too_few_values_have_no_percentile_interval():
    """Of 5 values the least and the largest enclose the median with 93.75 %; p99 needs hundreds."""
    assert percentile_interval([1.0, 2.0, 3.0, 4.0, 5.0], 0.5) is None
    assert percentile_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.5) == (1.0, 6.0)
    assert percentile_interval(range(100), 0.99) is None


def test_percentile_interval_covers_whatever_the_distribution():
    """p90 of exponential draws, ln 10: 2000 runs of 60 values; coverage at least 95 % - 1.8 %."""
    chance = random.Random(11)
    runs = 2000
    covered = 0
    for _ in range(runs):
        found = percentile_interval([chance.expovariate(1) for _ in range(60)], 0.9)
        assert found is not None
        covered += found[0] <= math.log(10) <= found[1]
    assert covered / runs >= 0.95 - 0.018
