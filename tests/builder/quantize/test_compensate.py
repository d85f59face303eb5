"""Columns that make good what those before them lost."""

from dataclasses import replace

import numpy as np
import pytest

from harness.builder.quantize.compensate import column_shares, quantize_compensated
from harness.builder.quantize.levels import Form, MatrixFormat, Method
from harness.builder.quantize.pack import quantize_blocks

FORM = MatrixFormat(Form.BLOCK, 4, 32, 4, zero_points=True, method=Method.COMPENSATED)


def rows_of(outputs, inputs):
    return np.random.default_rng(7).standard_normal((outputs, inputs)).astype(np.float32)


def unpacked(arrays, form, inputs):
    """Weights that the stored arrays stand for, [outputs, inputs]."""
    form = form.fitted(inputs)
    packed, scales, *zeros = arrays
    integers = np.stack([packed & 15, packed >> 4], axis=-1).reshape(len(packed), -1)
    middle = np.full_like(scales, 8)
    if zeros:
        middle = np.stack([zeros[0] & 15, zeros[0] >> 4], axis=-1).reshape(len(packed), -1)
        middle = middle[:, : scales.shape[1]].astype(np.float32)
    wide = (np.repeat(values, form.block_weights, axis=1) for values in (middle, scales))
    zero, scale = wide
    return ((integers - zero) * scale)[:, :inputs]


def test_inputs_that_move_apart_ask_for_nothing():
    """H is a multiple of the identity: no column's error can be made good by another."""
    rows = rows_of(6, 96)
    plain = quantize_blocks(rows, FORM, "m")
    ours = quantize_compensated(rows, FORM, "m", column_shares(3 * np.eye(96)))
    for expected, found in zip(plain, ours, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "form",
    [
        FORM,
        replace(FORM, zero_points=False),
        replace(FORM, block_weights=128, fits=True),  # 96 inputs: blocks of 64, the last one padded
        replace(FORM, block_weights=64),  # a padded last block
    ],
)
def test_what_a_text_moves_together_loses_less(form):
    """Inputs of 12 causes and a little noise: the error of the products falls to a third."""
    generator = np.random.default_rng(3)
    causes = generator.standard_normal((2000, 12)) @ generator.standard_normal((12, 96))
    read = causes + 0.1 * generator.standard_normal((2000, 96))
    rows, products = rows_of(24, 96), read.T @ read
    plain = quantize_blocks(rows, form, "m")
    ours = quantize_compensated(rows, form, "m", column_shares(products))
    lost = [
        np.square((unpacked(arrays, form, 96) - rows) @ read.T).mean() for arrays in (plain, ours)
    ]
    assert [array.shape for array in ours] == [array.shape for array in plain]
    assert lost[1] < lost[0] / 3


def test_shares_are_a_factor_of_the_inverse():
    """Uᵀ · U of H + 1 % of its mean square is that one's inverse."""
    read = np.random.default_rng(5).standard_normal((50, 8))
    products = read.T @ read
    shares = column_shares(products)
    damped = products + 0.01 * np.trace(products) / 8 * np.eye(8)
    np.testing.assert_allclose(shares.T @ shares @ damped, np.eye(8), atol=1e-5)
    assert np.allclose(shares, np.triu(shares))


@pytest.mark.parametrize("dead", [[0, 5], list(range(32))])
def test_inputs_that_a_text_never_moves_are_no_trouble(dead):
    read = np.random.default_rng(5).standard_normal((50, 32))
    read[:, dead] = 0
    rows = rows_of(3, 32)
    arrays = quantize_compensated(rows, FORM, "m", column_shares(read.T @ read))
    assert np.isfinite(unpacked(arrays, FORM, 32)).all()


def test_the_matrix_it_is_given_stays_as_it_was():
    rows = rows_of(4, 64)
    before = rows.copy()
    read = np.random.default_rng(5).standard_normal((50, 64))
    quantize_compensated(rows, FORM, "m", column_shares(read.T @ read))
    np.testing.assert_array_equal(rows, before)
