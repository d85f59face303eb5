"""The grid of a block: the scale and the zero that its integers stand on.

    weight = (integer - zero) · scale

Blocks are [outputs, blocks, block]; their lowest and highest values, scales and zeros are
[outputs, blocks]. Where zeros are not free there are none: zero is 2^(bits-1) in every block.
"""

import numpy as np
import numpy.typing as npt

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
