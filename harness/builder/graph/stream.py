"""Streams trained weights into the data file, packed for one level.

At most one stored matrix, and of each thread a few chunks of rows of its source, are in memory at a
time. Which thread takes which rows changes no byte: every row has its place in the file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

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
from harness.core.processors import usable_processors
from harness.core.progress import BYTES, tell_part
from harness.core.units import MIB
from harness.models.specs.tensors import Tensor
from harness.models.weights.store import WeightStore

CHUNK_WEIGHTS = 2**17  # 512 KiB of float32: stays in a second-level cache while it is quantized
COMPENSATED_WEIGHTS = 2**24  # 64 MiB: column by column costs less the longer the columns are
CHUNKS_AT_ONCE = 4  # whole chunks of the seeded weights, so that none is drawn twice
# glibc keeps freed memory up to twice the largest block that it has freed, and gives back the rest:
# each array of each chunk would be new pages. A block that nobody writes to costs nothing.
FREED_BYTES = 16 * MIB
MOST_THREADS = 4  # numpy works outside the interpreter's lock; each holds 10 MiB

Floats = npt.NDArray[np.float32]
Take = Callable[[int, Floats], None]  # rows of a weight, from this one on
Stream = Callable[[DataFile, StoredWeight, MatrixFormat], AbstractContextManager[Take]]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that are read and stored at once.

    Attributes:
        first_row: of the weight.
        sources: of which they are; of several they come by turns, one row of each.
        start: first row of each source.
        stop: the row after the last.
    """

    first_row: int
    sources: tuple[Tensor, ...]
    start: int
    stop: int


def stream_weights(
    file: DataFile,
    weights: Iterable[StoredWeight],
    store: WeightStore,
    ranges: Mapping[str, Range] | None = None,
    shares: Shares | None = None,
) -> None:
    """Write all arrays of weights, on as many threads as there are processors.

    Args:
        file: open.
        weights: one after the other.
        store: the trained values.
        ranges: by name, of the weights that are stored on one grid.
        shares: of what each matrix reads while the model writes, by its name; None: not known.

    Raises:
        ModelError: a value is not finite as it is to be stored.
    """
    np.empty(FREED_BYTES, np.uint8)
    every, done_bytes = tuple(weights), 0
    total_bytes = sum(map(_size_bytes, every))
    with ThreadPoolExecutor(min(MOST_THREADS, usable_processors())) as pool:
        for weight in every:
            stream_weight(file, weight, store, ranges, shares, pool)
            done_bytes += _size_bytes(weight)
            tell_part(done_bytes, total_bytes, BYTES)


def _size_bytes(weight: StoredWeight) -> int:
    """Of all its arrays."""
    return sum(region.array.size_bytes for region in weight.regions)


