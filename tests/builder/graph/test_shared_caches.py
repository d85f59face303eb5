"""Layers that read the keys and values of others: what their nodes read and write."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness.builder.graph.decoder import decoder_model
from harness.builder.graph.geometry import CacheShape, geometry_of
from harness.builder.quantize.levels import LEVELS
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model
from tests.builder.graph.seeded_folder import folder_of
from tests.tiny import SPECS


def attentions(name):
    """The attention nodes of a tiny model, by layer."""
    model = decoder_model(SPECS[name], LEVELS["fp32"], every_position=False)
    return [node for node in model.graph.node if node.op_type == "GroupQueryAttention"]


@pytest.mark.parametrize("name", SPECS)
def test_every_attention_names_its_keys_and_values(name):
    """Without present outputs the operator ignores its past, and says nothing."""
    for node in attentions(name):
        assert len(node.output) == 3
        assert all(node.output)


def test_readers_read_the_last_layer_that_sees_as_much():
    """Layers 2 (window) and 3 (everything) of four share: they read those of 0 and 1."""
    read = [node.input[3] for node in attentions("gemma4")]
    assert read == [
        *("past_key_values.0.key", "past_key_values.1.key"),
        *("present.0.key", "present.1.key"),
    ]


def test_only_owners_have_a_cache_each_of_its_width():
    geometry = geometry_of(SPECS["gemma4"], LEVELS["int4"])
    assert geometry.layer_caches == (CacheShape(0, 2, 32), CacheShape(1, 2, 64))


def test_rows_of_stacked_experts_are_read_one_expert_at_a_time():
    """Gate and up of gpt-oss lie by turns along the outputs, [experts, inputs, outputs]."""
    folder = folder_of("gpt_oss-sinks")
    weights = open_weights(resolve_model(str(folder)))
    stored = load_file(folder / "model.safetensors")["model.layers.1.mlp.experts.gate_up_proj"]
    for turn, part in enumerate(("gate_proj", "up_proj")):
        name = f"model.layers.1.mlp.experts.3.{part}.weight"
        expected = stored[3, :, turn::2].T.astype(np.float32)
        np.testing.assert_array_equal(weights.tensor(name), expected)
        np.testing.assert_array_equal(weights.rows(name, 5, 9), expected[5:9])
