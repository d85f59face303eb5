"""A static decoder over two sessions: whole passes for a prompt, one token for a step.

All shapes are fixed, so everything is bound once; a run only writes the inputs that differ, and
what is new into the cache. What `DecoderSession` is for the fused decoder, this is for the static
one: the same passes run on both.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.random import SFC64, Generator
from numpy.typing import NDArray

from harness.builder.graph.static.feed import write_cache, write_mask
from harness.builder.graph.static.geometry import StaticGeometry
from harness.builder.quantize.levels import CACHES
from harness.devices.session import OpenedSession
from harness.engine.buffers import aligned_zeros, fill_cache
from harness.engine.cached import CachedDecoder
from harness.engine.checks import check_ids, check_room

Halves = tuple[NDArray[Any], NDArray[Any]]  # keys and values of one layer
BYTES = range(64, 192)  # what a filled cache of integers holds: the middle of its grid


class StaticDecoder(CachedDecoder):
    """One opened static decoder: one sequence, a cache of the built capacity.

    Attributes:
        geometry: shapes and types of both graphs.
    """

    def __init__(
        self, prefill: OpenedSession, step: OpenedSession, geometry: StaticGeometry
    ) -> None:
        """Allocate and bind everything.

        Args:
            prefill: a session of the prefill graph.
            step: a session of the step graph of the same build.
            geometry: what the build returned.
        """
        super().__init__((prefill, step), 1, geometry.vocab_size, geometry.capacity_tokens)
        self.geometry = geometry
        self._cache: list[Halves] = _empty_cache(geometry)
        shared = geometry, self._cache, self._last_logits
        self._prefill = _BoundGraph(prefill.session, geometry.prefill_tokens, *shared)
        self._step = _BoundGraph(step.session, 1, *shared)
        self._fed: NDArray[np.int64] = self._history[:0, 0]

    def feed(self, ids: NDArray[np.int64]) -> None:
        """Everything that `prefill` does before the run: check and copy `ids`."""
        check_ids(ids, self.batch, self.geometry.vocab_size)
        check_room(self._depth_tokens, ids.shape[1], self.capacity_tokens)
        self._fed = ids[0].copy()

    def run(self) -> None:
        """The run alone, over what was fed: pass after pass, a single token as a step."""
        tokens = self.geometry.prefill_tokens
        for start in range(0, len(self._fed), tokens):
            part = self._fed[start : start + tokens]
            graph = self._step if len(part) == 1 else self._prefill
            graph.run(part, self._depth_tokens)
            self._depth_tokens += len(part)

    def greedy_step(self) -> None:
        """A whole decode step: read `next_ids`, run, pick the next ones greedily (argmax).

        Raises:
            UsageError: the cache is full.
        """
        depth_tokens = self._depth_tokens
        if depth_tokens >= self.capacity_tokens:
            check_room(depth_tokens, 1, self.capacity_tokens)
        self._step.run(self._history[depth_tokens], depth_tokens)
        self._last_logits.argmax(1, self._history[depth_tokens + 1])
        self._depth_tokens = depth_tokens + 1

    def prepare_steps(self, first_tokens: int, steps: int) -> None:
        """Check that there is room for greedy steps; nothing has to be made for them.

        Raises:
            UsageError: the cache does not hold so many positions.
        """
        check_room(first_tokens, steps, self.capacity_tokens)

    def fill(self, depth_tokens: int, seed: int) -> None:
        """Write seeded values into every position below `depth_tokens` and stand there.

        Raises:
            UsageError: more positions than the cache has.
        """
        check_room(0, depth_tokens, self.capacity_tokens)
        for layer, (keys, values) in enumerate(self._cache):
            parts = keys[:, :, :depth_tokens], values[:, :depth_tokens]
            for half, part in enumerate(parts):
                _fill(part, (seed, layer, half))
        self._depth_tokens = depth_tokens


class StaticReader:
    """A static decoder that gives the logits of every token: whole passes, also of the last one.

    Attributes:
        geometry: shapes and types of the graph.
    """

    def __init__(self, opened: OpenedSession, geometry: StaticGeometry) -> None:
        """Allocate and bind everything; `opened` is the graph with every position's logits."""
        self.geometry = geometry
        self._cache: list[Halves] = _empty_cache(geometry)
        tokens = geometry.prefill_tokens
        self._logits = aligned_zeros((tokens, geometry.vocab_size), np.float32)
        self._graph = _BoundGraph(opened.session, tokens, geometry, self._cache, self._logits)

    def read(self, ids: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
        """Yield the logits of each pass over `ids` [tokens], from an empty cache, padding left out.

        The next pass overwrites them.

        Raises:
            UsageError: more tokens than the cache has positions.
        """
        check_room(0, len(ids), self.geometry.capacity_tokens)
        for depth in range(0, len(ids), self.geometry.prefill_tokens):
            part = ids[depth : depth + self.geometry.prefill_tokens]
            self._graph.run(part, depth)
            yield self._logits[: len(part)]


class _BoundGraph:
    """One of the graphs, bound to the cache and to its own inputs and outputs."""

    def __init__(
        self,
        session: ort.InferenceSession,
        tokens: int,
        geometry: StaticGeometry,
        cache: list[Halves],
        logits: NDArray[np.float32],
    ) -> None:
        """Allocate what this graph alone needs; `tokens` are read at once."""
        heads, width, capacity = geometry.key_shape
        self._geometry = geometry
        self._cache = cache
        self._new: list[Halves] = [
            (
                aligned_zeros((heads, tokens, width), geometry.kv_dtype),
                aligned_zeros((tokens, heads * width), geometry.kv_dtype),
            )
            for _ in cache
        ]
        self._ids = aligned_zeros((tokens,), np.int32)
        self._positions = aligned_zeros((tokens,), np.int32)
        self._mask = aligned_zeros((tokens, capacity + tokens), np.float32)
        self._last = aligned_zeros((1,), np.int32)
        self._offsets = np.arange(tokens, dtype=np.int32)
        self._binding = session.io_binding()
        self._run = session.run_with_iobinding
        inputs = {
            "input_ids": self._ids,
            "positions": self._positions,
            "attention_mask": self._mask,
        }
        if len(logits) != tokens:  # one of several is picked
            inputs["last_position"] = self._last
        outputs: dict[str, NDArray[Any]] = {"logits": logits}
        for layer, (past, new) in enumerate(zip(cache, self._new, strict=True)):
            inputs |= {f"past_keys.{layer}": past[0], f"past_values.{layer}": past[1]}
            outputs |= {f"new_keys.{layer}": new[0], f"new_values.{layer}": new[1]}
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for name, array in outputs.items():
            self._binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))

    def run(self, ids: NDArray[np.int64], depth_tokens: int) -> None:
        """Read `ids` [at most the graph's tokens] at a depth and cache what they give.

        Padding stands behind them, unseen by any of them, and is not cached.
        """
        count = len(ids)
        self._ids[:count] = ids
        np.add(self._offsets, depth_tokens, out=self._positions)
        np.minimum(self._positions, self._geometry.capacity_tokens - 1, out=self._positions)
        self._last[0] = count - 1
        write_mask(self._mask, self._geometry, depth_tokens)
        self._run(self._binding)
        for past, new in zip(self._cache, self._new, strict=True):
            write_cache(*past, *new, depth_tokens, count)


def _empty_cache(geometry: StaticGeometry) -> list[Halves]:
    """Keys and values of every layer, zeros."""
    return [
        (
            aligned_zeros(geometry.key_shape, geometry.kv_dtype),
            aligned_zeros(geometry.value_shape, geometry.kv_dtype),
        )
        for _ in range(geometry.num_layers)
    ]


def _fill(part: NDArray[Any], seeds: tuple[int, ...]) -> None:
    """Write seeded values: normal ones, or integers from the middle of their grid."""
    if part.dtype == np.float32:
        fill_cache(part[None], CACHES["fp32"], seeds)
        return
    generator = Generator(SFC64(seeds))
    for rows in part:
        rows[...] = generator.integers(BYTES.start, BYTES.stop, rows.shape, dtype=part.dtype)
