"""Builds static decoders of the tiny architectures and runs them in plain sessions."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.builder.graph.static.block import Norm
from harness.builder.graph.static.feed import write_cache, write_mask
from harness.builder.graph.static.geometry import ALL_POSITIONS_FILE, STEP_FILE, StaticGeometry
from harness.builder.quantize.levels import find_level
from harness.store.static_build import build_static_decoder
from tests.builder.graph.random_weights import RandomWeights
from tests.builder.graph.run_graph import open_graph
from tests.tiny import SPECS

PREFILL_TOKENS, CAPACITY_TOKENS = 8, 40


def calibration_ids(name):
    """Eight sequences of 40 tokens."""
    return np.random.default_rng(7).integers(0, SPECS[name].vocab_size, (8, CAPACITY_TOKENS))


def build(
    name: str, level: str, folder: Path, norm: Norm = Norm.OPERATOR, capacity=CAPACITY_TOKENS
) -> StaticGeometry:
    """One tiny architecture at one level."""
    spec, ids = SPECS[name], calibration_ids(name)[:, :capacity]
    weights = RandomWeights(spec)
    return build_static_decoder(
        spec, find_level(level), weights, folder, PREFILL_TOKENS, capacity, ids, norm
    )


class StaticRun:
    """Logits of every token that passes through the two graphs."""

    def __init__(self, folder: Path, geometry: StaticGeometry) -> None:
        self._geometry = geometry
        self._sessions = {
            1: open_graph(folder / STEP_FILE),
            geometry.prefill_tokens: open_graph(folder / ALL_POSITIONS_FILE),
        }
        shapes, dtype = (geometry.key_shape, geometry.value_shape), geometry.kv_dtype
        self._cache = [[np.zeros(s, dtype) for s in shapes] for _ in range(geometry.num_layers)]
        self._depth = 0

    def run(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Pass `ids` [tokens] through, in passes that are padded; logits [tokens, vocab]."""
        width = 1 if len(ids) == 1 else self._geometry.prefill_tokens
        starts = range(0, len(ids), width)
        return np.concatenate([self._pass(ids[at : at + width], width) for at in starts])

    def _pass(self, ids, width):
        geometry, count = self._geometry, len(ids)
        mask = np.empty((width, geometry.capacity_tokens + width), np.float32)
        write_mask(mask, geometry, self._depth)
        fed = {
            "input_ids": np.pad(ids, (0, width - count)).astype(np.int32),
            "positions": np.minimum(
                self._depth + np.arange(width), geometry.capacity_tokens - 1
            ).astype(np.int32),
            "attention_mask": mask,
        }
        for layer, (keys, values) in enumerate(self._cache):
            fed |= {f"past_keys.{layer}": keys, f"past_values.{layer}": values}
        logits, *new = self._sessions[width].run(None, fed)
        for layer, halves in enumerate(self._cache):
            write_cache(*halves, *new[2 * layer : 2 * layer + 2], self._depth, count)
        self._depth += count
        return logits[:count]
