"""Float rows to the packed arrays that ONNX Runtime's quantized operators read.

Assumes: a little-endian machine, as ONNX Runtime does. The grid of a block is the scale and the
zero that its integers stand on:

    weight = (integer - zero) · scale

Blocks are [outputs, blocks, block]; their lowest and highest values, scales and zeros are
[outputs, blocks]. Where zeros are not free there are none: zero is 2^(bits-1) in every block.

Grids with a smaller error than those of the extremes are searched for, block by block. No data is
needed but the weights. The largest weight of a block is worth clipping when the steps that become
finer by it serve all the others: the fewer the bits, the more.
"""

import numpy as np
import numpy.typing as npt

from harness.builder.quantize.levels import CHANNEL_ZERO_POINT, MatrixFormat, Method
from harness.core.errors import ModelError

Floats = npt.NDArray[np.float32]
Grid = tuple[Floats, Floats | None]


def farthest_grid(lowest: Floats, highest: Floats, bits: int) -> Grid:
    """Return the symmetric grid that meets the value of each block farthest from 0 exactly.

        scale = m / -2^(bits-1), m that value, sign kept: it is what the extra negative step encodes

    Source: q4_0 of ggml (quantize_row_q4_0_ref).
    """
    farthest = np.where(highest > -lowest, highest, lowest)
    return np.asarray(farthest * np.float32(-1 / 2 ** (bits - 1)), dtype=np.float32), None


def spanning_grid(lowest: Floats, highest: Floats, bits: int) -> tuple[Floats, Floats]:
    """Return the grid from the lowest to the highest value of each block, 0 always between them.

        scale = (highest - lowest) / (2^bits - 1),  zero = round(-lowest / scale)

    Source: asymmetric rounding to nearest of ONNX Runtime's own MatMulNBits quantizer.
    """
    lowest, highest = np.minimum(lowest, np.float32(0)), np.maximum(highest, np.float32(0))
    share = np.float32(1 / (2**bits - 1))
    scales = highest * share - lowest * share  # the difference itself may overflow
    return scales, np.rint(-lowest * inverse(scales))


def round_to_grid(blocks: Floats, grid: Grid, bits: int) -> npt.NDArray[np.uint8]:
    """Return the nearest integer of each weight.

    min(max(trunc(x / scale + zero + 0.5), 0), 2^bits - 1)
    """
    scales, zeros = grid
    shifted = blocks * inverse(scales)[:, :, None]
    half = np.float32(0.5)
    shifted += np.float32(2 ** (bits - 1)) + half if zeros is None else (zeros + half)[:, :, None]
    np.clip(shifted, np.float32(0), np.float32(2**bits - 1), out=shifted)
    return shifted.astype(np.uint8)


def inverse(scales: Floats) -> Floats:
    """Return 1 / scales, and 0 where the scale is too small for that: such a block is zeros."""
    usable = np.abs(scales) >= np.finfo(np.float32).tiny
    return np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=usable)


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


Bytes = npt.NDArray[np.uint8]
Arrays = tuple[npt.NDArray[np.generic], ...]


def quantize_blocks(rows: Floats, form: MatrixFormat, name: str) -> Arrays:
    """Quantize rows block by block, on the grid that the method of the format chooses.

    Args:
        rows: [outputs, inputs]; a last block that is not full is padded with zeros.
        form: bits 2, 4 or 8, the block, zero points and method.
        name: of the tensor, for the message.

    Returns:
        The arrays of layout.block_arrays: bytes [outputs, blocks, block·bits/8] with the low bits
        first, scales [outputs, blocks], and with zero points those, packed alike in each row.

    Raises:
        ModelError: a value is not finite.
    """
    outputs, inputs = rows.shape
    form = form.fitted(inputs)
    padded = form.padded_inputs(inputs)
    if padded != inputs:
        rows = np.pad(rows, ((0, 0), (0, padded - inputs)))
    blocks = rows.reshape(outputs, -1, form.block_weights)
    grid = block_grid(blocks, form, name)
    return packed_arrays(round_to_grid(blocks, grid, form.bits), grid, form)


