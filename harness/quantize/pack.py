"""Float rows to the packed arrays that ONNX Runtime's quantized operators read.

Assumes: a little-endian machine, as ONNX Runtime does.
"""

import numpy as np
import numpy.typing as npt

from harness.errors import ModelError
from harness.quantize.levels import CHANNEL_ZERO_POINT, MatrixFormat

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def quantize_blocks(rows: Floats, form: MatrixFormat, name: str) -> tuple[Bytes, Floats]:
    """Quantize rows block by block, symmetric around the middle value.

        scale = m / -2^(bits-1), m the value of the block farthest from 0, sign kept
        q = min(trunc(x / scale + 2^(bits-1) + 0.5), 2^bits - 1)

    The farthest value is met exactly: it is what the extra negative step encodes.
    Source: q4_0 of ggml (quantize_row_q4_0_ref); layout of operator MatMulNBits.

    Args:
        rows: [outputs, inputs]; a last block that is not full is padded with zeros.
        form: bits 2, 4 or 8 and the block.
        name: of the tensor, for the message.

    Returns:
        Bytes [outputs, blocks, block·bits/8], low bits first, and scales [outputs, blocks].

    Raises:
        ModelError: a value is not finite.
    """
    outputs, inputs = rows.shape
    padded = form.padded_inputs(inputs)
    if padded != inputs:
        rows = np.pad(rows, ((0, 0), (0, padded - inputs)))
    blocks = rows.reshape(outputs, -1, form.block_weights)
    scales = _block_scales(blocks, form.bits)
    check_finite(name, scales)
    inverse = _inverse(scales)
    shifted = blocks * inverse[:, :, None]
    shifted += np.float32(2 ** (form.bits - 1) + 0.5)
    np.minimum(shifted, np.float32(2**form.bits - 1), out=shifted)
    return _pack_bits(shifted.astype(np.uint8), form.bits), scales


def _block_scales(blocks: Floats, bits: int) -> Floats:
    """Return m / -2^(bits-1) for each block of [outputs, blocks, block]."""
    highest, lowest = blocks.max(axis=2), blocks.min(axis=2)
    farthest = np.where(highest > -lowest, highest, lowest)
    return np.asarray(farthest * np.float32(-1 / 2 ** (bits - 1)), dtype=np.float32)


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
    scaled = rows * _inverse(scales)[:, None]
    np.rint(scaled, out=scaled)
    scaled += np.float32(CHANNEL_ZERO_POINT)
    return scaled.astype(np.uint8), scales


def _inverse(scales: Floats) -> Floats:
    """Return 1 / scales, and 0 where the scale is too small for that: such a block is zeros."""
    usable = np.abs(scales) >= np.finfo(np.float32).tiny
    return np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=usable)


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
