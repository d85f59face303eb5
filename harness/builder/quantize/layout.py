"""Which arrays a matrix becomes at a level: names, types and shapes, before any value is known.

The one place that knows them: the builder reserves room by it, the stored bytes add it up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from harness.builder.quantize.levels import Form, MatrixFormat, QuantLevel, Variant
from harness.core.units import MIB
from harness.models.specs.model import AnySpec, is_sensitive
from harness.models.specs.tensors import (
    POSITIONS,
    TABLES,
    TOKENS,
    built_parameters,
    logical_tensors,
)

DTYPE_BYTES = {"float32": 4, "float16": 2, "uint16": 2, "uint8": 1, "int8": 1}
# Rows of a slice are a multiple of it: kernels take up to 64 outputs at a time, and may sum in
# another order where fewer are left.
STEP_ROWS = 128
# Of a slice's weights, at least: to read them takes some 40 times what a call costs.
LEAST_SLICE_BYTES = 6 * MIB
# K types have blocks of 256; a row that they do not divide is stored as Q5_0 in place of Q4_K, as
# Q8_0 in place of Q6_K. Source: tensor_type_fallback of llama.cpp.
K_BLOCK = 256
FALLBACK_BITS = {4: 5.5, 6: 8.5}


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of the data file.

    Attributes:
        suffix: added to the name of the matrix: `weight`, `quantized`, `scales`, `zero_points`.
        dtype: a key of DTYPE_BYTES.
        shape: as written, row-major.
    """

    suffix: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of the values, without the alignment that follows them."""
        return prod(self.shape) * DTYPE_BYTES[self.dtype]


def body_arrays(
    outputs: int, inputs: int, level: QuantLevel, *, sensitive: bool = False
) -> tuple[StoredArray, ...]:
    """Arrays of one matrix of a layer.

    Float and per-channel ones lie as [inputs, outputs]; in a static decoder as a table does.
    """
    form = level.body_format(sensitive=sensitive)
    if level.variant is Variant.STATIC:
        return row_arrays(outputs, inputs, form)
    if form.form is Form.FLOAT:
        return (StoredArray("weight", level.float_dtype, (inputs, outputs)),)
    if form.form is Form.CHANNEL:
        scales = StoredArray("scales", "float32", (outputs,))
        return StoredArray("quantized", "uint8", (inputs, outputs)), scales
    return block_arrays(outputs, inputs, form)


def table_arrays(
    rows: int, width: int, level: QuantLevel, *, is_head: bool = False
) -> tuple[StoredArray, ...]:
    """Arrays of an embedding, or of a head of its own, read by row."""
    form = level.head if is_head else level.table
    if form.form is Form.BLOCK:
        return block_arrays(rows, width, form)
    return row_arrays(rows, width, form, level.float_dtype)


def expert_arrays(
    rows: int, inputs: int, level: QuantLevel, form: MatrixFormat
) -> tuple[StoredArray, ...]:
    """Arrays of one kind of matrix of all experts of a layer, one below the other.

    The same bytes as body_arrays of each, but float and per-channel ones lie by row, too.
    """
    if form.form is Form.FLOAT:
        return (StoredArray("weight", level.float_dtype, (rows, inputs)),)
    if form.form is Form.CHANNEL:
        scales = StoredArray("scales", "float32", (rows,))
        return StoredArray("quantized", "uint8", (rows, inputs)), scales
    return block_arrays(rows, inputs, form)


def row_arrays(
    rows: int, width: int, form: MatrixFormat, float_dtype: str = "float32"
) -> tuple[StoredArray, ...]:
    """Arrays of a matrix that lies as [rows, width], one row per output.

    One scale for all is no array: it is known before the graph is written, and stands in it.
    """
    if form.form is Form.FLOAT:
        return (StoredArray("weight", float_dtype, (rows, width)),)
    quantized = StoredArray("quantized", "int8", (rows, width))
    if form.form is Form.WHOLE:
        return (quantized,)
    return quantized, StoredArray("scales", "float32", (rows,))


def block_arrays(outputs: int, inputs: int, form: MatrixFormat) -> tuple[StoredArray, ...]:
    """Arrays of a block-wise matrix: bytes [outputs, blocks, bytes per block], scales, and zeros.

    Zero points, where stored, are packed like the weights: [outputs, ceil(blocks · bits / 8)].
    Source: operator MatMulNBits of ONNX Runtime; a row that does not divide is padded.
    """
    form = form.fitted(inputs)
    blocks = form.blocks(inputs)
    block_bytes = form.block_weights * form.bits // 8
    quantized = StoredArray("quantized", "uint8", (outputs, blocks, block_bytes))
    scales = StoredArray("scales", form.scale_dtype, (outputs, blocks))
    if not form.zero_points:
        return quantized, scales
    zeros = StoredArray("zero_points", "uint8", (outputs, form.zero_point_bytes(inputs)))
    return quantized, scales, zeros


def slice_rows(outputs: int, weight_bytes: int, next_bytes: int) -> int:
    """Outputs of one slice of the largest product of a graph whose kernels' copies are saved.

    As few slices as none is larger than the weights of the next largest, or than 6 MiB, by more
    than a step of rows.

    Args:
        outputs: of the product.
        weight_bytes: of its weights, without scales.
        next_bytes: of the weights of the next largest product.
    """
    count = max(1, -(-weight_bytes // max(LEAST_SLICE_BYTES, next_bytes)))
    return min(outputs, -(-outputs // (count * STEP_ROWS)) * STEP_ROWS)


def stored_arrays(spec: AnySpec, level: QuantLevel) -> Iterator[StoredArray]:
    """Yield every array of a built model once.

    Query, key and value are stored as one matrix of the same bytes as three, so the matrices are
    taken one by one here: per-channel and block-wise formats never mix two outputs.
    """
    if level.variant is Variant.GGUF:
        yield from _gguf_arrays(spec, level)
        return
    for tensor in logical_tensors(spec):
        if len(tensor.shape) != 2:
            yield StoredArray("weight", level.activation_dtype, tensor.shape)
            continue
        outputs, inputs = tensor.shape
        if tensor.name in TABLES:
            is_head = tensor.name == "lm_head.weight"
            yield from table_arrays(outputs, inputs, level, is_head=is_head)
            continue
        sensitive = is_sensitive(tensor.name, spec.num_layers)
        yield from body_arrays(outputs, inputs, level, sensitive=sensitive)


def _gguf_arrays(spec: AnySpec, level: QuantLevel) -> Iterator[StoredArray]:
    """Yield every tensor of a GGUF file; what is no matrix, and positions, stay float32.

    The head has the format of tables, and so has the embedding where both are one.
    """
    tensors = tuple(logical_tensors(spec))
    heads = [one.name for one in tensors if one.name == "lm_head.weight"]
    (head,) = heads or [f"{TOKENS}.weight"]
    for tensor in tensors:
        if len(tensor.shape) != 2 or tensor.name == f"{POSITIONS}.weight":
            yield StoredArray("weight", "float32", tensor.shape)
            continue
        outputs, inputs = tensor.shape
        sensitive = is_sensitive(tensor.name, spec.num_layers)
        form = level.table if tensor.name == head else level.body_format(sensitive=sensitive)
        is_k = form.bits in FALLBACK_BITS and (form.bits == 6 or level.sensitive is not None)
        falls = is_k and inputs % K_BLOCK
        bits = FALLBACK_BITS[form.bits] if falls else form.bits_per_weight
        yield StoredArray("weight", "uint8", (outputs, round(inputs * bits / 8)))


def stored_bytes(spec: AnySpec, level: QuantLevel) -> int:
    """Bytes of every initializer of the built model, scales and padding weights included.

    A tied head is counted once: both uses read the same bytes. Left out: the text of the graphs,
    the alignment between arrays, and the rotary tables, which are computed when a session loads.
    """
    return sum(array.size_bytes for array in stored_arrays(spec, level))


def bits_per_weight(spec: AnySpec, level: QuantLevel) -> float:
    """Stored bits per trained parameter that is stored, overhead included.

    8 · stored_bytes / built parameters
    """
    return 8 * stored_bytes(spec, level) / built_parameters(spec)
