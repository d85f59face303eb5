"""Changes of level by windows: held against series whose changes are known."""

import math
import random
from dataclasses import replace

import pytest

from harness.stats.shifts import (
    LEAST_FOR_MEMORY,
    RULE,
    Rule,
    clipped,
    difference_at,
    find_shifts,
    memory_of,
    noise_of,
)


def white(count: int, noise: float, seed: object) -> list[float]:
    chance = random.Random(f"{seed}")
    return [chance.gauss(0, noise) for _ in range(count)]


def stepped(values: list[float], place: int, size: float) -> list[float]:
    return [value + size * (index >= place) for index, value in enumerate(values)]


def places(values: list[float], rule: Rule = RULE) -> list[int]:
    return [one.place for one in find_shifts(values, [0.0] * len(values), rule)]


@pytest.mark.parametrize("place", [12, 30, 55])
def test_a_large_step_is_found_where_it_is(place):
    """Five standard deviations: 10 % in noise of 2 %."""
    found = find_shifts(stepped(white(60, 0.02, place), place, -0.1), [0.0] * 60)
    assert [one.place for one in found] == [place]
    low, high = found[0].difference.interval()
    assert low < -0.1 < high


def test_two_steps_are_two_and_a_step_back_is_one_of_them():
    values = stepped(stepped(white(80, 0.01, "two"), 30, 0.08), 55, -0.08)
    found = find_shifts(values, [0.0] * 80)
    assert [one.place for one in found] == [30, 55]
    assert [one.difference.center > 0 for one in found] == [True, False]


@pytest.mark.parametrize("length", [20, 60])
def test_noise_alone_is_called_a_change_in_few_series(length):
    """At most 5 % are allowed; of 200 series 5 % is 10, and 17 is two standard errors more."""
    noisy = sum(bool(places(white(length, 0.03, (length, seed)))) for seed in range(200))
    assert noisy <= 16


def test_one_wild_run_is_no_change():
    values = white(40, 0.01, "wild")
    values[20] += 0.4
    assert places(values) == []


def test_a_slow_drift_is_no_change():
    """3 % over 100 runs in noise of 1 %: told of most where no line is asked about."""
    drifting = [
        [value + 0.0003 * at for at, value in enumerate(white(100, 0.01, seed))]
        for seed in range(40)
    ]
    credulous = replace(RULE, straight=-math.inf)
    assert sum(bool(places(values)) for values in drifting) <= 4
    assert sum(bool(places(values, credulous)) for values in drifting) >= 20


def test_a_change_smaller_than_the_margin_is_not_told():
    """Half a per cent without any noise is certain, and beside the question."""
    assert places(stepped([0.0] * 20, 10, 0.005)) == []
    assert places(stepped([0.0] * 20, 10, 0.02)) == [10]


def test_what_each_run_does_not_know_is_a_floor_of_the_scatter():
    """The same six values: exact ones differ, ones known to 5 % each do not."""
    values = [0.0, 0.001, 0.0, 0.05, 0.051, 0.05]
    assert len(find_shifts(values, [0.0] * 6)) == 1
    assert find_shifts(values, [0.05] * 6) == ()


def test_intervals_at_a_known_place_cover_the_difference_in_19_of_20():
    """400 series of white noise: 95 % is 380 of them, and 12 less are three standard errors."""
    covered = 0
    for seed in range(400):
        values = stepped(white(30, 0.03, ("cover", seed)), 15, 0.05)
        low, high = difference_at(values, [0.0] * 30, 0, 15, 30).interval()
        covered += low <= 0.05 <= high
    assert covered >= 365


def test_too_few_values_have_no_change():
    assert places([]) == []
    assert places([0.0]) == []
    assert places([0.0, 0.0, 1.0, 1.0]) == []


def test_noise_is_that_from_value_to_value():
    """Steps are few among the differences: the median does not see them."""
    values = stepped(white(400, 0.02, "noise"), 200, 3.0)
    assert noise_of(values) == pytest.approx(0.02, rel=0.15)
    assert noise_of([1.0]) == 0.0


def test_clipping_keeps_a_step_and_bounds_a_wild_value():
    values = stepped(white(40, 0.01, "clip"), 20, 0.3)
    values[8] = 5.0
    kept = clipped(values, 4.0)
    assert kept[8] < 0.2
    assert kept[:8] + kept[9:] == values[:8] + values[9:]


def test_memory_is_that_of_an_autoregressive_series_and_none_of_white_noise():
    chance = random.Random("memory")
    values = [0.0]
    for _ in range(2000):
        values.append(0.5 * values[-1] + chance.gauss(0, 0.02))
    assert memory_of(values) == pytest.approx(0.5, abs=0.08)
    assert memory_of(stepped(values, 1000, 0.5)) == pytest.approx(0.5, abs=0.08)
    assert memory_of(white(2000, 0.02, "none")) < 0.1
    assert memory_of(values[: LEAST_FOR_MEMORY - 1]) == 0.0


def test_neighbours_that_resemble_each_other_widen_the_interval():
    """With memory r the variance of a mean is (1 + r) / (1 - r) times as large: 3 for r = 0.5."""
    chance = random.Random("wide")
    values = [0.0]
    for _ in range(59):
        values.append(0.6 * values[-1] + chance.gauss(0, 0.02))
    assert memory_of(values) > 0.3
    found = difference_at(values, [0.0] * 60, 0, 30, 60)
    means = [sum(part) / 30 for part in (values[:30], values[30:])]
    around = sum((value - means[at >= 30]) ** 2 for at, value in enumerate(values))
    plain = math.sqrt(around / 58 * 2 / 30)
    assert found.standard_error > 1.3 * plain
