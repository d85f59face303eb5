"""Writes the logical weights of a decoder as one GGUF file, by rows, so that memory stays small."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from harness.builder.gguf.families import family_of, header_keys
from harness.builder.gguf.layout import FileTensor, file_tensors, rotary_tensors
from harness.core.errors import DeviceError
from harness.core.progress import told_parts
from harness.models.specs.model import ModelSpec
from harness.models.specs.rotary import inverse_frequencies
from harness.models.weights.store import FloatArray, WeightStore

ALIGNMENT_BYTES = 32
CHUNK_VALUES = 2**22
INSTALL = "pip install 'ondevice-bench[llamacpp]'"


def write_gguf(spec: ModelSpec, weights: WeightStore, path: Path, *, half: bool = False) -> None:
    """Write a model; vectors stay float32, as llama.cpp's own converter leaves them.

    There is no vocabulary in the file: it is run on token ids.

    Args:
        spec: the architecture.
        weights: its logical tensors.
        path: of the file to make.
        half: matrices as float16.

    Raises:
        ModelError: llama.cpp has no such architecture.
        DeviceError: the package gguf is not installed.
    """
    tensors = list(file_tensors(spec))
    factors = rotary_factors(spec)
    _write_header(spec, tensors, factors, path, half=half)
    with path.open("ab") as file:
        file.write(bytes(-file.tell() % ALIGNMENT_BYTES))
        for _name in rotary_tensors(spec):
            _put(file, [factors])
        for tensor in told_parts(tensors, "tensors"):
            kind = _dtype(tensor, half=half)
            _put(file, (chunk.astype(kind, copy=False) for chunk in _chunks(tensor, weights)))


def rotary_factors(spec: ModelSpec) -> FloatArray:
    """Return what each plain rotary frequency is divided by, [rotated values / 2]."""
    dim = spec.rotated_dim
    plain = spec.rope_theta ** -(np.arange(0, dim, 2, dtype=np.float64) / dim)
    return np.asarray(plain / inverse_frequencies(spec), dtype=np.float32)


def _write_header(
    spec: ModelSpec, tensors: list[FileTensor], factors: FloatArray, path: Path, *, half: bool
) -> None:
    """Write keys and the list of tensors."""
    try:
        import gguf
    except ImportError as error:
        raise DeviceError("a GGUF is written by the package gguf", fix=INSTALL) from error
    writer = gguf.GGUFWriter(path, family_of(spec).architecture)
    writer.add_name(spec.name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("no_vocab")
    for key, value in header_keys(spec).items():
        _add_key(writer, f"{family_of(spec).architecture}.{key}", value)
    for name in rotary_tensors(spec):
        writer.add_tensor_info(
            f"{name}.weight", factors.shape, np.dtype(np.float32), factors.nbytes
        )
    for tensor in tensors:
        kind = _dtype(tensor, half=half)
        size_bytes = int(np.prod(tensor.shape)) * kind.itemsize
        writer.add_tensor_info(tensor.name, tensor.shape, kind, size_bytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


def _add_key(writer: Any, key: str, value: Any) -> None:
    """Add a key by the type of its value: llama.cpp reads whole numbers as uint32."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    else:
        writer.add_string(key, value)


def _dtype(tensor: FileTensor, *, half: bool) -> np.dtype[Any]:
    """The type of a stored tensor."""
    return np.dtype(np.float16 if half and tensor.is_matrix else np.float32)


def _put(file: BinaryIO, chunks: Iterable[npt.NDArray[Any]]) -> None:
    """Write a tensor and what fills it up to the next one."""
    for chunk in chunks:
        file.write(np.ascontiguousarray(chunk).data)
    file.write(bytes(-file.tell() % ALIGNMENT_BYTES))


def _chunks(tensor: FileTensor, weights: WeightStore) -> Iterator[FloatArray]:
    """Yield a tensor of the file by runs of rows; rows whose order changes as a whole."""
    for part in tensor.parts:
        if tensor.turned_heads:
            yield as_neighbours(weights.tensor(part.name), tensor.turned_heads)
            continue
        count = part.shape[0]
        step = max(1, CHUNK_VALUES // (part.elements // count))
        for start in range(0, count, step):
            yield weights.rows(part.name, start, min(start + step, count))


def as_neighbours(values: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Put the rows of each head into the order in which neighbours are one rotated pair.

    Ours pairs row i of a head with row i + d/2; there it is rows 2i and 2i + 1. Attention sees the
    same products, as queries and keys change alike.

    Args:
        values: [heads · d, ...].
        heads: how many.
    """
    pairs = values.reshape(heads, 2, len(values) // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)
