"""Reads a built data file back as the operators' documentation says; shares no code with pack."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from harness.builder.graph.rules import DATA_FILE
from harness.builder.quantize.levels import MatrixFormat


def read_arrays(folder: Path, graph: str) -> dict[str, npt.NDArray[np.generic]]:
    """The initializers of one graph by name."""
    model = onnx.load(folder / graph)
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def place(tensor: onnx.TensorProto) -> tuple[int, int]:
    """Offset and length in the data file of an external initializer."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    assert entries["location"] == DATA_FILE
    return int(entries["offset"]), int(entries["length"])


def block_values(
    packed: npt.NDArray[np.uint8],
    scales: npt.NDArray[np.float32],
    zero_points: npt.NDArray[np.uint8] | None,
    form: MatrixFormat,
    inputs: int,
) -> npt.NDArray[np.float32]:
    """MatMulNBits: (q - zero) · scale, low bits first; zero 2^(bits-1) where none is stored."""
    blocks = scales.shape[1]
    zeros = np.full(scales.shape, 2.0 ** (form.bits - 1), np.float32)
    if zero_points is not None:
        zeros = unpacked(zero_points, form.bits)[:, :blocks]
    values = unpacked(packed.reshape(*scales.shape, -1), form.bits) - zeros[:, :, None]
    return (values * scales[:, :, None]).reshape(len(scales), -1)[:, :inputs]


def unpacked(packed: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.float32]:
    """The integers of the last axis, one each."""
    values = np.stack([packed >> step & (2**bits - 1) for step in range(0, 8, bits)], axis=-1)
    return values.reshape(*packed.shape[:-1], -1).astype(np.float32)


def channel_values(
    packed: npt.NDArray[np.uint8], scales: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """DynamicQuantizeMatMul with zero point 128: columns [inputs, outputs] -> rows."""
    return ((packed.astype(np.float32) - 128) * scales).T
