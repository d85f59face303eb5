"""Grids with a smaller error than those of the extremes: a search over many, block by block.

No data is needed but the weights. The largest weight of a block is worth clipping when the steps
that become finer by it serve all the others: the fewer the bits, the more.
"""

import numpy as np

from harness.builder.quantize.grid import Floats, Grid, farthest_grid, inverse, spanning_grid
from harness.builder.quantize.levels import MatrixFormat

# Steps that are tried, as shares of the one that the extremes give. Twice as many lower the error
# of models/bytelm by less than 0.5 %.
SHARES = {4: (1.05, 1.0, 0.95, 0.9), 2: (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)}
ZERO_SHIFTS = (0, -1, 1)  # tried around the zero that the extremes give
PIECE_WEIGHTS = 2**16  # 256 KiB of float32: with its copies it stays in a second-level cache


def search_grid(blocks: Floats, lowest: Floats, highest: Floats, form: MatrixFormat) -> Grid:
    """Return the grid of each block with the least weighted squared error among those tried.

        l = round(x / step), clipped to the integers that the zero leaves
        error = Σ w·x² - (Σ w·x·l)² / Σ w·l²  at  scale = Σ w·x·l / Σ w·l²
        w = |x| + sqrt(mean x²)

    That scale is the best one for the integers l, so the largest (Σ w·x·l)² / Σ w·l² wins; the
    error is never above that of the grid the extremes give, whose step is among those tried.
    Source: k-quants of ggml (make_qkx2_quants in ggml-quants.c: weights, search, least squares),
    which ONNX Runtime's quantizer has too (quant_tensor_k_quant_cpu). They solve for a minimum
    that need not be whole; MatMulNBits stores a whole zero, so its neighbours are tried instead.

    Args:
        blocks: [outputs, blocks, block], finite.
        lowest: value of each block.
        highest: value of each block.
        form: bits 2 or 4, and whether zero is free.
    """
    if form.zero_points:
        steps, zeros = spanning_grid(lowest, highest, form.bits)
    else:
        steps, _ = farthest_grid(lowest, highest, form.bits)
        zeros = np.full_like(steps, 2 ** (form.bits - 1))
    rows = max(1, PIECE_WEIGHTS // (blocks.shape[1] * blocks.shape[2]))
    for start in range(0, len(blocks), rows):
        piece = slice(start, start + rows)
        units = blocks[piece] * inverse(steps[piece])[:, :, None]
        factors, zeros[piece] = _search(units, zeros[piece], form)
        steps[piece] *= factors
    return steps, zeros if form.zero_points else None


def _search(units: Floats, middle: Floats, form: MatrixFormat) -> tuple[Floats, Floats]:
    """Return the best scale and zero of blocks that are given in steps of the extremes' grid."""
    top = np.float32(2**form.bits - 1)
    squares = np.einsum("rbw,rbw->rb", units, units) / np.float32(units.shape[2])
    weights = np.abs(units) + np.sqrt(squares)[:, :, None]
    best, factors, zeros = np.full_like(middle, -1), np.zeros_like(middle), middle.copy()
    for shift in ZERO_SHIFTS if form.zero_points else (0,):
        zero = np.clip(middle + np.float32(shift), np.float32(0), top)
        limits = -zero[:, :, None], (top - zero)[:, :, None]
        for share in SHARES[form.bits]:
            gain, factor = _fit(units, weights, np.float32(1 / share), limits)
            better = gain > best
            best = np.where(better, gain, best)
            factors = np.where(better, factor, factors)
            zeros = np.where(better, zero, zeros)
    return factors, zeros


def _fit(
    units: Floats, weights: Floats, finer: np.float32, limits: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Return (Σ w·x·l)² / Σ w·l² and Σ w·x·l / Σ w·l² of each block; 0 where every l is 0."""
    integers = units * finer
    np.rint(integers, out=integers)
    np.clip(integers, *limits, out=integers)
    weighted = weights * integers
    products = np.einsum("rbw,rbw->rb", weighted, units)
    squares = np.einsum("rbw,rbw->rb", weighted, integers)
    factors = products * inverse(squares)
    return products * factors, factors
