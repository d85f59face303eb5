"""Reads packed arrays back as the documentation of MatMulNBits says; shares no code with pack."""

import numpy as np


def dequantized(arrays, form, inputs):
    """(q - zero) · scale in float64, [outputs, inputs]; zero 2^(bits-1) where none is stored."""
    packed, scales, *zero_points = arrays
    values = unpacked(packed.reshape(*scales.shape, -1), form.bits)
    zeros = np.full(scales.shape, 2.0 ** (form.bits - 1))
    if zero_points:
        zeros = unpacked(zero_points[0], form.bits)[:, : scales.shape[1]]
    products = (values - zeros[:, :, None]) * scales[:, :, None]
    return products.reshape(len(packed), -1)[:, :inputs]


def unpacked(packed, bits):
    """The integers of the last axis, low bits first, one float64 each."""
    values = np.stack([packed >> step & (2**bits - 1) for step in range(0, 8, bits)], axis=-1)
    return values.reshape(*packed.shape[:-1], -1).astype(np.float64)


def word(form):
    """A format as the name of a test: `4b32-asym-search`."""
    zeros = "asym" if form.zero_points else "sym"
    return f"{form.bits}b{form.block_weights}-{zeros}-{form.method}"
