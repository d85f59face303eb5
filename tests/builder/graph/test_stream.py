"""Which thread stores which rows changes no byte, and what goes wrong in one is told."""

import numpy as np
import pytest

from harness.builder.graph import stream
from harness.builder.graph.datafile import DataFile
from harness.builder.graph.storage import plan_storage
from harness.builder.graph.stream import stream_weight, stream_weights
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import ModelError
from harness.models.weights.seeded import SeededWeights
from tests.tiny import SPECS

# Each way to store a matrix, a table, and experts whose gate and up give rows by turns.
KINDS = [
    *(("llama", level) for level in ("fp32", "fp16", "int8", "int4", "int8-block", "int4-kquant")),
    *(("mixtral", level) for level in ("fp32", "int8", "int4")),
]


@pytest.mark.parametrize(("name", "level"), KINDS)
def test_threads_write_the_bytes_of_one(name, level, tmp_path, monkeypatch):
    """In pieces of a few rows; a seeded row is the same in whatever piece it is drawn."""
    spec, row = SPECS[name], LEVELS[level]
    store = SeededWeights(spec, 7)
    with DataFile(tmp_path / "one") as file:
        for weight in plan_storage(spec, row):
            stream_weight(file, weight, store)
    monkeypatch.setattr(stream, "usable_processors", lambda: 4)
    monkeypatch.setattr(stream, "CHUNK_WEIGHTS", 700)
    with DataFile(tmp_path / "four") as file:
        stream_weights(file, plan_storage(spec, row), store)
    assert (tmp_path / "four").read_bytes() == (tmp_path / "one").read_bytes()


class Broken(SeededWeights):
    """Seeded weights with an infinity in one row."""

    def rows(self, name, start, stop):
        values = super().rows(name, start, stop)
        if name.endswith("layers.1.mlp.down_proj.weight") and start <= 70 < stop:
            values[70 - start, 0] = np.inf
        return values


@pytest.mark.parametrize("level", ["fp32", "int8", "int4"])
def test_what_fails_in_a_thread_ends_the_build(level, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "usable_processors", lambda: 2)
    monkeypatch.setattr(stream, "CHUNK_WEIGHTS", 700)
    spec = SPECS["llama"]
    with DataFile(tmp_path / "data") as file, pytest.raises(ModelError, match=r"1\.mlp\.down_proj"):
        stream_weights(file, plan_storage(spec, LEVELS[level]), Broken(spec, 7))
