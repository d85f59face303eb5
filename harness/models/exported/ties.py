"""Whether two stored matrices are one set of weights: a head that is the embedding once more."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from harness.models.exported.tensors import TYPES, stored_array

SAMPLED_ROWS, SAMPLED_INPUTS = 32, 128
TIED_CORRELATION = 0.8  # 4 bits keep 0.99 of it, 2 bits 0.85; weights of their own have about 0


@dataclass(frozen=True, slots=True)
class Matrix:
    """A stored matrix with as many outputs as a table has rows.

    Attributes:
        tensor: as stored.
        outputs: rows of a table: one per token.
        inputs: width.
        bits: of one value.
        block: run of inputs that share a scale; 0: at least a row.
        rows: whether the stored form has one row per output.
    """

    tensor: onnx.TensorProto
    outputs: int
    inputs: int
    bits: int
    block: int
    rows: bool


def are_tied(one: Matrix, other: Matrix, folder: Path) -> bool:
    """Whether two matrices of the same sizes hold the same values, each as well as it can.

    Of SAMPLED_ROWS rows the first values, at most as many as share a scale in both, are
    correlated; scale and zero point of a block change nothing in that but the sign, as ONNX
    Runtime's quantizer gives half of the blocks negative scales. The median decides.
    """
    if (one.outputs, one.inputs) != (other.outputs, other.inputs):
        return False
    count = min(size for size in (one.block, other.block, one.inputs, SAMPLED_INPUTS) if size)
    first, second = (_sample(matrix, count, folder) for matrix in (one, other))
    first, second = (rows - rows.mean(axis=1, keepdims=True) for rows in (first, second))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    known = np.isfinite(lengths) & (lengths > 0)
    if not known.any():
        return False
    correlations = np.sum(first * second, axis=1)[known] / lengths[known]
    return float(np.median(np.abs(correlations))) > TIED_CORRELATION


def _sample(matrix: Matrix, count: int, folder: Path) -> NDArray[np.float64]:
    """Return the first `count` values of evenly spaced rows, scales left out."""
    chosen = np.linspace(0, matrix.outputs - 1, min(SAMPLED_ROWS, matrix.outputs)).astype(int)
    values: NDArray[Any] = stored_array(matrix.tensor, folder)
    bits, name = TYPES[matrix.tensor.data_type]
    if matrix.bits == bits and bits >= 8:
        if matrix.rows:
            return values.reshape(matrix.outputs, -1)[chosen, :count].astype(np.float64)
        return values.reshape(matrix.inputs, -1)[:count, chosen].T.astype(np.float64)
    per_byte = 8 // matrix.bits
    packed = values.reshape(-1).view(np.uint8)
    if not matrix.rows:
        at = np.arange(count)[:, None] * matrix.outputs + chosen[None, :]
        return _unpacked(packed, at, matrix.bits, name).T
    row_bytes = len(packed) // matrix.outputs
    at = chosen[:, None] * row_bytes * per_byte + np.arange(count)[None, :]
    return _unpacked(packed, at, matrix.bits, name)


def _unpacked(
    packed: NDArray[np.uint8], at: NDArray[np.int64], bits: int, name: str
) -> NDArray[np.float64]:
    """Return the values at these places of packed bytes; the first lies in the lowest bits."""
    per_byte = 8 // bits
    found = (packed[at // per_byte] >> (at % per_byte * bits).astype(np.uint8)) & (2**bits - 1)
    values: NDArray[np.float64] = found.astype(np.float64)
    if name.startswith("int"):
        values[values >= 2 ** (bits - 1)] -= 2**bits
    return values
