"""The study of held-out cells: what it estimates again, and what it says of errors."""

import math

import pytest

from benchmarks.held_out import PLAN, Line, rescored
from harness.results.calibration import Constants, Pulse, RatePoint, StoredConstants
from harness.runner.settings import load_settings
from tests.report.report_documents import ENVIRONMENT, document, group

CONSTANTS = Constants(
    "measured here",
    (RatePoint(20e9, processes=4),),
    {
        name: (RatePoint(50e9, processes=4),)
        for name in ("block-4-32", "block-8-32", "float-32", "attention")
    },
    operator_s=1e-6,
    threads=2,
    pulse=Pulse(2e9, 2e9, 2e9, 12),
)
# A machine at half of that: 1 byte, operation and call a nanosecond.
READING = {
    "threads": 2,
    "bytes": 10,
    "pass_ns": [10],
    "matrix_flop": 10.0,
    "matrix_ns": [10],
    "calls": 10,
    "call_ns": [10],
}


def test_stored_cells_are_estimated_again_by_what_the_document_holds():
    """At half of every rate an estimate is half of what it was when the machine was calibrated."""
    stored = StoredConstants("f", "1.32.0", "cpu", 5, False, CONSTANTS)
    known = {
        **ENVIRONMENT,
        "calibration": [stored],
        "read_bandwidth": [{"threads": 2, "bytes_per_s": 1e9, "processes": [READING]}],
    }
    found = rescored(document(*group(), environment=known))
    decode = next(one for one in found.records if one.cell.gen and not one.cell.prompt)
    values = decode.estimates["decode_tok_s"]
    assert values["calibrated"] == pytest.approx(values["as_calibrated"] / 2)


def test_a_line_is_the_median_of_errors_and_their_mean_as_a_ratio():
    line = Line("run", "decode_tok_s", "all", "calibrated", (-0.1, 0.2, 0.05))
    assert line.median_percent == pytest.approx(10.0)
    assert line.bias == pytest.approx(math.exp(0.05))


def test_the_plan_asks_for_what_was_promised():
    """Two models, three levels, two depths, one thread and all."""
    settings = load_settings(PLAN)
    assert settings.model == ("qwen3-0.6b", "tinyllama-1.1b")
    assert len(settings.quant) == 3
    assert (settings.depth, settings.threads) == ((0, 1024), ("1", "all"))
