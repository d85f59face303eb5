"""A real decoder that builds and opens in milliseconds, for tests of what runs it."""

from dataclasses import asdict, replace

import numpy as np

from harness.builder.graph.decoder import ALL_LOGITS_FILE, GRAPH_FILE, build_decoder, write_graphs
from harness.builder.graph.geometry import geometry_of
from harness.builder.quantize.cache_scales import LayerScales, ScaledCache, channel_scales
from harness.builder.quantize.levels import find_cache, find_level
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.growing import GrowingDecoder
from harness.models.specs.model import ModelSpec
from harness.models.weights.seeded import SeededWeights

SPEC = ModelSpec(
    name="tiny",
    family="llama",
    vocab_size=96,
    hidden_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=16,
    intermediate_size=96,
    tied_embeddings=True,
    max_context_tokens=64,
    rope_theta=10_000.0,
)


class OverflowingWeights(SeededWeights):
    """Weights that are numbers, and logits that are none: the last norm scales by 1e38."""

    def tensor(self, name):
        return super().tensor(name) * np.float32(1e38 if name == "model.norm.weight" else 1)


class TinyDecoder:
    """The built files of SPEC at one level, and what opens them."""

    def __init__(
        self,
        folder,
        level="fp32",
        max_context_tokens=SPEC.max_context_tokens,
        weights=SeededWeights,
        cache="auto",
        **spec_changes,
    ):
        spec = replace(SPEC, max_context_tokens=max_context_tokens, **spec_changes)
        row = find_level(level)
        build_decoder(spec, row, weights(spec, 0), folder)
        self.graph = folder / GRAPH_FILE
        self.all_logits_graph = folder / ALL_LOGITS_FILE
        self.geometry = geometry_of(spec, row)
        stored = find_cache(cache, row)
        if stored.dtype != self.geometry.kv_dtype:
            write_graphs(spec, row, folder, self.scaled(stored))
            self.geometry = geometry_of(spec, row, stored)

    def scaled(self, cache):
        """The cache with scales from 64 random tokens, as the float cache holds them now."""
        if not cache.is_integer:
            return ScaledCache(cache)
        decoder = GrowingDecoder(self.open(), self.geometry, 1)
        decoder.prefill(np.random.default_rng(5).integers(0, SPEC.vocab_size, (1, 64)))
        return ScaledCache(
            cache,
            tuple(
                LayerScales(
                    *(
                        channel_scales(decoder.half(layer, half)[0].swapaxes(0, 1), cache)
                        for half in ("key", "value")
                    )
                )
                for layer in range(self.geometry.num_layers)
            ),
        )

    def open(self, every_position=False):
        graph = self.all_logits_graph if every_position else self.graph
        return open_session(graph, find_device("cpu"), threads=1)

    def open_arguments(self, capacity_tokens=64, **others):
        """What `open` is told: a session, and the size of its cache."""
        return {**self.session_arguments(**others), "capacity_tokens": capacity_tokens}

    def session_arguments(self, batch=1, seed=0):
        """What the measuring worker is told of any session, as it travels."""
        return {
            "graph": str(self.graph),
            "geometry": asdict(self.geometry),
            "device": "cpu",
            "threads": 1,
            "batch": batch,
            "seed": seed,
        }
