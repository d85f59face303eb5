"""Float rows to the packed arrays that ONNX Runtime's quantized operators read.

Assumes: a little-endian machine, as ONNX Runtime does.
"""

import numpy as np
import numpy.typing as npt

from harness.builder.quantize.grid import farthest_grid, inverse, round_to_grid, spanning_grid
from harness.builder.quantize.levels import CHANNEL_ZERO_POINT, MatrixFormat, Method
from harness.builder.quantize.search import search_grid
from harness.core.errors import ModelError

Floats = npt.NDArray[np.float32]
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
    padded = form.padded_inputs(inputs)
    if padded != inputs:
        rows = np.pad(rows, ((0, 0), (0, padded - inputs)))
    blocks = rows.reshape(outputs, -1, form.block_weights)
    lowest, highest = blocks.min(axis=2), blocks.max(axis=2)
    check_finite(name, lowest)
    check_finite(name, highest)
    if form.method is Method.SEARCH:
        grid = search_grid(blocks, lowest, highest, form)
    else:
        grid = (spanning_grid if form.zero_points else farthest_grid)(lowest, highest, form.bits)
    packed = _pack_bits(round_to_grid(blocks, grid, form.bits), form.bits)
    scales, zeros = grid
    if zeros is None:
        return packed, scales
    return packed, scales, _pack_bits(_whole_bytes(zeros, form.bits), form.bits)


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
