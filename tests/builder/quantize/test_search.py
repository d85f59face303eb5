"""Searched grids: a smaller error than the grids of the extremes, at the same bits."""

from dataclasses import replace

import numpy as np
import pytest

from harness.builder.quantize import pack
from harness.builder.quantize.levels import Form, MatrixFormat, Method
from harness.builder.quantize.pack import quantize_blocks
from tests.builder.quantize.dequantize import dequantized, unpacked, word

FORMS = [
    MatrixFormat(Form.BLOCK, bits, block, 4, zero_points, Method.SEARCH)
    for bits in (2, 4)
    for block in (16, 32, 128)
    for zero_points in (False, True)
]
SHAPES = {
    "normal": lambda random, size: random.standard_normal(size),
    "heavy": lambda random, size: random.standard_t(3, size),
    "one-sided": lambda random, size: random.exponential(1.0, size),
    "shifted": lambda random, size: 3 + random.standard_normal(size),
}


def draw(shape, seed, outputs, inputs):
    values = SHAPES[shape](np.random.default_rng(seed), (outputs, inputs))
    return values.astype(np.float32)


def block_errors(rows, form):
    """What the search minimises, of each block: Σ w·(x - dequantized)², w = |x| + rms."""
    values = dequantized(quantize_blocks(rows, form, "w"), form, rows.shape[1])
    blocks = (len(rows), -1, form.block_weights)
    exact, values = rows.reshape(blocks).astype(np.float64), values.reshape(blocks)
    weights = np.abs(exact) + np.sqrt((exact**2).mean(axis=2, keepdims=True))
    return (weights * (exact - values) ** 2).sum(axis=2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", FORMS, ids=word)
def test_no_block_is_worse_than_on_the_grid_of_its_extremes(form, shape):
    """At the same bits; over all blocks the error is at least 2 % smaller."""
    for seed in range(3):
        rows = draw(shape, seed, 40, 6 * form.block_weights)
        found = block_errors(rows, form)
        plain = block_errors(rows, replace(form, method=Method.NEAREST))
        assert (found <= plain * (1 + 1e-5)).all()
        assert found.sum() < 0.98 * plain.sum()


@pytest.mark.parametrize("form", FORMS, ids=word)
def test_scales_follow_the_weights(form):
    """Weights 1024 times as large: the same integers and zeros, scales 1024 times as large."""
    rows = draw("normal", 2, 7, 3 * form.block_weights)
    packed, scales, *zeros = quantize_blocks(rows, form, "w")
    wide_packed, wide_scales, *wide_zeros = quantize_blocks(rows * 1024, form, "w")
    np.testing.assert_array_equal(packed, wide_packed)
    np.testing.assert_array_equal(scales * 1024, wide_scales)
    np.testing.assert_array_equal(zeros, wide_zeros)


@pytest.mark.parametrize("form", FORMS, ids=word)
@pytest.mark.parametrize("value", [0.0, 1e-42, 1e30, -2.5])
def test_a_block_of_one_value_is_met_exactly(form, value):
    """Zeros stay zeros, also those whose inverse is infinite; nothing overflows."""
    rows = np.full((2, form.block_weights), value, np.float32)
    values = dequantized(quantize_blocks(rows, form, "w"), form, form.block_weights)
    np.testing.assert_allclose(values, rows, rtol=1e-6, atol=1e-37)


def test_one_large_weight_is_cut_where_it_pays():
    """2 bits, 31 weights of ±1 and one of 3: the extremes' step is 1.5, which misses all 31.

    Steps near 1 meet them and cut the 3 to 2. rms = sqrt(40/32), weights 1 + rms = 2.118 and
    3 + rms = 4.118: the step is (31 · 2.118 + 6 · 4.118) / (31 · 2.118 + 4 · 4.118) = 1.1003.
    """
    rows = np.where(np.arange(32) % 2, 1.0, -1.0).astype(np.float32)[None, :]
    rows[0, 0] = 3.0
    form = MatrixFormat(Form.BLOCK, 2, 32, 4, method=Method.SEARCH)
    packed, scales = quantize_blocks(rows, form, "w")
    assert scales[0, 0] == pytest.approx(-1.1003, abs=1e-4)
    assert unpacked(packed[0], 2)[0, :3].tolist() == [0, 1, 3]


def test_pieces_of_rows_change_nothing(monkeypatch):
    """The search runs over a few rows at a time; one row at a time gives the same bytes."""
    form, rows = FORMS[-1], draw("normal", 3, 50, 700)
    whole = quantize_blocks(rows, form, "w")
    monkeypatch.setattr(pack, "PIECE_WEIGHTS", 1)
    for first, second in zip(whole, quantize_blocks(rows, form, "w"), strict=True):
        np.testing.assert_array_equal(first, second)
