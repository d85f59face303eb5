"""Estimates from constants measured here."""

import pytest

from harness.builder.quantize.levels import LEVELS
from harness.core.errors import HarnessError, UsageError
from harness.estimator.machine import estimate_here, interval_end
from harness.estimator.timing import decode_step
from harness.models.catalog.catalog import catalog_model
from harness.models.catalog.target import catalog_target
from harness.results.calibration import Constants, RatePoint

CONSTANTS = Constants(
    "calibrated here",
    (RatePoint(100e9, 1e6, 1, 90e9, 110e9, 3), RatePoint(30e9, 1e9, 1, 27e9, 33e9, 3)),
    {
        "block-4-32": (RatePoint(200e9, 1.0, 1, 180e9, 220e9, 3),),
        "attention": (RatePoint(70e9),),
    },
    operator_s=7e-6,
    threads=2,
)


def test_the_range_is_that_of_the_constants():
    """The centre lies between both ends; at 27 GB/s a step takes longer than at 33."""
    result = estimate_here(catalog_target("smollm2-135m"), "int4", CONSTANTS, 16 * 10**9)
    centre = decode_step(catalog_model("smollm2-135m").structure, LEVELS["int4"], CONSTANTS)
    rates = result.speeds.decode_tok_s
    assert rates.low < 1 / centre.seconds < rates.high
    assert result.basis == "calibrated here"
    assert result.case.device.bandwidth_gb_s == pytest.approx(30)


def test_no_power_no_energy_no_cost():
    """Null, never 0: nothing here tells the watts or the kind of memory."""
    energy = estimate_here(catalog_target("smollm2-135m"), "int4", CONSTANTS, 16 * 10**9).energy
    assert (energy.floor_j, energy.modelled_j, energy.cost_per_million_tokens) == (None,) * 3


def test_memory_of_the_machine_decides():
    """llama-3-8b at int4 holds 6 GB: 16 GB less a quarter do, 6 GB do not."""
    assert estimate_here(catalog_target("llama-3-8b"), "int4", CONSTANTS, 16 * 10**9).sizes.fits
    assert not estimate_here(catalog_target("llama-3-8b"), "int4", CONSTANTS, 6 * 10**9).sizes.fits


def test_a_point_without_interval_stays():
    slow = interval_end(CONSTANTS, fast=False)
    assert slow.rates["attention"] == CONSTANTS.rates["attention"]
    assert slow.bandwidth[1].rate_per_s == 27e9


def test_no_bandwidth_is_refused():
    with pytest.raises(HarnessError):
        estimate_here(catalog_target("smollm2-135m"), "int4", Constants("", ()), 16 * 10**9)


def test_a_price_gives_no_cost_without_a_stated_power():
    """No power of this machine is known; a price that is none is refused all the same."""
    found = estimate_here(
        catalog_target("smollm2-135m"), "int4", CONSTANTS, 8 * 10**9, price_per_kwh=0.2
    )
    assert found.energy.cost_per_million_tokens is None
    assert any("no cost" in note for note in found.notes)
    with pytest.raises(UsageError, match="price"):
        estimate_here(
            catalog_target("smollm2-135m"), "int4", CONSTANTS, 8 * 10**9, price_per_kwh=-1.0
        )
