"""All estimators of one cell beside each other, and what the best one is the sum of."""

import pytest
from msgspec import structs

from harness.builder.quantize.levels import LEVELS
from harness.estimator.cell import CellLengths
from harness.estimator.record import ESTIMATORS, exported_estimates, record_estimates
from harness.estimator.rules import HardwarePeaks
from harness.estimator.utilisation import utilisation
from harness.models.catalog.catalog import catalog_model
from harness.results.calibration import Constants, Drift, RatePoint
from harness.results.enums import Kind
from harness.results.metrics import METRICS

MODEL = catalog_model("smollm2-135m").structure
INT4 = LEVELS["int4"]
MEASURED = Constants(
    "measured here",
    (RatePoint(20e9, processes=5),),
    {
        "block-4-32": (RatePoint(50e9, processes=5),),
        "float-32": (RatePoint(100e9, processes=5),),
        "attention": (RatePoint(30e9, processes=5),),
    },
    operator_s=1e-6,
    threads=2,
)
REQUEST = CellLengths(128, 33)


def estimated(lengths, peaks):
    return record_estimates(MODEL, INT4, lengths, peaks)


def test_every_estimator_speaks_of_what_it_can():
    """Bandwidth alone gives the structure estimate no prefill; the rule of thumb only decodes."""
    found = estimated(REQUEST, HardwarePeaks(20e9, MEASURED)).by_metric
    assert list(found["decode_tok_s"]) == list(ESTIMATORS)
    assert list(found["prefill_tok_s"]) == ["params", "calibrated"]
    assert list(found["peak_rss_bytes"]) == ["params", "structure", "calibrated"]
    values = [value for row in found.values() for value in row.values()]
    assert all(value is not None and value > 0 for value in values)


def test_a_drift_scales_the_calibrated_estimate_alone():
    """A machine at half of everything: twice the time; the estimate without it stands beside."""
    drifted = structs.replace(MEASURED, drift=Drift(0.5, 0.5, 0.5, 3))
    before = estimated(REQUEST, HardwarePeaks(20e9, MEASURED))
    after = estimated(REQUEST, HardwarePeaks(20e9, drifted))
    for metric, values in before.by_metric.items():
        steady = values.get("calibrated")
        now = dict(after.by_metric[metric])
        raw, scaled = now.pop("as_calibrated", None), now.pop("calibrated", None)
        assert now == {name: value for name, value in values.items() if name != "calibrated"}
        if steady is None or metric.endswith("_bytes"):
            assert (raw, scaled) == (None, steady)
            continue
        assert raw == steady
        factor = 0.5 if metric.endswith("_tok_s") else 2.0
        assert scaled == pytest.approx(factor * steady)
    found = after.explanation
    assert found.drift == Drift(0.5, 0.5, 0.5, 3)
    assert before.explanation.drift is None
    for one in found.passes:
        assert one.seconds == pytest.approx(2 * one.as_calibrated_seconds)
    assert all(one.as_calibrated_seconds is None for one in before.explanation.passes)


def test_the_rules_by_hand():
    """134,515,008 weights of half a byte at 20 GB/s; a peak of 100 Gflop/s over twice as many."""
    found = estimated(REQUEST, HardwarePeaks(20e9, MEASURED)).by_metric
    assert found["decode_tok_s"]["params"] == pytest.approx(20e9 / (134_515_008 / 2))
    assert found["decode_tok_s"]["rule_of_thumb"] == pytest.approx(11e9 / (134_515_008 / 2))
    assert found["prefill_tok_s"]["params"] == pytest.approx(100e9 / (2 * 134_515_008))
    assert found["weights_bytes"]["params"] == 134_515_008 / 2
    later_ms = 32 * found["tpot_ms"]["params"]
    assert found["e2e_ms"]["params"] == pytest.approx(found["ttft_ms"]["params"] + later_ms)


def test_the_best_estimator_is_explained():
    for peaks, name in (
        (HardwarePeaks(20e9, MEASURED), "calibrated"),
        (HardwarePeaks(None, MEASURED), "calibrated"),
        (HardwarePeaks(20e9), "structure"),
    ):
        assert estimated(REQUEST, peaks).explanation.estimator == name
    nothing = estimated(REQUEST, HardwarePeaks())
    assert nothing.explanation is None
    assert set(nothing.by_metric) == {"weights_bytes", "peak_rss_bytes"}


def test_the_explanation_is_the_estimate():
    found = estimated(REQUEST, HardwarePeaks(20e9, MEASURED))
    passes = {part.pass_name: part for part in found.explanation.passes}
    for name, metric in (("prefill", "prefill_ms"), ("decode step", "tpot_ms")):
        total_ms = 1e3 * sum(term.seconds for term in passes[name].terms)
        assert found.by_metric[metric]["calibrated"] == pytest.approx(total_ms)
    memory = sum(part.bytes for part in found.explanation.memory)
    assert found.by_metric["peak_rss_bytes"]["calibrated"] == pytest.approx(memory)


def test_utilisation_falls_with_time_and_by_file_it_is_smaller():
    """int4 is held with block sums that are not on disk."""
    peaks = HardwarePeaks(20e9, MEASURED)
    found = estimated(REQUEST, peaks)
    file_bytes = found.by_metric["weights_bytes"]["structure"]
    shares = utilisation(found, INT4, peaks, file_bytes)
    assert {name: metric for name, (metric, _) in shares.items()} == {
        "mbu": "tpot_ms",
        "mbu_file": "tpot_ms",
        "mfu": "prefill_ms",
    }
    mbu, by_file = shares["mbu"][1], shares["mbu_file"][1]
    assert mbu(0.01) == pytest.approx(2 * mbu(0.02))
    assert by_file(0.01) < mbu(0.01)
    assert utilisation(found, INT4, HardwarePeaks(20e9), file_bytes) == {}


def test_every_estimate_is_of_a_metric_of_the_registry():
    """Of requests and of each kind of single pass of an exported model."""
    known = {row.name for row in METRICS}
    assert estimated(REQUEST, HardwarePeaks(20e9, MEASURED)).by_metric.keys() <= known
    for kind in Kind:
        found = exported_estimates(10**6, 4.0, kind, REQUEST, HardwarePeaks(20e9, MEASURED))
        assert found.by_metric.keys() <= known
