"""The naive rules, by hand."""

import pytest

from harness.estimator.answer import decode_tok_s, weights_bytes


def test_weights_are_parameters_times_bits_over_eight():
    """1e9 weights of 4 bit are 5e8 bytes."""
    assert weights_bytes(1_000_000_000, 4) == 500_000_000


def test_decode_is_bandwidth_over_weight_bytes():
    """5e8 bytes at 10 GB/s take 50 ms: 20 tokens a second."""
    assert decode_tok_s(1_000_000_000, 4, 10e9) == pytest.approx(20.0)


def test_a_batch_shares_one_reading_of_the_weights():
    """Four sequences advance with each reading: 80 tokens a second."""
    assert decode_tok_s(1_000_000_000, 4, 10e9, batch=4) == pytest.approx(80.0)
