"""Impossible samples are refused; counters are differences."""

import os

import pytest

from harness.core.errors import EXIT_CELLS, MeasurementError
from harness.machine.meters.samples import PassSample, Usage, usage_now


@pytest.mark.parametrize(
    "impossible",
    [
        {"prefill_ns": 0},
        {"ttft_ns": -1},
        {"e2e_ns": 0},
        {"itl_ns": (5, 0, 5)},
        {"prefill_ns": 10, "ttft_ns": 9},
        {"prefill_ns": 10, "ttft_ns": 11, "e2e_ns": 10},
    ],
)
def test_no_clock_gives_this(impossible):
    with pytest.raises(MeasurementError) as caught:
        PassSample(**impossible)
    assert caught.value.exit_code == EXIT_CELLS


def test_a_possible_sample_is_kept_as_it_is():
    sample = PassSample(prefill_ns=10, ttft_ns=10, itl_ns=(1, 2), e2e_ns=13)
    assert (sample.prefill_ns, sample.itl_ns, sample.e2e_ns) == (10, (1, 2), 13)


def test_usage_is_a_difference_and_unknown_stays_unknown():
    """(50, 3, None) - (20, 1, None) = (30, 2, None)."""
    earlier = Usage(cpu_ns=20, major_faults=1, involuntary_switches=None)
    now = Usage(cpu_ns=50, major_faults=3, involuntary_switches=None)
    assert now.since(earlier) == Usage(cpu_ns=30, major_faults=2, involuntary_switches=None)


@pytest.mark.skipif(os.name != "posix", reason="getrusage")
def test_this_process_is_charged_for_its_work():
    before = usage_now()
    sum(index * index for index in range(200_000))
    spent = usage_now().since(before)
    assert spent.cpu_ns > 0
    assert spent.major_faults >= 0
    assert spent.involuntary_switches >= 0
