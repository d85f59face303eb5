"""Rows whose size moves and whose time does not: told only where no constant cost explains it.

A prompt of N tokens takes N times the given milliseconds (`tests.measured_documents.process`).
"""

from pathlib import Path

import pytest
from msgspec import structs

from harness.results.document import read_document
from harness.results.size_effect import judge_sizes
from tests.measured_documents import record

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
NOISE = (0.99, 1.0, 1.01, 1.005, 0.995)


def passes(test, pass_ms, estimate_ms=None, **fields):
    """A prefill row of five processes about a time of the whole pass, with its estimate."""
    tokens = int(test[2:])
    found = record([pass_ms * noise / tokens for noise in NOISE], test, **fields)
    if estimate_ms is None:
        return found
    return structs.replace(found, estimates={"prefill_ms": {"calibrated": estimate_ms}})


def grades(*records):
    return [one.trust.grade for one in judge_sizes(records)]


def test_a_size_that_is_not_fed_is_no_number():
    """Four times the tokens, estimated at four times the time, and measured in the same."""
    rows = judge_sizes([passes("pp128", 200, 210), passes("pp512", 200, 850)])
    assert [one.trust.grade for one in rows] == ["INVALID", "INVALID"]
    assert rows[0].trust.reasons[0].code == "SIZE_IGNORED"
    assert rows[0].trust.reasons[0].detail == (
        "pp128 @ d0 and pp512 @ d0 read 128 and 512 at once and take the same time (+0.0%, at most"
        " +0.0%) where at least +305% must come on top: the size is not fed"
    )


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ((200, 210), (800, 850)),  # as estimated
        ((200, 210), (300, 850)),  # far off its estimate, and yet the size is felt
        ((200, 210), (200, 240)),  # a constant cost that the estimate knows
        ((200, None), (200, None)),  # 24 tokens more, no estimate
    ],
)
def test_an_honest_constant_cost_is_no_fault(small, large):
    """Without an estimate 135e6 parameters and 24 tokens are 6.5e9 flop: 3 ms of two threads."""
    sizes = ("pp128", "pp512") if small[1] else ("pp8", "pp32")
    assert grades(passes(sizes[0], *small), passes(sizes[1], *large)) == ["A", "A"]


def test_without_an_estimate_the_least_time_of_the_products_decides():
    """2 x 135e6 x 384 flop at 2e12 a second are 52 ms: 26 % of 200 ms, and 5 % of 1000 ms."""
    assert grades(passes("pp128", 200), passes("pp512", 201)) == ["INVALID", "INVALID"]
    assert grades(passes("pp128", 200), passes("pp512", 210)) == ["A", "A"]
    assert grades(passes("pp128", 1000), passes("pp512", 1001)) == ["A", "A"]


def test_experts_that_rest_do_no_products():
    rows = [passes(test, 200, active_parameters=10_000_000) for test in ("pp128", "pp512")]
    assert grades(*rows) == ["A", "A"]


@pytest.mark.parametrize(
    "change",
    [
        {"level": "int8"},
        {"depth": 64, "workload": "pp512 @ d64"},
        {"threads": 1},
        {"provider": "WebGpuExecutionProvider", "device": "webgpu"},
    ],
)
def test_rows_that_differ_in_more_or_run_elsewhere_are_not_held_together(change):
    small, large = passes("pp128", 200, 210), passes("pp512", 200, 850)
    if "provider" in change:
        small = structs.replace(small, cell=structs.replace(small.cell, **change))
    large = structs.replace(large, cell=structs.replace(large.cell, **change))
    assert grades(small, large) == ["A", "A"]


def test_fixed_shapes_read_all_of_them_every_time():
    shapes = {"prefill_tokens": 512, "capacity_tokens": 1024}
    rows = [
        structs.replace(passes(test, 200, ms), shapes=shapes)
        for test, ms in (("pp128", 210), ("pp512", 850))
    ]
    assert grades(*rows) == ["A", "A"]


def test_nearer_sizes_and_single_processes_tell_nothing():
    assert grades(passes("pp128", 200, 210), passes("pp256", 200, 420)) == ["A", "A"]
    rows = [
        structs.replace(one, samples=one.samples[:1])
        for one in (passes("pp128", 200, 210), passes("pp512", 200, 850))
    ]
    assert grades(*rows) == ["A", "A"]


def test_a_row_that_is_right_beside_two_that_are_not():
    """The small and the middle one stand still; the largest is five times as slow as either."""
    rows = [passes("pp16", 200, 30), passes("pp128", 200, 210), passes("pp512", 1000, 850)]
    assert grades(*rows) == ["INVALID", "INVALID", "A"]


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.json")), ids=lambda path: path.stem)
def test_committed_runs_keep_their_grades(path):
    """Honest models, and all of their rows."""
    records = read_document(path).records
    assert judge_sizes(records) == records
