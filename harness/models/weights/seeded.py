"""Random weights that are the same for ever: by seed, tensor name and position, nothing else.

Every level and every chunking of a build reads the same logical weights, so that two levels of
one model can be compared value by value.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from math import prod, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from harness.models.specs.model import AnySpec
from harness.models.specs.tensors import logical_tensors
from harness.models.weights.drawn import LAST_NORM, factor_of, mixture_of
from harness.models.weights.source import seeded_identity
from harness.models.weights.store import FloatArray

# A chunk is the run of rows that one generator fills; a raw chunk fits into a level-2 cache.
CHUNK_VALUES = 2**17
# Deviation of one logit, with the last norm's output at 1: scores spread as a trained head's do.
LOGIT_DEVIATION = 2.0
NORM_DEVIATION = 0.1
BIAS_DEVIATION = 0.1


class SeededWeights:
    """Normal values from 16 random bits each; see WeightStore.

    A value is one of 65,536 quantiles of the normal distribution, chosen by 16 bits of an SFC64
    stream. The stream of raw bits is fixed by numpy's compatibility policy (the stream of
    `standard_normal` is not), and a table look-up is 5 times faster than drawing normals.
    """

    kind = "seeded"

    def __init__(self, spec: AnySpec, seed: int) -> None:
        """Take the shapes from `spec`; nothing is drawn before it is asked for.

        Raises:
            UsageError: a negative seed.
        """
        self.identity = seeded_identity(seed, spec)
        self._seed = seed
        self._mixture = mixture_of(spec)
        self._shapes = {tensor.name: tensor.shape for tensor in logical_tensors(spec)}

    def tensor(self, name: str) -> FloatArray:
        """Return a whole tensor, float32, in its logical shape."""
        return self.rows(name, 0, self._shapes[name][0])

    def rows(self, name: str, start: int, stop: int) -> FloatArray:
        """Return rows `start` to `stop` of `name`, float32 [stop - start, ...]."""
        shape = self._shapes[name]
        if not 0 <= start < stop <= shape[0]:
            raise IndexError(f"rows {start}:{stop} of {name}, which has {shape[0]}")
        width = prod(shape[1:])
        chunk_rows = max(1, CHUNK_VALUES // width)
        table = _quantiles(*_distribution(name, shape))
        out = np.empty((stop - start, width), dtype=np.float32)
        for chunk, first, last in _chunks(start, stop, chunk_rows):
            skipped = first - chunk * chunk_rows
            bits = self._bits(name, chunk, (skipped + last - first) * width)
            flat = out[first - start : last - start].reshape(-1)
            np.take(table, bits[skipped * width :], out=flat, mode="wrap")  # the fastest mode
        if self._mixture is not None:
            self._draw_routing(out, name, start)
        return out.reshape(stop - start, *shape[1:])

    def _draw_routing(self, values: FloatArray, name: str, start: int) -> None:
        """Change rows from `start` on so that experts are drawn; see drawn.py."""
        assert self._mixture is not None
        deviation = LOGIT_DEVIATION / sqrt(self._mixture.hidden_size)
        factor = factor_of(self._mixture, name, deviation)
        if factor != 1.0:
            values *= np.float32(factor)
        if name == LAST_NORM:
            values[1 - start % 2 :: 2] *= -1

    def _bits(self, name: str, chunk: int, count: int) -> npt.NDArray[np.uint16]:
        """Return the first `count` 16-bit numbers of one chunk's stream, low bits first."""
        generator = np.random.SFC64([self._seed, *_words(name), chunk])
        raw = generator.random_raw(-(-count // 4))
        return raw.astype("<u8", copy=False).view("<u2")[:count]


def _chunks(start: int, stop: int, chunk_rows: int) -> Iterator[tuple[int, int, int]]:
    """Yield (chunk number, first row, row after the last) for each chunk that the range meets."""
    for chunk in range(start // chunk_rows, -(-stop // chunk_rows)):
        begin = chunk * chunk_rows
        yield chunk, max(start, begin), min(stop, begin + chunk_rows)


def _distribution(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return mean and deviation of a tensor's values.

    Matrices have deviation 1/sqrt(inputs), so that values of deviation 1 stay so; the head and the
    embedding 2/sqrt(hidden_size), which gives logits of deviation 2.
    """
    if name.endswith(("norm.weight", "layer_scalar")):
        return 1.0, NORM_DEVIATION
    if name.endswith(".bias"):
        return 0.0, BIAS_DEVIATION
    is_table = name in ("model.embed_tokens.weight", "lm_head.weight")
    return 0.0, (LOGIT_DEVIATION if is_table else 1) / sqrt(shape[-1])


@lru_cache(maxsize=16)
def _quantiles(mean: float, deviation: float) -> FloatArray:
    """Return the 65,536 values a weight can take: the middle quantiles of a normal, float32."""
    return (mean + deviation * _standard_quantiles()).astype(np.float32)


@lru_cache(maxsize=1)
def _standard_quantiles() -> npt.NDArray[np.float64]:
    """Return quantiles (k + 1/2) / 65536 of the standard normal, symmetric about 0."""
    normal = NormalDist()
    upper = np.array([normal.inv_cdf((k + 0.5) / 2**16) for k in range(2**15, 2**16)])
    return np.concatenate([-upper[::-1], upper])


def _words(name: str) -> tuple[int, ...]:
    """Return 128 bits of the name's SHA-256 as four numbers, the same in every process."""
    digest = hashlib.sha256(name.encode()).digest()
    return tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
