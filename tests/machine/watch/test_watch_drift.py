"""A speed that moves while it is measured is seen; one that only scatters is not."""

import random

import pytest

from harness.machine.watch.drift import find_drift, pass_times_ns
from harness.results.replies import Sample
from tests.replies import sample

STEADY = [100, 101, 99, 100, 100, 101, 99, 100]


def processes(count: int, times: list[int]) -> list[Sample]:
    return [sample(prefill_ns=[value + index % 2 for value in times]) for index in range(count)]


def test_steady_processes_have_no_drift():
    assert find_drift(processes(5, STEADY)) is None


def test_a_slowdown_in_the_middle_of_every_process_is_a_drift():
    """The second four passes take 110 instead of 100 ns in each of five processes."""
    found = find_drift(processes(5, [100] * 4 + [110] * 4))
    assert found is not None
    assert "+10.0%" in found


def test_a_slowdown_in_one_of_five_processes_is_none():
    """One process says nothing of the cell: the interval over the processes holds 0."""
    samples = [*processes(4, STEADY), sample(prefill_ns=[100] * 4 + [150] * 4)]
    assert find_drift(samples) is None


def test_a_slowdown_within_what_a_grade_allows_is_none():
    assert find_drift(processes(5, [1000] * 4 + [1020] * 4)) is None


@pytest.mark.parametrize("order", [[100, 102, 104, 106, 108], [108, 106, 104, 102, 100]])
def test_rounds_that_move_on_in_one_direction_are_a_drift(order):
    found = find_drift([sample(e2e_ns=[value]) for value in order])
    assert found is not None
    assert "one direction" in found


def test_four_rounds_in_order_are_chance():
    assert find_drift([sample(e2e_ns=[value]) for value in (100, 110, 120, 130)]) is None


def test_rounds_out_of_order_are_no_drift():
    assert find_drift([sample(e2e_ns=[value]) for value in (100, 102, 101, 106, 108)]) is None


def test_the_time_of_a_decode_pass_is_the_sum_of_its_steps():
    assert pass_times_ns(sample(itl_ns=[[1, 2, 3], [4, 5]])) == [6.0, 9.0]


def test_nothing_timed_is_no_drift():
    assert find_drift([]) is None
    assert find_drift([sample()] * 6) is None


def test_noise_alone_is_rarely_called_a_drift():
    """Of 400 steady cells at most 3 % are doubted: 1 % by halves, 1.7 % by the order of rounds.

    Ten passes in each of five processes; noise 5 % between passes, 3 % between processes.
    """
    chance = random.Random(11)
    doubted = 0
    for _ in range(400):
        samples = []
        for _ in range(5):
            level = chance.gauss(0, 0.03)
            times = [int(1e6 * (1 + level + chance.gauss(0, 0.05))) for _ in range(10)]
            samples.append(sample(prefill_ns=times))
        doubted += find_drift(samples) is not None
    assert doubted <= 12
