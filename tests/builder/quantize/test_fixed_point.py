"""Grids of fixed-point numbers."""

import numpy as np
import pytest

from harness.builder.quantize.fixed_point import (
    Range,
    coarse,
    fixed_point,
    quantize_rows,
    quantize_whole,
    to_fixed_point,
    union,
    whole_scale,
)
from harness.core.errors import ModelError


def test_a_grid_spans_its_range_and_holds_zero():
    """From -1 to 4 in 255 steps: 5/255 each, and 0 is the 51st integer."""
    grid = fixed_point(Range(-1.0, 4.0), "uint8")
    assert grid.scale == np.float32(5 / 255)
    assert grid.zero == 51
    values = np.array([-1, 0, 4, 9, -9], np.float32)
    assert to_fixed_point(values, grid).tolist() == [0, 51, 255, 255, 0]


@pytest.mark.parametrize(("low", "high", "zero"), [(2.0, 6.0, 0), (-6.0, -2.0, 65_535)])
def test_a_range_is_widened_to_zero(low, high, zero):
    grid = fixed_point(Range(low, high), "uint16")
    assert grid.zero == zero
    assert grid.scale == np.float32(6 / 65_535)


def test_a_tensor_that_was_always_zero_has_a_grid():
    assert fixed_point(Range(0.0, 0.0), "uint8").scale > 0
    assert whole_scale(Range(0.0, 0.0)) > 0


def test_union_holds_all():
    assert union([Range(-1, 2), Range(0, 3)]) == Range(-1, 3)


def test_coarse_is_farther_from_zero_by_less_than_a_thousandth():
    """12 bits: what differs in the last bit of a float becomes the same number."""
    values = np.random.default_rng(1).standard_normal(100)
    for value in values.tolist():
        assert abs(value) <= abs(coarse(value)) <= abs(value) * (1 + 2**-11)
        assert np.sign(coarse(value)) == np.sign(value)
        assert coarse(coarse(value)) == coarse(value)
    assert coarse(0.0) == 0.0
    assert coarse(1.0) == 1.0
    assert coarse(np.nextafter(0.7, 1)) == coarse(0.7)


def test_rows_are_signed_bytes_around_zero():
    """The farthest value of a row is 127 steps from 0; -128 is not used."""
    rows = np.array([[0.5, -1, 0.25], [0, 0, 0]], np.float32)
    integers, scales = quantize_rows(rows, "w")
    assert integers.dtype == np.int8
    assert integers.tolist() == [[64, -127, 32], [0, 0, 0]]
    assert scales.tolist() == [np.float32(1 / 127), 0]


def test_one_scale_for_all_and_what_lies_beyond_it():
    integers = quantize_whole(np.array([[2, -4, 9]], np.float32), whole_scale(Range(-4, 2)), "w")
    assert integers.tolist() == [[64, -127, 127]]


def test_infinities_are_refused():
    bad = np.array([[np.inf]], np.float32)
    with pytest.raises(ModelError, match="'w'"):
        quantize_whole(bad, np.float32(1), "w")
    with pytest.raises(ModelError, match="'w'"):
        quantize_rows(bad, "w")
