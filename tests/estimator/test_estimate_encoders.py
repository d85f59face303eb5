"""Estimates of an encoder's pass, by hand."""

import pytest

from harness.builder.quantize.levels import LEVELS
from harness.estimator.cell import CellLengths, cell_estimate
from harness.estimator.memory import ORT_CPU, peak_memory
from harness.estimator.record import record_estimates
from harness.estimator.rules import HardwarePeaks
from harness.estimator.work import Pass, pass_work
from harness.models.catalog.catalog import catalog_model
from harness.models.specs.structure import Stage
from harness.results.calibration import Constants, RatePoint

MINILM = catalog_model("all-minilm-l6-v2").structure
FP32 = LEVELS["fp32"]
BODY = 6 * (4 * 384 * 384 + 2 * 384 * 1536)  # matrix weights
PEAK = Constants(
    "measured here",
    (RatePoint(20e9),),
    rates={
        "float-32": (RatePoint(100e9, processes=2),),
        "attention": (RatePoint(50e9, processes=2),),
    },
)


def test_a_pass_multiplies_the_body_and_attends_both_ways():
    """8 texts of 128: 2·body·1024, and 4·6 layers·12 heads·32·8·128² without a mask."""
    work = pass_work(MINILM, FP32, ORT_CPU, Pass(128, 0, 8, Stage.ENCODER))
    flop = {term.name: term.flop for term in work if term.flop}
    attention = 4 * 6 * 12 * 32 * 8 * 128 * 128
    assert flop == {"body": 2 * BODY * 1024, "attention": attention}
    causal = next(term for term in work if term.name == "attention")
    assert causal.useful_flop == attention


def test_params_is_flop_over_peak():
    """2 · 22713216 · 128 tokens · 8 texts at 100 Gflop/s is 465 ms: 17.2 texts a second."""
    peaks = HardwarePeaks(20e9, PEAK)
    found = record_estimates(MINILM, FP32, CellLengths(128, 0, 0, 8), peaks).by_metric
    milliseconds = 1e3 * 2 * 22_713_216 * 128 * 8 / 100e9
    assert found["encode_ms"]["params"] == pytest.approx(milliseconds)
    assert found["encode_seq_s"]["params"] == pytest.approx(8e3 / milliseconds)
    assert "prefill_ms" not in found
    assert "rule_of_thumb" not in found["encode_ms"]


def test_params_is_never_faster_than_reading_the_weights():
    """One token: 0.45 ms of flop, but 22713216 · 4 bytes at 2 GB/s are 45.4 ms."""
    found = record_estimates(
        MINILM, FP32, CellLengths(1, 0, 0, 1), HardwarePeaks(2e9, PEAK)
    ).by_metric
    assert found["encode_ms"]["params"] == pytest.approx(1e3 * 22_713_216 * 4 / 2e9)


def test_without_a_peak_nothing_is_said_of_time():
    found = record_estimates(MINILM, FP32, CellLengths(128, 0, 0, 1), HardwarePeaks(20e9)).by_metric
    assert "encode_ms" not in found
    assert found["weights_bytes"]["structure"] == 4 * (22_713_216 - 147_840)


def test_eight_texts_cost_eight_times_the_computing():
    """No fixed costs are known here: what is computed grows with the rows."""
    one, eight = (
        cell_estimate(MINILM, FP32, PEAK, CellLengths(128, 0, 0, texts)).times["encode"]
        for texts in (1, 8)
    )
    computed = [
        sum(term.seconds for term in found.terms if term.work.flop) for found in (one, eight)
    ]
    assert computed[1] == pytest.approx(8 * computed[0])


def test_memory_has_no_cache_and_no_rotary_tables():
    names = {term.name for term in peak_memory(MINILM, FP32, prompt_tokens=128, batch=8).terms}
    assert "cache" not in names
    assert "rotary tables" not in names
    assert "rows looked up" in names
