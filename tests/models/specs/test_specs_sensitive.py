"""Which matrices a mixed level keeps at more bits."""

import pytest

from harness.models.catalog.catalog import load_spec, spec_names
from harness.models.specs.model import is_sensitive, sensitive_layers
from harness.models.specs.tensors import logical_tensors


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (1, {0}),
        (5, {2, 4}),
        (16, {0, 1, 4, 7, 10, 13, 14, 15}),
        (30, {0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29}),
    ],
)
def test_first_and_last_eighth_and_every_third_between(layers, expected):
    """16 layers: eighths are 0, 1 and 14, 15; between them 2 + 2, 2 + 5, ...: 4, 7, 10, 13."""
    assert sensitive_layers(layers) == expected


@pytest.mark.parametrize("name", spec_names())
def test_about_half_of_the_layers_are_sensitive(name):
    """A third of the six layers of the smallest encoders, half of the others."""
    spec = load_spec(name)
    assert 0.33 <= len(sensitive_layers(spec.num_layers)) / spec.num_layers <= 0.6


def test_only_qkv_and_down_are_meant():
    """Layer 4 of 5, as a checkpoint and as a graph names its matrices; layer 3 is ordinary."""
    for matrix in ("self_attn.q_proj", "self_attn.qkv_proj.quantized", "mlp.down_proj.weight"):
        assert is_sensitive(f"model.layers.4.{matrix}", 5)
        assert not is_sensitive(f"model.layers.3.{matrix}", 5)
    for matrix in ("self_attn.o_proj.weight", "self_attn.q_norm.weight", "mlp.up_proj.weight"):
        assert not is_sensitive(f"model.layers.4.{matrix}", 5)
    assert not is_sensitive("model.embed_tokens.weight", 5)


def test_every_sensitive_tensor_is_a_matrix():
    spec = load_spec("qwen2.5-0.5b")
    kept = [t for t in logical_tensors(spec) if len(t.shape) == 2]
    kept = [t.name for t in kept if is_sensitive(t.name, spec.num_layers)]
    assert len(kept) == 4 * len(sensitive_layers(spec.num_layers))
