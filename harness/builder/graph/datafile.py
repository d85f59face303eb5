"""The external data file: values are written where the plan puts them, a chunk at a time."""

import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import onnx

from harness.builder.graph.storage import Region, View

ELEMENT_TYPES = {
    "float32": onnx.TensorProto.FLOAT,
    "float16": onnx.TensorProto.FLOAT16,
    "uint16": onnx.TensorProto.UINT16,
    "uint8": onnx.TensorProto.UINT8,
    "int8": onnx.TensorProto.INT8,
}


class DataFile:
    """A file open for writing at any place, by any thread; use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Create the file; an old one of that name is overwritten."""
        self._file: BinaryIO = path.open("wb")
        self._lock = threading.Lock()

    def __enter__(self) -> "DataFile":
        """Return the open file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def write(self, region: Region, values: npt.NDArray[np.generic], at_bytes: int = 0) -> int:
        """Write `values` row-major at `at_bytes` of the region and return where they end.

        Raises:
            ValueError: wrong type or beyond the region: a mistake of the builder.
        """
        end_bytes = at_bytes + values.nbytes
        if values.dtype.name != region.array.dtype or end_bytes > region.array.size_bytes:
            raise ValueError(f"{values.dtype} x {values.shape} at {at_bytes} into {region}")
        data = np.ascontiguousarray(values).data
        with self._lock:
            self._file.seek(region.offset_bytes + at_bytes)
            self._file.write(data)
        return end_bytes


def initializer(view: View, location: str) -> onnx.TensorProto:
    """Describe a view as a graph's initializer whose values lie in the file `location`."""
    tensor = onnx.TensorProto(
        name=view.name,
        data_type=ELEMENT_TYPES[view.region.array.dtype],
        dims=view.shape,
        data_location=onnx.TensorProto.EXTERNAL,
    )
    for key, value in (
        ("location", location),
        ("offset", str(view.region.offset_bytes)),
        ("length", str(view.region.array.size_bytes)),
    ):
        tensor.external_data.add(key=key, value=value)
    return tensor