def stream_weight(
    file: DataFile,
    weight: StoredWeight,
    store: WeightStore,
    ranges: Mapping[str, Range] | None = None,
    shares: Shares | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> None:
    """Read one weight from the store and write all its arrays.

    Args:
        file: open.
        weight: where its arrays lie, and their formats.
        store: the trained values.
        ranges: by name, of the weights that are stored on one grid.
        shares: of what each matrix reads while the model writes, by its name; None: not known.
        pool: of threads; None: rows are read in order. Large pieces are, in any case.

    Raises:
        ModelError: a value is not finite as it is to be stored.
    """
    if weight.form is None:
        _write_vector(file, weight, store, ranges or {})
        return
    read = shares(weight.name) if shares and weight.form.method is Method.COMPENSATED else None
    stream: AbstractContextManager[Take]
    at_once = CHUNK_WEIGHTS * CHUNKS_AT_ONCE
    if weight.form.form is Form.WHOLE:
        stream = _whole(file, weight, (ranges or {})[weight.name])
    elif read is not None:
        stream, at_once, pool = _compensated(file, weight, read), COMPENSATED_WEIGHTS, None
    else:
        stream = _STREAMS[weight.role][weight.form.form](file, weight, weight.form)
    with stream as take:
        for _ in (map if pool is None else pool.map)(
            lambda piece: take(piece.first_row, _rows(piece, store)), _pieces(weight, at_once)
        ):
            pass


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


def _pieces(weight: StoredWeight, at_once: int) -> Iterator[Piece]:
    """Yield the rows of all sources in turn, so many weights at a time, in whole chunks.

    Of sources that give their rows by turns (gate and up of an expert): one row of each, then the
    next.
    """
    turns, first_row = weight.turns, 0
    for begin in range(0, len(weight.sources), turns):
        sources = weight.sources[begin : begin + turns]
        count, inputs = sources[0].shape
        step = max(1, at_once // CHUNKS_AT_ONCE // inputs) * CHUNKS_AT_ONCE
        for start in range(0, count, step):
            stop = min(start + step, count)
            yield Piece(first_row + start * turns, sources, start, stop)
        first_row += count * turns


def _rows(piece: Piece, store: WeightStore) -> Floats:
    """Read the rows of a piece, [rows, inputs]."""
    parts = [store.rows(one.name, piece.start, piece.stop) for one in piece.sources]
    if len(parts) == 1:
        return parts[0]
    return np.stack(parts, axis=1).reshape(-1, parts[0].shape[1])


def _stored_floats(values: Floats, dtype: str, name: str) -> npt.NDArray[np.generic]:
    """Return `values` in the stored float type.

    Raises:
        ModelError: a value is not finite in that type.
    """
    with np.errstate(over="ignore"):
        stored = values.astype(dtype, copy=False)
    check_finite(name, stored)
    return stored


def _write_rows(file: DataFile, weight: StoredWeight, first_row: int, arrays: Arrays) -> None:
    """Write arrays whose first axis are rows, from this one on, each into its region."""
    for region, array in zip(weight.regions, arrays, strict=True):
        stored = array
        if region.array.suffix == "scales" and region.array.dtype == "float16":  # of half levels
            stored = _stored_floats(array.astype(np.float32), region.array.dtype, weight.name)
        file.write(region, stored, first_row * stored[0].nbytes)


@contextmanager
def _float_rows(file: DataFile, weight: StoredWeight, _form: MatrixFormat) -> Iterator[Take]:
    """Write floats as they lie, [outputs, inputs]."""
    dtype = weight.regions[0].array.dtype

    def take(first_row: int, rows: Floats) -> None:
        _write_rows(file, weight, first_row, (_stored_floats(rows, dtype, weight.name),))

    yield take


@contextmanager
def _float_columns(file: DataFile, weight: StoredWeight, _form: MatrixFormat) -> Iterator[Take]:
    """Write floats transposed, [inputs, outputs], through one matrix in memory."""
    (region,) = weight.regions
    matrix = np.empty(region.array.shape, region.array.dtype)

    def take(first_row: int, rows: Floats) -> None:
        stored = _stored_floats(rows, region.array.dtype, weight.name)
        matrix[:, first_row : first_row + len(rows)] = stored.T

    yield take
    file.write(region, matrix)


@contextmanager
def _channel_columns(file: DataFile, weight: StoredWeight, _form: MatrixFormat) -> Iterator[Take]:
    """Write bytes transposed, [inputs, outputs], through one matrix in memory, and its scales."""
    quantized, scales = weight.regions
    matrix = np.empty(quantized.array.shape, np.uint8)

    def take(first_row: int, rows: Floats) -> None:
        packed, row_scales = quantize_channels(rows, weight.name)
        matrix[:, first_row : first_row + len(rows)] = packed.T
        file.write(scales, row_scales, first_row * row_scales.itemsize)

    yield take
    file.write(quantized, matrix)


@contextmanager
def _channel_rows(file: DataFile, weight: StoredWeight, _form: MatrixFormat) -> Iterator[Take]:
    """Write bytes as they lie, [outputs, inputs], and a scale per row."""

    def take(first_row: int, rows: Floats) -> None:
        _write_rows(file, weight, first_row, quantize_channels(rows, weight.name))

    yield take


@contextmanager
def _signed_rows(file: DataFile, weight: StoredWeight, _form: MatrixFormat) -> Iterator[Take]:
    """Write signed bytes as they lie, [outputs, inputs], and a scale per row."""

    def take(first_row: int, rows: Floats) -> None:
        _write_rows(file, weight, first_row, quantize_rows(rows, weight.name))

    yield take


@contextmanager
def _whole(file: DataFile, weight: StoredWeight, values: Range) -> Iterator[Take]:
    """Write signed bytes as they lie, all on the scale of one range."""
    scale = whole_scale(values)

    def take(first_row: int, rows: Floats) -> None:
        _write_rows(file, weight, first_row, (quantize_whole(rows, scale, weight.name),))

    yield take


@contextmanager
def _blocks(file: DataFile, weight: StoredWeight, form: MatrixFormat) -> Iterator[Take]:
    """Write packed blocks, their scales and their zero points, row by row."""

    def take(first_row: int, rows: Floats) -> None:
        _write_rows(file, weight, first_row, quantize_blocks(rows, form, weight.name))

    yield take


@contextmanager
def _compensated(file: DataFile, weight: StoredWeight, read: Floats) -> Iterator[Take]:
    """Write the same of rows whose columns make good what those before them lost."""
    form = weight.form
    assert form is not None  # of a matrix

    def take(first_row: int, rows: Floats) -> None:
        arrays = quantize_compensated(rows, form, weight.name, read)
        _write_rows(file, weight, first_row, arrays)

    yield take


_BODY_STREAMS: dict[Form, Stream] = {
    Form.FLOAT: _float_columns,
    Form.CHANNEL: _channel_columns,
    Form.BLOCK: _blocks,
}
_TABLE_STREAMS: dict[Form, Stream] = {
    Form.FLOAT: _float_rows,
    Form.BLOCK: _blocks,
    Form.ROWS: _signed_rows,
}
_EXPERT_STREAMS: dict[Form, Stream] = {
    Form.FLOAT: _float_rows,
    Form.CHANNEL: _channel_rows,
    Form.BLOCK: _blocks,
}
_STREAMS = {
    Role.BODY: _BODY_STREAMS,
    Role.TABLE: _TABLE_STREAMS,
    Role.EXPERTS: _EXPERT_STREAMS,
}
