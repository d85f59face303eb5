"""Which arrays a matrix becomes at a level: names, types and shapes, before any value is known.

The one place that knows them: the builder reserves room by it, the size formula adds it up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from harness.quantize.levels import Form, MatrixFormat, QuantLevel
from harness.specs.model import ModelSpec
from harness.specs.tensors import logical_tensors

DTYPE_BYTES = {"float32": 4, "float16": 2, "uint8": 1}


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of the data file.

    Attributes:
        suffix: added to the name of the matrix: `weight`, `quantized`, `scales`.
        dtype: `float32`, `float16` or `uint8`.
        shape: as written, row-major.
    """

    suffix: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of the values, without the alignment that follows them."""
        return prod(self.shape) * DTYPE_BYTES[self.dtype]


def body_arrays(outputs: int, inputs: int, level: QuantLevel) -> tuple[StoredArray, ...]:
    """Arrays of one matrix of a layer; float and per-channel ones lie as [inputs, outputs]."""
    if level.body.form is Form.FLOAT:
        return (StoredArray("weight", level.float_dtype, (inputs, outputs)),)
    if level.body.form is Form.CHANNEL:
        scales = StoredArray("scales", "float32", (outputs,))
        return StoredArray("quantized", "uint8", (inputs, outputs)), scales
    return block_arrays(outputs, inputs, level.body)


def table_arrays(rows: int, width: int, level: QuantLevel) -> tuple[StoredArray, ...]:
    """Arrays of an embedding or a head: [rows, width] or its blocks, read by row."""
    if level.table.form is Form.FLOAT:
        return (StoredArray("weight", level.float_dtype, (rows, width)),)
    return block_arrays(rows, width, level.table)


def block_arrays(outputs: int, inputs: int, form: MatrixFormat) -> tuple[StoredArray, ...]:
    """Arrays of a block-wise matrix: bytes [outputs, blocks, bytes per block] and scales.

    Source: operator MatMulNBits of ONNX Runtime; a row that does not divide is padded.
    """
    blocks = form.blocks(inputs)
    block_bytes = form.block_weights * form.bits // 8
    scales = StoredArray("scales", "float32", (outputs, blocks))
    return StoredArray("quantized", "uint8", (outputs, blocks, block_bytes)), scales


def stored_arrays(spec: ModelSpec, level: QuantLevel) -> Iterator[StoredArray]:
    """Yield every array of a built model once.

    Query, key and value are stored as one matrix of the same bytes as three, so the matrices are
    taken one by one here: per-channel and block-wise formats never mix two outputs.
    """
    for tensor in logical_tensors(spec):
        if len(tensor.shape) == 1:
            yield StoredArray("weight", level.float_dtype, tensor.shape)
            continue
        outputs, inputs = tensor.shape
        is_table = tensor.name in ("model.embed_tokens.weight", "lm_head.weight")
        yield from (table_arrays if is_table else body_arrays)(outputs, inputs, level)
