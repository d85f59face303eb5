"""Random weights are the same for ever: in any chunks, in any order, in any process."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.models.catalog.catalog import load_spec
from harness.models.specs.tensors import logical_tensors
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.seeded import CHUNK_VALUES, SeededWeights
from harness.models.weights.source import resolve_model

TABLE = "model.embed_tokens.weight"
SPEC = replace(
    load_spec("qwen2.5-0.5b"),
    vocab_size=5000,
    hidden_size=96,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=32,
    intermediate_size=300,
    tied_embeddings=False,
    qk_norm="per_head",
)
# Row 0 of smollm2-135m at seed 0.
GOLDEN = (0.07600936, 0.06587805, 0.06456618, -0.03720931)
CHUNK_ROWS = CHUNK_VALUES // SPEC.hidden_size  # 1365: the table spans four chunks


@pytest.fixture
def weights():
    return SeededWeights(SPEC, seed=0)


@pytest.mark.parametrize("step", [1, 7, 300, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 5000])
def test_any_chunking_gives_the_same_table(weights, step):
    whole = weights.tensor(TABLE)
    start = 0 if step > 1 else 4900
    parts = [weights.rows(TABLE, a, min(a + step, 5000)) for a in range(start, 5000, step)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[start:])


def test_any_range_is_that_range_of_the_whole(weights):
    """Two hundred ranges across the chunk borders, drawn with a fixed seed."""
    whole = weights.tensor(TABLE)
    generator = np.random.default_rng(1)
    for start, stop in np.sort(generator.integers(0, 5001, (200, 2)), axis=1):
        if start < stop:
            np.testing.assert_array_equal(weights.rows(TABLE, start, stop), whole[start:stop])


def test_every_tensor_has_its_shape_and_is_finite(weights):
    for tensor in logical_tensors(SPEC):
        values = weights.tensor(tensor.name)
        assert values.shape == tensor.shape
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


def test_order_of_reading_does_not_matter():
    names = [tensor.name for tensor in logical_tensors(SPEC)]
    forward, backward = SeededWeights(SPEC, 0), SeededWeights(SPEC, 0)
    there = {name: forward.tensor(name) for name in names}
    back = {name: backward.tensor(name) for name in reversed(names)}
    for name in names:
        np.testing.assert_array_equal(there[name], back[name])


def test_another_process_draws_the_same():
    """Python's own hash differs from process to process; ours must not."""
    code = (
        "import hashlib; from harness.models.catalog.catalog import load_spec\n"
        "from harness.models.weights.seeded import SeededWeights\n"
        "weights = SeededWeights(load_spec('smollm2-135m'), 3)\n"
        "rows = weights.rows('model.embed_tokens.weight', 5, 9)\n"
        "print(hashlib.sha256(rows.tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows = SeededWeights(load_spec("smollm2-135m"), 3).rows(TABLE, 5, 9)
    assert run.stdout.strip() == hashlib.sha256(rows.tobytes()).hexdigest()


def test_the_values_of_stream_version_1():
    """Written down once: whoever changes them raises identity.STREAM_VERSION."""
    rows = SeededWeights(load_spec("smollm2-135m"), 0).rows(TABLE, 0, 1)
    np.testing.assert_allclose(rows[0, :4], GOLDEN, rtol=1e-6)


def test_tensors_and_seeds_are_independent(weights):
    """The correlation of n independent pairs is below 5 / sqrt(n) all but never."""
    name = "model.layers.{}.mlp.up_proj.weight"
    first = weights.tensor(name.format(0)).ravel()
    others = (
        weights.tensor(name.format(1)),
        weights.tensor("model.layers.0.mlp.gate_proj.weight"),
        SeededWeights(SPEC, 1).tensor(name.format(0)),
    )
    for other in others:
        assert abs(np.corrcoef(first, other.ravel())[0, 1]) < 5 / np.sqrt(first.size)


def test_chunks_do_not_repeat(weights):
    table = weights.tensor(TABLE)
    assert len(np.unique(table[:, :4], axis=0)) == 5000


DEVIATIONS = {
    TABLE: (0.0, 2 / 96**0.5),
    "lm_head.weight": (0.0, 2 / 96**0.5),
    "model.layers.1.self_attn.q_proj.weight": (0.0, 1 / 96**0.5),
    "model.layers.1.self_attn.o_proj.weight": (0.0, 1 / 128**0.5),
    "model.layers.1.mlp.down_proj.weight": (0.0, 1 / 300**0.5),
    "model.layers.1.self_attn.q_proj.bias": (0.0, 0.1),
    "model.layers.1.self_attn.k_norm.weight": (1.0, 0.1),
    "model.layers.1.input_layernorm.weight": (1.0, 0.1),
    "model.norm.weight": (1.0, 0.1),
}


@pytest.mark.parametrize(("name", "expected"), DEVIATIONS.items(), ids=DEVIATIONS)
def test_mean_and_deviation_keep_activations_in_range(weights, name, expected):
    """Deviation 1/sqrt(inputs) keeps a value's deviation; within 5 standard errors."""
    mean, deviation = expected
    values = weights.tensor(name).astype(np.float64)
    error = deviation / np.sqrt(values.size)
    assert abs(values.mean() - mean) < 5 * error
    assert abs(values.std() - deviation) < 5 * error


def test_values_are_normal_with_thousands_of_levels(weights):
    """A normal has 68.27 % within one deviation, 4.55 % beyond two; 16 bits give 65,536 levels."""
    values = weights.tensor(TABLE) / (2 / 96**0.5)
    assert np.mean(np.abs(values) < 1) == pytest.approx(0.6827, abs=0.005)
    assert np.mean(np.abs(values) > 2) == pytest.approx(0.0455, abs=0.003)
    assert len(np.unique(values)) > 60_000


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (3, 2), (-1, 4), (4999, 5001)])
def test_a_range_outside_the_tensor_is_an_index_error(weights, start, stop):
    with pytest.raises(IndexError):
        weights.rows(TABLE, start, stop)


def test_a_tensor_of_another_architecture_is_a_key_error():
    with pytest.raises(KeyError):
        SeededWeights(load_spec("smollm2-135m"), 0).tensor("lm_head.weight")


def test_the_caller_owns_what_it_read(weights):
    weights.tensor(TABLE)[:] = 0
    assert weights.tensor(TABLE).any()


def test_identity_names_the_seed():
    source = resolve_model("smollm2-135m")
    assert open_weights(source, 0).identity == "seeded-v1-0"
    assert open_weights(source, 7).identity == "seeded-v1-7"
    assert open_weights(source, 7).kind == "seeded"


def test_a_negative_seed_is_a_usage_error():
    with pytest.raises(UsageError, match="the seed is -1"):
        open_weights(resolve_model("smollm2-135m"), -1)
