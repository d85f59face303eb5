"""Bytes of a model: as stored in a file, and as the runtime's kernels hold them."""

from dataclasses import dataclass

from harness.builder.quantize.layout import StoredArray, body_arrays, table_arrays
from harness.builder.quantize.levels import Form, MatrixFormat, QuantLevel
from harness.core.units import MIB
from harness.models.specs.structure import ModelStructure, ParameterGroup, Role

BLOCK_SUM_BYTES = 4  # one float32 per block, kept beside the packed bytes
SCALE_BYTES = 4
# What prepacked copies take beyond what is read: alignment of the block sums, per block; padding
# and column sums of a matrix with one scale per channel, as a share of its bytes.
# Source: anonymous memory after load, two models, onnxruntime 1.31.1 on x86.
BLOCK_PADDING_BYTES = 1.2
CHANNEL_PADDING = 0.04


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a runtime does with weights, cache and memory.

    Attributes:
        name: for a table.
        prepacks: keeps its own copy of each matrix, with block sums, and multiplies float16 in
            float32; of the mapped file scales and looked-up tables stay resident.
        cache_per_query_head: attention reads keys and values once per query head, not once per
            key head, and multiplies masked positions too.
        base_bytes: resident before a model is loaded, plus what a session needs of any model.
        arena_slack: share of the activations that the allocator keeps on top.
        source: where these come from.
    """

    name: str
    prepacks: bool
    cache_per_query_head: bool
    base_bytes: int
    arena_slack: float
    source: str


ORT_CPU = Runtime(
    "ONNX Runtime on the CPU",
    prepacks=True,
    cache_per_query_head=True,
    base_bytes=66 * MIB,
    arena_slack=0.5,
    source="measured with onnxruntime 1.31.1 on x86: 54 MiB after imports, 12 MiB a session;"
    " the arena grows in powers of two: half of the activations on average (assumed)",
)
ANY_ENGINE = Runtime(
    "weights as stored, each read once",
    prepacks=False,
    cache_per_query_head=False,
    base_bytes=200 * MIB,
    arena_slack=0.5,
    source="assumed: the least any engine must read; driver and runtime take some 200 MiB",
)


def piece_format(piece: ParameterGroup, level: QuantLevel) -> MatrixFormat | None:
    """Format of a piece at a level; None for vectors, and for what is not stored."""
    if piece.role in (Role.VECTOR, Role.UNUSED):
        return None
    if piece.role is Role.BODY:
        return level.body_format(sensitive=piece.sensitive)
    return level.head if piece.role is Role.HEAD else level.table


def stored_copy_bytes(piece: ParameterGroup, level: QuantLevel) -> int:
    """Bytes of one copy of a piece in the data file, scales and padding included."""
    return sum(array.size_bytes for array in _arrays(piece, level))


def held_copy_bytes(piece: ParameterGroup, level: QuantLevel, runtime: Runtime) -> int:
    """Bytes of one copy as the kernel reads it.

    A runtime that prepacks adds one float32 sum per block where the kernel multiplies in int8
    (accuracy level 4), and widens float16 to float32.
    Source: resident memory after load and decode rates of ONNX Runtime 1.31.1 on x86: 4 bytes per
    weight for fp32 and fp16, 1 for int8, 0.75 for int4 and 1.25 for int8 in blocks of 32.
    """
    stored = stored_copy_bytes(piece, level)
    form = piece_format(piece, level)
    if not runtime.prepacks or form is None:
        return stored
    if form.form is Form.BLOCK and form.accuracy_level == 4:
        return stored + piece.outputs * form.blocks(piece.inputs) * BLOCK_SUM_BYTES
    if form.form is Form.FLOAT:
        return 4 * piece.outputs * piece.inputs
    return stored


def kept_copy_bytes(piece: ParameterGroup, level: QuantLevel, runtime: Runtime) -> float:
    """Bytes that one copy of a piece keeps allocated: what is read, and padding beside it."""
    held, form = held_copy_bytes(piece, level, runtime), piece_format(piece, level)
    if not runtime.prepacks or form is None:
        return float(held)
    if form.form is Form.BLOCK:
        return held + BLOCK_PADDING_BYTES * piece.outputs * form.blocks(piece.inputs)
    return held * (1 + CHANNEL_PADDING) if form.form is Form.CHANNEL else float(held)


def row_bytes(piece: ParameterGroup, level: QuantLevel) -> float:
    """Bytes that looking up one row of a table reads."""
    return stored_copy_bytes(piece, level) / piece.outputs


def stored_model_bytes(model: ModelStructure, level: QuantLevel) -> int:
    """Bytes of every weight in the data file; a tied table once, every expert."""
    return sum(stored_copy_bytes(piece, level) * piece.copies for piece in model.pieces)


def _arrays(piece: ParameterGroup, level: QuantLevel) -> tuple[StoredArray, ...]:
    """Arrays of one copy of a piece."""
    if piece.role is Role.UNUSED:
        return ()
    if piece.role is Role.VECTOR:
        return (StoredArray("weight", level.activation_dtype, (piece.outputs * piece.inputs,)),)
    if piece.role is Role.BODY:
        return body_arrays(piece.outputs, piece.inputs, level, sensitive=piece.sensitive)
    is_head = piece.role is Role.HEAD
    return table_arrays(piece.outputs, piece.inputs, level, is_head=is_head)