def block_grid(blocks: Floats, form: MatrixFormat, name: str) -> Grid:
    """Return the grid of each block [outputs, blocks, block], as the method of the format says.

    Raises:
        ModelError: a value of the tensor called `name` is not finite.
    """
    lowest, highest = extreme(blocks, np.minimum), extreme(blocks, np.maximum)
    check_finite(name, lowest)
    check_finite(name, highest)
    if form.method is Method.NEAREST:
        return (spanning_grid if form.zero_points else farthest_grid)(lowest, highest, form.bits)
    return search_grid(blocks, lowest, highest, form)


def packed_arrays(integers: Bytes, grid: Grid, form: MatrixFormat) -> Arrays:
    """Return the arrays of layout.block_arrays of integers [outputs, blocks, block] on a grid."""
    packed, (scales, zeros) = _pack_bits(integers, form.bits), grid
    if zeros is None:
        return packed, scales
    return packed, scales, _pack_bits(_whole_bytes(zeros, form.bits), form.bits)


def extreme(blocks: Floats, choose: np.ufunc) -> Floats:
    """Return the lowest or highest value of each block, as `choose.reduce(blocks, axis=2)` does.

    Neighbours are compared pair by pair, which halves a block in one flat loop: numpy's reduction
    over 32 values at a time takes eight times as long.

    Args:
        blocks: [outputs, blocks, block].
        choose: np.minimum or np.maximum.
    """
    while blocks.shape[2] % 2 == 0:
        blocks = choose(blocks[:, :, 0::2], blocks[:, :, 1::2])
    return np.asarray(blocks[:, :, 0] if blocks.shape[2] == 1 else choose.reduce(blocks, axis=2))


def _whole_bytes(zeros: Floats, bits: int) -> Bytes:
    """Return zero points [outputs, blocks] as integers, padded to whole bytes once packed."""
    missing = -zeros.shape[1] % (8 // bits)
    return np.pad(zeros.astype(np.uint8), ((0, 0), (0, missing)))


def _pack_bits(values: Bytes, bits: int) -> Bytes:
    """Pack values below 2^bits along the last axis, low bits first; 8-bit values as they are."""
    if bits == 8:
        return values
    pairs = values.view("<u2")  # the second value of a pair sits 8 bits up; bring it to `bits`
    packed = np.asarray((pairs | (pairs >> (8 - bits))).astype(np.uint8))
    if bits == 4:
        return packed
    quads = packed.view("<u2")
    return np.asarray((quads | (quads >> 4)).astype(np.uint8))


def quantize_channels(rows: Floats, name: str) -> tuple[Bytes, Floats]:
    """Quantize each row with one scale, symmetric around 128, range 1..255.

        scale = max|x| / 127,  q = round(x / scale) + 128

    Unsigned, because a signed matrix is multiplied wrongly on x86 without VNNI: there the pair
    sums of uint8 activations and int8 weights saturate at 16 bits, and products are off by 4 to
    30 % (measured on AVX2, ONNX Runtime 1.31.1; its issues 6004 and 14642).

    Args:
        rows: [outputs, inputs].
        name: of the tensor, for the message.

    Returns:
        Bytes [outputs, inputs] and scales [outputs].

    Raises:
        ModelError: a value is not finite.
    """
    scales = np.maximum(rows.max(axis=1), -rows.min(axis=1)) * np.float32(1 / 127)
    check_finite(name, scales)
    scaled = rows * inverse(scales)[:, None]
    np.rint(scaled, out=scaled)
    scaled += np.float32(CHANNEL_ZERO_POINT)
    return scaled.astype(np.uint8), scales


def check_finite(name: str, array: npt.NDArray[np.generic]) -> None:
    """Refuse a tensor that holds infinities or no numbers: it would poison every logit.

    Args:
        name: of the tensor, for the message.
        array: floats as they will be stored, or the scales computed from them.

    Raises:
        ModelError: a value is not finite.
    """
    if not np.isfinite(array).all():
        raise ModelError(
            f"tensor {name!r} holds values that are not finite as {array.dtype}",
            fix="use a wider level such as fp32, or another checkpoint",
        )
