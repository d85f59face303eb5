"""Streams trained weights into the data file, packed for one level.

At most one stored matrix, and a few chunks of rows of its source, are in memory at a time.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from harness.builder.graph.datafile import DataFile
from harness.builder.graph.storage import Role, StoredWeight
from harness.builder.quantize.compensate import Shares, quantize_compensated
from harness.builder.quantize.fixed_point import (
    Range,
    fixed_point,
    quantize_rows,
    quantize_whole,
    to_fixed_point,
    whole_scale,
)
from harness.builder.quantize.levels import Form, MatrixFormat, Method
from harness.builder.quantize.pack import Arrays, check_finite, quantize_blocks, quantize_channels
from harness.models.weights.store import WeightStore

CHUNK_WEIGHTS = 2**17  # 512 KiB of float32: stays in a second-level cache while it is quantized
COMPENSATED_WEIGHTS = 2**24  # 64 MiB: column by column costs less the longer the columns are
CHUNKS_AT_ONCE = 4  # whole chunks of the seeded weights, so that none is drawn twice

Floats = npt.NDArray[np.float32]
Stream = Callable[[DataFile, StoredWeight, Iterator[Floats], MatrixFormat], None]


def stream_weight(
    file: DataFile,
    weight: StoredWeight,
    store: WeightStore,
    ranges: Mapping[str, Range] | None = None,
    shares: Shares | None = None,
) -> None:
    """Read one weight from the store and write all its arrays.

    Args:
        file: open.
        weight: where its arrays lie, and their formats.
        store: the trained values.
        ranges: by name, of the weights that are stored on one grid.
        shares: of what each matrix reads while the model writes, by its name; None: not known.

    Raises:
        ModelError: a value is not finite as it is to be stored.
    """
    if weight.form is None:
        _write_vector(file, weight, store, ranges or {})
        return
    if weight.form.form is Form.WHOLE:
        _stream_whole(file, weight, _chunks(weight, store), (ranges or {})[weight.name])
        return
    read = shares(weight.name) if shares and weight.form.method is Method.COMPENSATED else None
    if read is not None:
        _stream_compensated(file, weight, _chunks(weight, store, COMPENSATED_WEIGHTS), read)
        return
    _STREAMS[weight.role][weight.form.form](file, weight, _chunks(weight, store), weight.form)


def _write_vector(
    file: DataFile, weight: StoredWeight, store: WeightStore, ranges: Mapping[str, Range]
) -> None:
    """Write tensors end to end, as floats or on the grid of their range."""
    (region,), name = weight.regions, weight.name
    parts = [store.tensor(source.name) for source in weight.sources]
    if weight.turns > 1:
        parts = [
            np.stack(parts[begin : begin + weight.turns], axis=1).reshape(-1)
            for begin in range(0, len(parts), weight.turns)
        ]
    values = np.concatenate([part.ravel() for part in parts])
    check_finite(name, values)
    if region.array.dtype.startswith("float"):
        file.write(region, _stored_floats(values, region.array.dtype, name))
    else:
        file.write(region, to_fixed_point(values, fixed_point(ranges[name], region.array.dtype)))


def _chunks(
    weight: StoredWeight, store: WeightStore, weights: int = CHUNK_WEIGHTS * CHUNKS_AT_ONCE
) -> Iterator[Floats]:
    """Yield the rows of all sources in turn, a few chunks at a time.

    Of sources that give their rows by turns (gate and up of an expert): one row of each, then the
    next.
    """
    turns = weight.turns
    for begin in range(0, len(weight.sources), turns):
        sources = weight.sources[begin : begin + turns]
        count, inputs = sources[0].shape
        step = max(1, weights // CHUNKS_AT_ONCE // inputs) * CHUNKS_AT_ONCE
        for start in range(0, count, step):
            parts = [store.rows(one.name, start, min(start + step, count)) for one in sources]
            yield parts[0] if turns == 1 else np.stack(parts, axis=1).reshape(-1, inputs)


def _stored_floats(values: Floats, dtype: str, name: str) -> npt.NDArray[np.generic]:
    """Return `values` in the stored float type.

    Raises:
        ModelError: a value is not finite in that type.
    """
    with np.errstate(over="ignore"):
        stored = values.astype(dtype, copy=False)
    check_finite(name, stored)
    return stored


def _stream_rows(
    file: DataFile, weight: StoredWeight, chunks: Iterator[Floats], _form: MatrixFormat
) -> None:
    """Write floats as they lie, [outputs, inputs]."""
    (region,), end_bytes = weight.regions, 0
    for rows in chunks:
        stored = _stored_floats(rows, region.array.dtype, weight.name)
        end_bytes = file.write(region, stored, end_bytes)


def _stream_columns(
    file: DataFile, weight: StoredWeight, chunks: Iterator[Floats], _form: MatrixFormat
) -> None:
    """Write floats transposed, [inputs, outputs], through one matrix in memory."""
    (region,), begin = weight.regions, 0
    matrix = np.empty(region.array.shape, region.array.dtype)
    for rows in chunks:
        stored = _stored_floats(rows, region.array.dtype, weight.name)
        matrix[:, begin : begin + len(rows)] = stored.T
        begin += len(rows)
    file.write(region, matrix)


def _stream_channels(
    file: DataFile, weight: StoredWeight, chunks: Iterator[Floats], _form: MatrixFormat
) -> None:
    """Write bytes transposed, [inputs, outputs], through one matrix in memory, and its scales."""
    (quantized, scales), begin = weight.regions, 0
    matrix = np.empty(quantized.array.shape, np.uint8)
    for rows in chunks:
        packed, row_scales = quantize_channels(rows, weight.name)
        matrix[:, begin : begin + len(rows)] = packed.T
        file.write(scales, row_scales, begin * row_scales.itemsize)
        begin += len(rows)
    file.write(quantized, matrix)


def _stream_channel_rows(
    file: DataFile, weight: StoredWeight, chunks: Iterator[Floats], _form: MatrixFormat
) -> None:
    """Write bytes as they lie, [outputs, inputs], and a scale per row."""
    end_bytes = [0, 0]
    for rows in chunks:
        arrays: Arrays = quantize_channels(rows, weight.name)
        for number, array in enumerate(arrays):
            end_bytes[number] = file.write(weight.regions[number], array, end_bytes[number])


def _stream_signed_rows(
    file: DataFile, weight: StoredWeight, chunks: Iterator[Floats], _form: MatrixFormat
) -> None:
    """Write signed bytes as they lie, [outputs, inputs], and a scale per row."""
    end_bytes = [0, 0]
    for rows in chunks:
        arrays: Arrays = quantize_rows(rows, weight.name)
        for number, array in enumerate(arrays):
            end_bytes[number] = file.write(weight.regions[number], array, end_bytes[number])


def _stream_whole(
    file: DataFile, weight: StoredWeight, chunks: Iterator[Floats], values: Range
) -> None:
    """Write signed bytes as they lie, all on the scale of one range."""
    (region,), end_bytes, scale = weight.regions, 0, whole_scale(values)
    for rows in chunks:
        end_bytes = file.write(region, quantize_whole(rows, scale, weight.name), end_bytes)


def _stream_blocks(
    file: DataFile, weight: StoredWeight, chunks: Iterator[Floats], form: MatrixFormat
) -> None:
    """Write packed blocks, their scales and their zero points, row by row."""
    _write_blocks(file, weight, (quantize_blocks(rows, form, weight.name) for rows in chunks))


def _stream_compensated(
    file: DataFile, weight: StoredWeight, chunks: Iterator[Floats], read: Floats
) -> None:
    """Write the same of rows whose columns make good what those before them lost."""
    form, name = weight.form, weight.name
    assert form is not None  # of a matrix
    _write_blocks(file, weight, (quantize_compensated(rows, form, name, read) for rows in chunks))


def _write_blocks(file: DataFile, weight: StoredWeight, chunks: Iterator[Arrays]) -> None:
    """Write the arrays of chunks of rows, each behind those of the chunk before it."""
    end_bytes = [0] * len(weight.regions)
    for arrays in chunks:
        for number, (region, array) in enumerate(zip(weight.regions, arrays, strict=True)):
            end_bytes[number] = file.write(region, array, end_bytes[number])


_BODY_STREAMS: dict[Form, Stream] = {
    Form.FLOAT: _stream_columns,
    Form.CHANNEL: _stream_channels,
    Form.BLOCK: _stream_blocks,
}
_TABLE_STREAMS: dict[Form, Stream] = {
    Form.FLOAT: _stream_rows,
    Form.BLOCK: _stream_blocks,
    Form.ROWS: _stream_signed_rows,
}
_EXPERT_STREAMS: dict[Form, Stream] = {
    Form.FLOAT: _stream_rows,
    Form.CHANNEL: _stream_channel_rows,
    Form.BLOCK: _stream_blocks,
}
_STREAMS = {
    Role.BODY: _BODY_STREAMS,
    Role.TABLE: _TABLE_STREAMS,
    Role.EXPERTS: _EXPERT_STREAMS,
}
