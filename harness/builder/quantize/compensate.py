"""Rounds the columns of a matrix one after the other, each making good what those before it lost.

What a matrix gives changes by x · (w - q) for each row w and its rounded values q. The squares of
that, summed over the inputs x that a matrix reads, are e · H · e with e = w - q and H = Σ x · xᵀ:
errors of inputs that move together can cancel. Column by column, what one loses is taken off those
behind it, by the shares that leave the least sum.

Source: Frantar et al. 2022, GPTQ, arXiv:2210.17323, algorithm 1: columns in their order, in the
blocks that share a scale, with the upper Cholesky factor of the inverse of H.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.builder.quantize.levels import MatrixFormat
from harness.builder.quantize.pack import Arrays, Floats, block_grid, inverse, packed_arrays

# By the name of a stored matrix: column_shares of what it reads; None: nothing is known of that.
Shares = Callable[[str], Floats | None]
# Share of the mean square of an input that is added to that of each: inputs that hardly moved
# would otherwise take any error. Source: percdamp of the authors' implementation.
DAMPING = 0.01


def column_shares(products: npt.NDArray[np.floating]) -> Floats:
    """Return U, upper triangular, of the inputs of a matrix: inverse(H + damping) = Uᵀ · U.

    Args:
        products: H, the sum of x · xᵀ over what a matrix reads [inputs, inputs], finite.
    """
    damped = np.asarray(products, np.float64).copy()
    squares = np.einsum("ii->i", damped)  # a view of the diagonal
    squares += DAMPING * squares.mean() or 1.0
    inverse = np.linalg.inv(damped)
    lower = np.linalg.cholesky((inverse + inverse.T) / 2)
    return np.ascontiguousarray(lower.T, np.float32)


def quantize_compensated(rows: Floats, form: MatrixFormat, name: str, shares: Floats) -> Arrays:
    """Quantize rows block by block, each column's error made good by the columns behind it.

    The grid of a block is chosen when its turn comes, as the method of the format says.

    Args:
        rows: [outputs, inputs]; a last block that is not full is padded with zeros.
        form: as pack.quantize_blocks takes it.
        name: of the tensor, for the message.
        shares: of column_shares, [inputs, inputs].

    Returns:
        The arrays that pack.quantize_blocks returns.

    Raises:
        ModelError: a value is not finite.
    """
    outputs, inputs = rows.shape
    form = form.fitted(inputs)
    block, middle = form.block_weights, np.float32(2 ** (form.bits - 1))
    left = np.pad(rows, ((0, 0), (0, form.padded_inputs(inputs) - inputs)))
    integers = np.empty((outputs, form.blocks(inputs), block), np.uint8)
    scales, zeros = (np.empty((outputs, form.blocks(inputs)), np.float32) for _ in range(2))
    for number in range(form.blocks(inputs)):
        begin, end = number * block, min((number + 1) * block, inputs)
        part = np.ascontiguousarray(left[:, begin : begin + block])
        scale, zero = block_grid(part[:, np.newaxis], form, name)
        scales[:, number : number + 1] = scale
        zeros[:, number : number + 1] = middle if zero is None else zero
        grid = scales[:, number], zeros[:, number]
        whole, lost = _round_columns(part.T.copy(), grid, form.bits, shares[begin:end, begin:end])
        integers[:, number] = whole.T
        left[:, end:inputs] -= lost.T @ shares[begin:end, end:]
    return packed_arrays(integers, (scales, zeros if form.zero_points else None), form)


def _round_columns(
    columns: Floats, grid: tuple[Floats, Floats], bits: int, shares: Floats
) -> tuple[Floats, Floats]:
    """Round the columns of one block in turn.

    Args:
        columns: [block, outputs], changed; those behind the inputs are padding.
        grid: scale and zero of each output.
        bits: of an integer.
        shares: of the block's own inputs.

    Returns:
        Integers [block, outputs], and what each input lost over its own share [inputs, outputs].
    """
    (scale, zero), inputs = grid, len(shares)
    finer, most = inverse(scale), np.float32(2**bits - 1)
    integers, lost = np.empty_like(columns), np.empty_like(columns[:inputs])
    for place, values in enumerate(columns):
        np.rint(values * finer + zero, out=integers[place])
        np.clip(integers[place], np.float32(0), most, out=integers[place])
        if place < inputs:
            lost[place] = (values - (integers[place] - zero) * scale) / shares[place, place]
            columns[place + 1 : inputs] -= shares[place, place + 1 :, np.newaxis] * lost[place]
    return integers, lost
