"""A real encoder that builds and opens in milliseconds, for tests of what runs it."""

from dataclasses import asdict, replace

import numpy as np

from harness.builder.graph.encoder import build_encoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import GRAPH_FILE
from harness.builder.quantize.levels import find_level
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.encoder import EncoderSession
from harness.models.specs.model import EncoderSpec
from harness.models.weights.seeded import SeededWeights

SPEC = EncoderSpec(
    name="tiny",
    family="bert",
    vocab_size=96,
    hidden_size=64,
    num_layers=2,
    num_heads=4,
    intermediate_size=96,
    max_context_tokens=32,
    token_types=2,
    pooler=False,
)


class OverflowingWeights(SeededWeights):
    """Weights that are numbers, and embeddings that are none: the last norm scales by 2e38."""

    def tensor(self, name):
        last = f"model.layers.{SPEC.num_layers - 1}.mlp_norm.weight"
        return super().tensor(name) * np.float32(2e38 if name == last else 1)


class TinyEncoder:
    """The built files of SPEC at one level, and what opens them."""

    def __init__(self, folder, level="fp32", weights=SeededWeights, **changes):
        spec = replace(SPEC, **changes)
        build_encoder(spec, find_level(level), weights(spec, 0), folder)
        self.graph = folder / GRAPH_FILE
        self.geometry = geometry_of(spec, find_level(level))

    def open(self):
        opened = open_session(self.graph, find_device("cpu"), threads=1)
        return EncoderSession(opened, self.geometry)

    def session_arguments(self, seed=0):
        """What the measuring worker is told of any session, as it travels."""
        return {
            "graph": str(self.graph),
            "geometry": asdict(self.geometry),
            "device": "cpu",
            "threads": 1,
            "batch": 1,
            "seed": seed,
        }
