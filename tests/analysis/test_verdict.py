"""The rule of verdicts: by hand, mirrored, and its error rates over seeded draws."""

import math
import random

import pytest

from harness.analysis.compare import Verdict, judge
from harness.stats.correction import holm
from harness.stats.differences import Difference, combine, welch_difference
from harness.stats.power import power_of_processes

MARGIN = math.log(1.03)


def difference(center, error, dof=8):
    return Difference(center, error, dof)


def test_a_clear_difference_is_told():
    """10 % with a half-width of 2.3 %: the interval leaves 0 out, the centre is beyond 3 %."""
    assert judge(difference(0.10, 0.01), MARGIN) == Verdict.WORSE
    assert judge(difference(-0.10, 0.01), MARGIN) == Verdict.BETTER


def test_a_real_difference_within_the_tolerance_is_the_same():
    """2 % with a half-width of 0.2 % is real, and inside 3 %."""
    assert judge(difference(0.02, 0.001), MARGIN) == Verdict.SAME


def test_noise_cannot_be_told():
    assert judge(difference(0.05, 0.05), MARGIN) == Verdict.INCONCLUSIVE
    assert judge(difference(0.0, 0.05), MARGIN) == Verdict.INCONCLUSIVE


def test_a_difference_at_the_edge_of_the_tolerance_cannot_be_told():
    """2.9 % with a half-width of 0.5 %: real, but neither beyond 3 % nor surely inside."""
    assert judge(difference(0.029, 0.002), MARGIN) == Verdict.INCONCLUSIVE


def test_counted_sizes_leave_no_doubt():
    exact = combine(math.log(1.05), (0.0, 0.0), (math.inf, math.inf))
    assert judge(exact, MARGIN) == Verdict.WORSE
    assert judge(combine(0.0, (0.0, 0.0), (math.inf, math.inf)), MARGIN) == Verdict.SAME


def test_exchanging_the_sides_mirrors_the_verdict():
    chance = random.Random(3)
    mirror = {Verdict.WORSE: Verdict.BETTER, Verdict.BETTER: Verdict.WORSE}
    seen = set()
    for _ in range(500):
        found = difference(chance.gauss(0, 0.06), chance.uniform(0.001, 0.04))
        verdict = judge(found, MARGIN)
        assert judge(found.mirrored(), MARGIN) == mirror.get(verdict, verdict)
        seen.add(verdict)
    assert seen == set(Verdict)


def share_of(verdicts, effect, noise, processes, draws):
    """How often the rule says one of `verdicts` of two sides of so many processes."""
    chance = random.Random(f"{effect} {noise} {processes}")
    hits = 0
    for _ in range(draws):
        base = [chance.gauss(0, noise) for _ in range(processes)]
        new = [chance.gauss(effect, noise) for _ in range(processes)]
        hits += judge(welch_difference(base, new), MARGIN) in verdicts
    return hits / draws


@pytest.mark.parametrize("noise", [0.01, 0.02, 0.03, 0.05])
@pytest.mark.parametrize("processes", [3, 5, 10])
def test_a_build_beside_itself_raises_few_false_alarms(noise, processes):
    """At most 5 %, and 3 binomial standard errors of 2000 draws (1.5 %), at any process noise."""
    draws = 2000
    found = share_of({Verdict.WORSE, Verdict.BETTER}, 0.0, noise, processes, draws)
    assert found <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_a_difference_beyond_the_tolerance_is_seldom_called_the_same(noise):
    """At a real difference of just the tolerance, at most 5 % + 3 standard errors."""
    draws = 2000
    found = share_of({Verdict.SAME}, MARGIN, noise, 5, draws)
    assert found <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize(
    ("effect", "noise", "processes"),
    [(0.05, 0.02, 5), (0.10, 0.05, 5), (0.05, 0.03, 10), (0.10, 0.03, 3), (0.05, 0.01, 2)],
)
def test_the_computed_power_is_the_real_one(effect, noise, processes):
    """Within 5 points of 1500 draws, whose own error is 1.3 points."""
    found = share_of({Verdict.WORSE}, effect, noise, processes, 1500)
    computed = power_of_processes(effect, noise, processes, least=MARGIN)
    assert abs(found - computed) <= 0.05


def test_a_whole_table_beside_itself_holds_together():
    """12 lines that are all the same: a verdict that holds together in at most 5 % of tables."""
    chance = random.Random(5)
    tables, false = 600, 0
    for _ in range(tables):
        lines = [
            welch_difference(*([chance.gauss(0, 0.03) for _ in range(5)] for _ in range(2)))
            for _ in range(12)
        ]
        adjusted = holm([line.p_value() for line in lines])
        false += any(
            p_value < 0.05 and judge(line, MARGIN) != Verdict.SAME
            for p_value, line in zip(adjusted, lines, strict=True)
        )
    assert false / tables <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / tables)
