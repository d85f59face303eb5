"""Where an exported decoder keeps keys, values and states: in what it returned last, or in place.

`GrowingCache`: every run returns new tensors, which the next run is fed as they are; nothing is
copied. Keys and values are longer each time, and can be cut; a state is of its depth alone.
`SharedCache`: past and present are the same memory, which the operator extends.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.random import SFC64, Generator
from numpy.typing import NDArray

from harness.engine.buffers import aligned_zeros
from harness.engine.cached import Filled
from harness.engine.exported.values import array_of, named_dtype, value_of
from harness.models.exported.model import ExportedGraph
from harness.models.exported.ports import CachePair
from harness.models.specs.layers import cache_rows, kept_rows

Key = tuple[bool, int, str]  # whether it belongs to the encoder's tokens, layer, half
Kept = dict[Key, ort.OrtValue]
SLIDING = "sliding"  # in the name of a dimension: exporters call it past_sliding_length


@dataclass(frozen=True, slots=True)
class CachedTensor:
    """One tensor of keys or values, or a state.

    Attributes:
        key: which one, in any graph of the model.
        past: name of the input of the graph that goes on.
        present: name of its output; None: it gives none back, as of the encoder's tokens.
        shape: of the input; 0 where the tokens are counted, unless the graph fixes their number.
        axis: which dimension counts the tokens; None: it has one size at any depth and is handed
            on whole: a state, or a buffer of fixed size that is not written in place.
        dtype: of its elements.
        window_tokens: only the last positions are kept, so many at least; None: all.
        slides: likewise by its name, where the graph does not say how many: as many as the model
            takes at all.
    """

    key: Key
    past: str
    present: str | None
    shape: tuple[int, ...]
    axis: int | None
    dtype: np.dtype[Any]
    window_tokens: int | None = None
    slides: bool = False

    @property
    def is_cross(self) -> bool:
        """Whether it belongs to the encoder's tokens, to which decoding adds none."""
        return self.key[0]

    def of_length(self, tokens: int) -> tuple[int, ...]:
        """The shape with so many tokens; of a state its own."""
        if self.axis is None:
            return self.shape
        return (*self.shape[: self.axis], tokens, *self.shape[self.axis + 1 :])

    def room(self, tokens: int) -> tuple[int, ...]:
        """The shape of a buffer for so many tokens, or for as many as the graph fixes."""
        fixed = 0 if self.axis is None else self.shape[self.axis]
        if self.window_tokens is not None:
            tokens = max(self.window_tokens, cache_rows(self.window_tokens, tokens))
        return self.of_length(fixed or tokens)

    def first(self, array: NDArray[Any], tokens: int, skipped: int = 0) -> NDArray[Any]:
        """The first positions of such a tensor behind those that are skipped, in place."""
        return array[(slice(None),) * (self.axis or 0) + (slice(skipped, tokens),)]

    def seeded(self, tokens: int, seeds: tuple[int, ...]) -> NDArray[Any]:
        """Standard normal values of so many tokens; integers of the middle of their range."""
        generator, shape = Generator(SFC64(seeds)), self.of_length(tokens)
        if self.dtype.kind in "iu":
            return generator.integers(1, 64, shape).astype(self.dtype)
        array = aligned_zeros(shape, self.dtype)
        array[...] = generator.standard_normal(shape, dtype=np.float32)
        return array


def cached_tensors(graph: ExportedGraph, batch: int) -> tuple[CachedTensor, ...]:
    """Every cached tensor that a graph reads, at a batch size."""
    if graph.cache is None:
        return ()
    return tuple(
        CachedTensor(
            key=key,
            past=pair.past,
            present=pair.present,
            shape=tuple(
                batch if axis == pair.batch_axis else size for axis, size in enumerate(pair.shape)
            ),
            axis=None
            if pair.capacity_tokens and not graph.cache.shares_buffer
            else pair.length_axis,
            dtype=named_dtype(pair.element_type, "the cache"),
            window_tokens=pair.window_tokens,
            slides=pair.length_axis is not None
            and pair.window_tokens is None
            and SLIDING in str((graph.port(pair.past).shape or ())[pair.length_axis]),
        )
        for key, pair in _pairs(graph)
        if pair.past is not None
    )


def presents_of(graph: ExportedGraph) -> dict[str, Key]:
    """Outputs of a graph that hold keys, values or states -> which ones."""
    return {pair.present: key for key, pair in _pairs(graph) if pair.present is not None}


def _pairs(graph: ExportedGraph) -> Iterator[tuple[Key, CachePair]]:
    """Every pair of a graph."""
    if graph.cache is None:
        return
    for is_cross, pairs in ((False, graph.cache.own), (True, graph.cache.cross)):
        for pair in pairs:
            yield (is_cross, pair.layer, pair.half), pair


