"""A weight store of seeded random tensors, so that the builder is tested without any file."""

import zlib

import numpy as np
import numpy.typing as npt

from harness.models.specs.model import ModelSpec
from harness.models.specs.tensors import logical_tensors


class RandomWeights:
    """Normal values of spread 1 / sqrt(inputs); norms near 1; one generator per tensor."""

    kind = "seeded"
    identity = "random"

    def __init__(self, spec: ModelSpec) -> None:
        self._shapes = {tensor.name: tensor.shape for tensor in logical_tensors(spec)}

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        shape = self._shapes[name]
        random = np.random.default_rng(zlib.crc32(name.encode()))
        values = random.standard_normal(shape, dtype=np.float32)
        if name.endswith("norm.weight"):
            return 1 + values / 8
        return values / np.float32(np.sqrt(shape[-1]))

    def rows(self, name: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        return self.tensor(name)[start:stop]
