"""What a stored tensor holds, read from its graph or data file without loading the rest."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from harness.core.errors import ModelError

# type -> bits of one value, name; the names are NumPy's where it knows the type
TYPES: dict[int, tuple[int, str]] = {
    TensorProto.FLOAT: (32, "float32"),
    TensorProto.FLOAT16: (16, "float16"),
    TensorProto.BFLOAT16: (16, "bfloat16"),
    TensorProto.DOUBLE: (64, "float64"),
    TensorProto.INT8: (8, "int8"),
    TensorProto.UINT8: (8, "uint8"),
    TensorProto.INT16: (16, "int16"),
    TensorProto.UINT16: (16, "uint16"),
    TensorProto.INT32: (32, "int32"),
    TensorProto.UINT32: (32, "uint32"),
    TensorProto.INT64: (64, "int64"),
    TensorProto.UINT64: (64, "uint64"),
    TensorProto.BOOL: (8, "bool"),
    TensorProto.INT4: (4, "int4"),
    TensorProto.UINT4: (4, "uint4"),
    TensorProto.FLOAT8E4M3FN: (8, "float8e4m3fn"),
    TensorProto.FLOAT8E5M2: (8, "float8e5m2"),
    TensorProto.FLOAT4E2M1: (4, "float4e2m1"),
    TensorProto.FLOAT8E4M3FNUZ: (8, "float8e4m3fnuz"),
    TensorProto.FLOAT8E5M2FNUZ: (8, "float8e5m2fnuz"),
    TensorProto.COMPLEX64: (64, "complex64"),
    TensorProto.COMPLEX128: (128, "complex128"),
    **{  # types of newer releases of onnx
        getattr(TensorProto, name): (bits, name.lower())
        for name, bits in (("INT2", 2), ("UINT2", 2), ("FLOAT8E8M0", 8))
        if hasattr(TensorProto, name)
    },
}
FLOAT_LEVELS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float64": "fp64"}
PIECES, PIECE_BYTES = 64, 1024  # of a tensor's content in its digest


@dataclass(frozen=True, slots=True)
class External:
    """Where a tensor lies outside its graph.

    Attributes:
        location: as the graph gives it, relative to its folder.
        offset_bytes: from the beginning of the file.
        length_bytes: of the tensor; None: not stated, so it follows from its shape.
    """

    location: str
    offset_bytes: int
    length_bytes: int | None


def element_type(number: int) -> str:
    """Return the name of an element type; `type N` for one that is not known here."""
    if number == TensorProto.STRING:
        return "string"
    return TYPES[number][1] if number in TYPES else f"type {number}"


def elements(tensor: onnx.TensorProto) -> int:
    """Return the number of values."""
    return math.prod(tensor.dims)


def stored_bytes(tensor: onnx.TensorProto) -> int:
    """Return what the values take as stored; of a type that is not known here, what is there."""
    if tensor.data_type not in TYPES:
        place = external(tensor)
        return len(tensor.raw_data) if place is None else place.length_bytes or 0
    return -(-elements(tensor) * TYPES[tensor.data_type][0] // 8)


def external(tensor: onnx.TensorProto) -> External | None:
    """Return where a tensor lies, or None where the graph file itself holds it.

    Raises:
        ModelError: an offset or a length that is no whole number, or no location.
    """
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    try:
        offset, length = int(entries.get("offset", "0")), entries.get("length")
        return External(entries["location"], offset, None if length is None else int(length))
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"the tensor {tensor.name[:60]!r} does not say where its data lies",
            fix="export or download the model again",
        ) from error


def stored_array(tensor: onnx.TensorProto, folder: Path) -> NDArray[Any]:
    """Return the values as they are stored: of 4-bit types their bytes, else in their shape.

    Args:
        tensor: whose place was checked.
        folder: of its graph.
    """
    place = external(tensor)
    bits, name = TYPES[tensor.data_type]
    if place is None and not tensor.HasField("raw_data"):
        if bits < 8:  # a byte of packed values in each
            return np.array(tensor.int32_data, dtype=np.int32).astype(np.uint8)
        values: NDArray[Any] = numpy_helper.to_array(tensor)
        return values
    packed = bits < 8
    dtype = np.dtype(np.uint8) if packed else _dtype(name)
    shape = (stored_bytes(tensor),) if packed else tuple(tensor.dims)
    if place is None:
        return np.frombuffer(tensor.raw_data, dtype).reshape(shape)
    if not math.prod(shape):
        return np.zeros(shape, dtype)
    path = folder / place.location
    return np.memmap(path, dtype, mode="r", offset=place.offset_bytes, shape=shape)


def _dtype(name: str) -> np.dtype[Any]:
    """Return the NumPy type of an element; one byte of what NumPy does not know."""
    if name.startswith("float8"):
        return np.dtype(np.uint8)
    return np.dtype(getattr(ml_dtypes, name) if name == "bfloat16" else name)


def digest(tensor: onnx.TensorProto, folder: Path) -> str:
    """Return what tells a tensor from others: its type, and evenly spaced pieces of its bytes.

    PIECES pieces of PIECE_BYTES; of a smaller tensor all bytes. The shape is left out, because two
    operators may see the same bytes in different shapes.
    """
    total = hashlib.sha256(f"{tensor.data_type} {stored_bytes(tensor)}".encode())
    data = stored_array(tensor, folder).reshape(-1)
    per_piece = max(1, PIECE_BYTES // max(1, data.itemsize))
    if len(data) <= PIECES * per_piece:
        total.update(np.ascontiguousarray(data).tobytes())
        return total.hexdigest()
    for start in np.linspace(0, len(data) - per_piece, PIECES).astype(int):
        total.update(np.ascontiguousarray(data[start : start + per_piece]).tobytes())
    return total.hexdigest()
