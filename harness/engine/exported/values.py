"""Between numpy and ONNX Runtime: element types, and values that share an array's memory."""

import ctypes
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from harness.core.errors import ModelError
from harness.models.exported.ports import Port

BFLOAT16 = 16  # TensorProto.BFLOAT16


def dtype_of(port: Port) -> np.dtype[Any]:
    """Numpy's type of an input or output.

    Raises:
        ModelError: strings, or numbers that numpy does not have.
    """
    return named_dtype(port.element_type, port.name)


def named_dtype(element_type: str, what: str) -> np.dtype[Any]:
    """Numpy's type by its name; `what` is named in errors.

    Raises:
        ModelError: no type of numbers is called so.
    """
    if element_type == "bfloat16":
        from ml_dtypes import bfloat16  # onnx brings it; most models have no use for it

        half: np.dtype[Any] = np.dtype(bfloat16)
        return half
    try:
        found: np.dtype[Any] = np.dtype(element_type)
    except TypeError:
        found = np.dtype(object)
    if found.kind not in "biuf":
        raise ModelError(
            f"{what} holds {element_type}, which cannot be made up",
            fix="a model whose inputs are tensors of numbers",
        )
    return found


def value_of(array: NDArray[Any]) -> ort.OrtValue:
    """ONNX Runtime's view of an array of the host, which it keeps alive."""
    if array.dtype.name != "bfloat16":
        return ort.OrtValue.ortvalue_from_numpy(array)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), BFLOAT16)


def array_of(value: ort.OrtValue) -> NDArray[Any]:
    """A value of the host as an array; of bfloat16 a view that does not keep the value alive."""
    if value.data_type() != "tensor(bfloat16)":
        found: NDArray[Any] = value.numpy()
        return found
    from ml_dtypes import bfloat16

    shape = value.shape()
    size_bytes = int(np.prod(shape)) * np.dtype(bfloat16).itemsize
    memory = (ctypes.c_uint8 * size_bytes).from_address(value.data_ptr())
    return np.frombuffer(memory, dtype=bfloat16).reshape(shape)


def as_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """The same numbers as float32; no copy of what is float32 already."""
    return array.astype(np.float32, copy=False)
