"""Weights of micro-graphs: a few matrices packed as a model's are, then copied many times over."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from harness.builder.graph.datafile import DataFile, initializer
from harness.builder.graph.matrix import Matrix
from harness.builder.graph.storage import PAGE_BYTES, Region, Role, StoredWeight, View
from harness.builder.graph.stream import stream_weight
from harness.builder.quantize.layout import body_arrays
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.tensors import Tensor


@dataclass(frozen=True, slots=True)
class ChainWeights:
    """The weights of a chain, in the order of its products.

    Attributes:
        matrices: one per product.
        initializers: where their arrays lie in the data file.
    """

    matrices: list[Matrix]
    initializers: list[onnx.TensorProto]


def chain_weights(
    path: Path, level: QuantLevel, shapes: list[tuple[int, int]], repeats: int
) -> ChainWeights:
    """Write the data file of matrices [outputs, inputs], the whole list `repeats` times over."""
    data = path.with_name(f"{path.name}.data")
    first, part_bytes = _place(shapes, level)
    with DataFile(data) as file:
        store = _Noise({weight.name: shape[1] for weight, shape in zip(first, shapes, strict=True)})
        for weight in first:
            stream_weight(file, weight, store)
    _repeat(data, part_bytes, repeats, [weight.regions[0].offset_bytes for weight in first])
    matrices, initializers = [], []
    for number in range(repeats * len(shapes)):
        turn, place = divmod(number, len(shapes))
        matrices.append(Matrix(f"matrix.{number}", *shapes[place]))
        for region in first[place].regions:
            moved = Region(region.array, region.offset_bytes + turn * part_bytes)
            name = f"matrix.{number}.{region.array.suffix}"
            initializers.append(initializer(View(name, moved, region.array.shape), data.name))
    return ChainWeights(matrices, initializers)


class _Noise:
    """A weight store of normal values scaled by 1 / sqrt(inputs): a chain neither grows nor dies.

    Attributes:
        kind: as of seeded weights.
        identity: names nothing that is kept.
    """

    kind = "seeded"
    identity = "micro"

    def __init__(self, inputs: dict[str, int]) -> None:
        """Remember the width of each matrix, by name."""
        self._inputs = inputs
        self._generator = np.random.Generator(np.random.SFC64(0))

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """Refuse: a micro-graph stores no vector."""
        raise KeyError(name)

    def rows(self, name: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return [stop - start, inputs] new values."""
        width = self._inputs[name]
        values = self._generator.standard_normal((stop - start, width), dtype=np.float32)
        return values * np.float32(width**-0.5)


def _place(shapes: list[tuple[int, int]], level: QuantLevel) -> tuple[list[StoredWeight], int]:
    """Return matrices placed from byte 0 on, each array on a page, and the end of them all."""
    end_bytes, weights = 0, []
    for number, (outputs, inputs) in enumerate(shapes):
        regions = []
        for array in body_arrays(outputs, inputs, level):
            regions.append(Region(array, end_bytes))
            end_bytes = -(-regions[-1].end_bytes // PAGE_BYTES) * PAGE_BYTES
        name = f"matrix.{number}"
        source = (Tensor(name, (outputs, inputs)),)
        weights.append(StoredWeight(name, Role.BODY, level.body, source, tuple(regions), ()))
    return weights, end_bytes


def _repeat(data: Path, part_bytes: int, times: int, starts: list[int]) -> None:
    """Fill the file up to whole pages and append copies of it until it stands `times` times.

    No two copies are equal: ONNX Runtime keeps equal prepacked weights once, and a chain of them
    would be read from a cache. Each gets its number into the lowest bytes of two values a matrix.

    Args:
        data: the file with the first copy.
        part_bytes: whole pages of one copy.
        times: copies in the end.
        starts: first byte of each matrix.
    """
    part = bytearray(data.read_bytes().ljust(part_bytes, b"\0"))
    with data.open("wb") as file:
        for number in range(times):
            copy = bytearray(part)
            for start in starts:
                copy[start] ^= number & 0xFF
                copy[start + 4] ^= number >> 8
            file.write(copy)
