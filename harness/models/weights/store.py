"""One way to read weights, whether they are random or trained: by name, whole or by rows."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


class WeightStore(Protocol):
    """Named tensors of one model; every value comes as float32, whatever is stored."""

    @property
    def kind(self) -> str:
        """`seeded` or `trained`."""

    @property
    def identity(self) -> str:
        """What tells these weights from all others: see identity.weights_identity."""

    def tensor(self, name: str) -> FloatArray:
        """Return a whole tensor in its logical shape; the caller owns the array.

        Raises:
            KeyError: the architecture has no such tensor.
        """

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Return rows `start` to `stop` of the first axis, shape [stop - start, ...].

        The values are the same whatever ranges are asked for, and in whatever order.

        Raises:
            KeyError: the architecture has no such tensor.
            IndexError: the range is empty or lies outside the tensor.
        """