class GrowingCache:
    """What the last run returned, and the same at depths that are gone back to.

    Attributes:
        values: what the next run reads.
        has_states: whether some of it is of one depth alone, and cannot be cut.
    """

    def __init__(self, tensors: Sequence[CachedTensor]) -> None:
        """Begin empty."""
        self._tensors = {tensor.key: tensor for tensor in tensors}
        self.has_states = any(tensor.axis is None for tensor in tensors)
        self._kept: dict[int, Kept] = {}
        self.values = self._empty()

    @property
    def past(self) -> dict[str, ort.OrtValue]:
        """By the name of the input."""
        return {tensor.past: self.values[key] for key, tensor in self._tensors.items()}

    def fill(self, tokens: int, seed: int) -> None:
        """Put seeded values into so many positions, and forget everything else."""
        self._kept = {}
        self.values = {
            tensor.key: value_of(tensor.seeded(tokens, (seed, number)))
            for number, tensor in enumerate(self._tensors.values())
        }

    def take(self, found: Mapping[Key, ort.OrtValue], start_tokens: int) -> None:
        """Keep what a run from a depth returned.

        Keys of the encoder's tokens are those of the first pass: a later one gives none, or empty
        ones.
        """
        if any(depth > start_tokens for depth in self._kept):
            self._kept = {at: kept for at, kept in self._kept.items() if at <= start_tokens}
        values = dict(self.values)
        for key, value in found.items():
            if start_tokens == 0 or not key[0]:
                values[key] = value
        self.values = values

    def rewind(self, tokens: int, held_tokens: int) -> None:
        """Go back to a depth; the values there are kept, for tests return to them often.

        Args:
            tokens: the depth.
            held_tokens: the depth now.
        """
        if tokens == 0:
            self.values = self._empty()
            return
        if tokens not in self._kept:
            self._kept[tokens] = self.values if tokens == held_tokens else self._cut(tokens)
        self.values = self._kept[tokens]

    def can_rewind(self, tokens: int, held_tokens: int) -> bool:
        """Whether a depth can be gone back to: a state of another depth is made by running."""
        return not self.has_states or tokens in (0, held_tokens) or tokens in self._kept

    def _empty(self) -> Kept:
        """No position of any tensor; states of zeros."""
        return {
            key: value_of(np.zeros(tensor.of_length(0), tensor.dtype))
            for key, tensor in self._tensors.items()
        }

    def _cut(self, tokens: int) -> Kept:
        """Copies of the first positions; what belongs to the encoder stays whole."""
        cut = dict(self.values)
        for key, tensor in self._tensors.items():
            if not tensor.is_cross:
                part = tensor.first(array_of(self.values[key]), tokens)
                cut[key] = value_of(np.ascontiguousarray(part))
        return cut


class SharedCache:
    """One place per tensor with room for every position."""

    def __init__(
        self, tensors: Sequence[CachedTensor], capacity_tokens: int, context_tokens: int
    ) -> None:
        """Allocate, and wrap for ONNX Runtime.

        Args:
            tensors: of the graph.
            capacity_tokens: positions that are needed.
            context_tokens: those of the longest sequence, which no window exceeds.
        """
        self._tensors = tuple(tensors)
        most_tokens = max(capacity_tokens, context_tokens)
        self._arrays = [
            aligned_zeros(t.room(most_tokens if t.slides else capacity_tokens), t.dtype)
            for t in tensors
        ]
        self._values = [value_of(array) for array in self._arrays]
        self._sliding = [number for number, t in enumerate(tensors) if t.window_tokens is not None]
        self._drawn: tuple[Filled, list[NDArray[Any]]] | None = None

    def bind(self, binding: ort.IOBinding) -> None:
        """Past and present are the same memory."""
        for tensor, value in zip(self._tensors, self._values, strict=True):
            binding.bind_ortvalue_input(tensor.past, value)
            binding.bind_ortvalue_output(tensor.present, value)

    def touch(self) -> None:
        """Write every position, which the system has only promised so far."""
        for array in self._arrays:
            array[...] = 0

    def fill(self, filled: Filled) -> None:
        """Put seeded values into the first positions, of a window into the last of them."""
        self._drawn = None
        self._draw(range(len(self._tensors)), filled)

    def stays(self, tokens: int, held_tokens: int) -> bool:
        """Whether all that a depth needs still lies where it lay when it was the depth.

        Args:
            tokens: the depth.
            held_tokens: the depth now.
        """
        return all(
            self._rows(number, held_tokens) - self._rows(number, tokens) == held_tokens - tokens
            for number in self._sliding
            if tokens
        )

    def refill(self, filled: Filled) -> None:
        """Put what was drawn into the windows again; a copy serves from the second time on."""
        if self._drawn is None or self._drawn[0] != filled:
            self._draw(self._sliding, filled)
            self._drawn = filled, [self._arrays[number].copy() for number in self._sliding]
            return
        for number, values in zip(self._sliding, self._drawn[1], strict=True):
            self._arrays[number][...] = values

    def _draw(self, numbers: Sequence[int], filled: Filled) -> None:
        """Write the values of the filled positions into some of the tensors."""
        for number in numbers:
            tensor, rows = self._tensors[number], self._rows(number, filled.tokens)
            values = tensor.seeded(filled.drawn_tokens, (filled.seed, number))
            kept = tensor.first(values, filled.tokens, filled.tokens - rows)
            tensor.first(self._arrays[number], rows)[...] = kept

    def _rows(self, number: int, tokens: int) -> int:
        """Rows of a tensor that hold the last of so many tokens."""
        tensor = self._tensors[number]
        rows = self._arrays[number].shape[tensor.axis or 0]
        return kept_rows(tensor.window_tokens, rows, tokens)
