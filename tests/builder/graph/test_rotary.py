"""Rotary frequencies by hand; test_decoder_logits.py verifies them against torch."""

import math
from dataclasses import replace

import pytest

from harness.models.specs.model import RopeScaling
from harness.models.specs.rotary import inverse_frequencies
from tests.tiny import LLAMA

FOUR_PAIRS = replace(LLAMA, head_dim=8, rope_theta=10_000.0)  # theta^(-i/4) = 1, .1, .01, .001


def test_frequencies_fall_by_theta():
    assert inverse_frequencies(FOUR_PAIRS).tolist() == pytest.approx([1, 0.1, 0.01, 0.001])


def test_linear_scaling_divides_every_frequency():
    spec = replace(FOUR_PAIRS, rope_scaling=RopeScaling("linear", 4.0))
    assert inverse_frequencies(spec).tolist() == pytest.approx([0.25, 0.025, 0.0025, 0.00025])


def test_llama3_scaling_keeps_short_waves_and_divides_long_ones():
    """Context 200 tokens: waves in it are 200 f / 2 pi = 31.8, 3.18, 0.318, 0.0318.

    Above 4 kept, below 1 divided by 8; 3.18 lies (3.18 - 1) / 3 of the way to kept.
    """
    spec = replace(FOUR_PAIRS, rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 200))
    kept = (200 * 0.1 / (2 * math.pi) - 1) / 3
    middle = kept * 0.1 + (1 - kept) * 0.1 / 8
    expected = [1, middle, 0.01 / 8, 0.001 / 8]
    assert inverse_frequencies(spec).tolist() == pytest.approx(expected)
