"""How often a gate is wrong, over seeded draws: red of equal builds, green of a slower one."""

import math
import random
from dataclasses import replace

import pytest

from harness.analysis.compare import Comparison, Question, compare_documents, judged
from harness.analysis.gate import Outcome, judge_gates, parse_gate
from harness.results.background import Background
from harness.stats.differences import paired_difference, welch_difference
from tests.measured_documents import document, record

DRAWS = 200
QUIET = (Background(0.01, 0.0), Background(0.01, 0.0))
# At most 5 %, and 3 binomial standard errors of so many draws.
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / DRAWS)
QUESTION = Question(metrics=("tpot_ms",))
BASE = [10.0, 10.1, 9.9, 10.05, 9.95]
(ROW,) = compare_documents(
    [document(record(BASE))], [document(record(BASE), run_id="run-b")], QUESTION
).rows


def gate_says(gate, sides, difference_of, backgrounds=QUIET):
    """The outcome of a gate over lines of logarithms of times."""
    count = len(sides[0][0])
    rows = [
        replace(
            ROW,
            difference=difference_of(base, new),
            processes=(count, count),
            background=backgrounds,
        )
        for base, new in sides
    ]
    lines = tuple(judged(rows, QUESTION))
    comparison = Comparison(QUESTION, None, ("a",), ("b",), lines, ())
    (one,) = judge_gates(comparison, [parse_gate(gate)])
    return one.outcome


def rates(gate, slower_ln, noise, processes, lines, difference_of):
    """Shares of FAIL and of PASS where one line is slower by so much, and the others are not."""
    chance = random.Random(f"{gate} {slower_ln} {noise} {processes} {lines}")
    outcomes = []
    for _ in range(DRAWS):
        sides = [
            (
                [chance.gauss(0, noise) for _ in range(processes)],
                [chance.gauss(slower_ln if line == 0 else 0, noise) for _ in range(processes)],
            )
            for line in range(lines)
        ]
        outcomes.append(gate_says(gate, sides, difference_of))
    return outcomes.count(Outcome.FAIL) / DRAWS, outcomes.count(Outcome.PASS) / DRAWS


# The pairs of `bench ab`, and two runs.
cases = pytest.mark.parametrize(
    ("noise", "processes", "lines", "difference_of"),
    [
        (0.005, 5, 1, paired_difference),
        (0.02, 5, 6, paired_difference),
        (0.08, 5, 1, paired_difference),
        (0.02, 10, 2, paired_difference),
        (0.01, 5, 1, welch_difference),
        (0.04, 5, 2, welch_difference),
    ],
)


@cases
def test_a_build_beside_itself_is_seldom_red(noise, processes, lines, difference_of):
    red, _ = rates("tpot_ms:3%", 0.0, noise, processes, lines, difference_of)
    assert red <= MOST


@cases
def test_a_build_that_is_ten_percent_slower_is_seldom_green(noise, processes, lines, difference_of):
    _, green = rates("tpot_ms:3%", math.log(1.1), noise, processes, lines, difference_of)
    assert green <= MOST


@cases
def test_slower_by_just_the_limit_is_seldom_green_or_red(noise, processes, lines, difference_of):
    found = rates("tpot_ms:10%", math.log(1.1), noise, processes, lines, difference_of)
    assert max(found) <= MOST


def test_a_quiet_machine_decides():
    """0.5 % of noise: equal builds pass, and 10 % slower ones fail, nearly always."""
    _, green = rates("tpot_ms:3%", 0.0, 0.005, 5, 1, paired_difference)
    red, _ = rates("tpot_ms:3%", math.log(1.1), 0.005, 5, 1, paired_difference)
    assert min(green, red) > 0.95


@pytest.mark.parametrize("duty", [0.04, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("slower", [1.0, 1.1])
def test_a_neighbour_beside_one_side_neither_makes_red_nor_green(duty, side, slower):
    """It takes up to its duty of the side's processors, differently in every comparison."""
    chance = random.Random(f"{duty} {side} {slower}")
    outcomes = []
    for _ in range(DRAWS):
        lost = duty * chance.random()
        logs = [[chance.gauss(where, 0.01) for _ in range(5)] for where in (0.0, math.log(slower))]
        logs[side] = [one - math.log(1 - lost) for one in logs[side]]
        shares = [chance.uniform(0, 0.02), chance.uniform(0, 0.02)]
        shares[side] = duty * chance.uniform(0.8, 1.0)
        backgrounds = tuple(Background(share, 0.0) for share in shares)
        outcomes.append(gate_says("tpot_ms:3%", [tuple(logs)], paired_difference, backgrounds))
    wrong = Outcome.FAIL if slower == 1.0 else Outcome.PASS
    assert outcomes.count(wrong) / DRAWS <= MOST
