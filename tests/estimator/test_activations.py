"""What a prompt takes beside weights and cache."""

from dataclasses import replace

import pytest

from harness.builder.quantize.levels import LEVELS
from harness.core.units import MIB
from harness.estimator.activations import Shape, activation_bytes, score_bytes
from harness.estimator.memory import ANY_ENGINE, ORT_CPU, peak_memory
from harness.models.catalog.catalog import catalog_model
from harness.models.specs.dissect import spec_structure
from harness.models.specs.model import ModelSpec

FP32 = LEVELS["fp32"]


def structure_with(name: str, **changes: object):
    """A model of the catalog with other fields."""
    spec = catalog_model(name).structure.spec
    assert isinstance(spec, ModelSpec)
    return spec_structure(replace(spec, **changes))


@pytest.mark.parametrize(
    ("name", "allocated_mib"),
    [
        ("smollm2-135m", 19.1),
        ("qwen2.5-0.5b", 42.2),
        ("gemma-3-270m", 31.0),
        ("lfm2-350m", 63.0),
        ("granite-4.0-h-350m", 52.6),
        ("qwen3.5-0.8b", 135.0),
    ],
)
def test_arrays_are_those_that_onnxruntime_allocates(name, allocated_mib):
    """The most that was allocated at once in a prompt of 512, arena off, onnxruntime 1.32.0."""
    found = activation_bytes(catalog_model(name).structure, FP32, Shape(512, 512, 1)) / MIB
    assert found == pytest.approx(allocated_mib, rel=0.01)


def test_arrays_of_a_llama_by_hand():
    """4 streams of 576, qkv of 960 three times, 3 of 1536: 9,792 values of 4 bytes a token."""
    model = catalog_model("smollm2-135m").structure
    values = 4 * 576 + 3 * 960 + 3 * 1536
    assert activation_bytes(model, FP32, Shape(100, 900, 2)) == 200 * 4 * values


def test_int4_adds_activations_of_eight_bits():
    """Of one layer: qkv, gate and up read 576, the output 576, down 1536; 10 bytes for 8 values."""
    model = catalog_model("smollm2-135m").structure
    plain, int4 = (activation_bytes(model, LEVELS[k], Shape(64, 64, 1)) for k in ("fp32", "int4"))
    assert int4 - plain == 64 * (4 * 576 + 1536) * 1.25


def test_half_floats_are_multiplied_as_floats():
    """Every array is there in 2 and in 4 bytes; what attention takes itself in 4."""
    model = catalog_model("smollm2-135m").structure
    found = activation_bytes(model, LEVELS["fp16"], Shape(512, 512, 1)) / MIB
    assert found == pytest.approx(27.2, rel=0.02)  # allocated


def test_scores_are_whole_only_with_caps_and_sinks():
    """8 heads of 2,048 tokens: 128 MiB; a plain one goes tile by tile."""
    shape = Shape(2048, 2048, 1)
    plain = structure_with("smollm2-135m", num_heads=8, num_kv_heads=8)
    assert score_bytes(plain, shape) == 0
    assert score_bytes(plain, shape, written_out=1) == 128 * MIB
    capped = structure_with("smollm2-135m", num_heads=8, num_kv_heads=8, attention_softcap=30.0)
    sinks = structure_with("smollm2-135m", num_heads=8, num_kv_heads=8, attention_sinks=True)
    assert score_bytes(capped, shape) == score_bytes(sinks, shape) == 128 * MIB


def test_encoders_hold_scores_and_their_mask():
    """12 heads and one mask of 8 texts of 512; one that is causal goes tile by tile."""
    shape = Shape(512, 512, 8)
    bge, qwen = (catalog_model(n).structure for n in ("bge-small-en-v1.5", "qwen3-embedding-0.6b"))
    assert score_bytes(bge, shape) == 13 * 8 * 512 * 512 * 4
    assert score_bytes(qwen, shape) == 0
    modern, one = catalog_model("modernbert-base").structure, Shape(512, 512, 1)
    allocated = activation_bytes(modern, FP32, one) + score_bytes(modern, one)
    assert allocated / MIB == pytest.approx(38.75, rel=0.01)


def test_a_long_prompt_of_32_heads_needs_no_two_gib():
    """32 heads x 4,096 x 4,096 x 4 bytes were 2 GiB that nobody takes."""
    model = catalog_model("llama-3.2-1b").structure
    memory = peak_memory(model, LEVELS["int4"], prompt_tokens=4096)
    assert memory.part_bytes("score matrices") == 0
    out = peak_memory(model, LEVELS["int4"], prompt_tokens=4096, written_out=1)
    assert out.part_bytes("score matrices") == 32 * 4096 * 4096 * 4
    five = peak_memory(model, LEVELS["int4"], prompt_tokens=4096, written_out=5)
    assert five.part_bytes("score matrices") == 5 * out.part_bytes("score matrices")
    elsewhere = peak_memory(
        model, LEVELS["int4"], prompt_tokens=4096, written_out=1, runtime=ANY_ENGINE
    )
    assert elsewhere.part_bytes("score matrices") == 0


def test_readers_of_another_cache_write_one_for_nobody():
    """Gemma 4 E2B: keys and values of full layers, 512 wide, and of sliding ones, 256 wide."""
    model = catalog_model("gemma-4-e2b").structure
    memory = peak_memory(model, FP32, prompt_tokens=1000, depth_tokens=1000)
    assert memory.part_bytes("second caches") == 2 * (512 + 256) * 2000 * 4
    plain = peak_memory(catalog_model("smollm2-135m").structure, FP32, prompt_tokens=64)
    assert plain.part_bytes("second caches") == 0


def test_a_depth_that_states_remember_is_read_in_chunks():
    """A step behind 1,024 tokens has read 256 at once; one over keys and values only itself."""
    hybrid, plain = (catalog_model(n).structure for n in ("lfm2-350m", "smollm2-135m"))
    for model, tokens in ((hybrid, 256), (plain, 1)):
        memory = peak_memory(model, FP32, prompt_tokens=1, depth_tokens=1024, gen_tokens=16)
        logits = 4 * model.vocab_size
        expected = activation_bytes(model, FP32, Shape(tokens, 0, 1)) + logits
        assert memory.part_bytes("activations") == expected
        again = expected - logits if tokens > 1 else 0  # four chunks of one length
        assert memory.part_bytes("planned again") == again


def test_a_batch_reads_on_one_sequence_after_another():
    """Three prompts of 64 run at once from nothing, and one at a time behind 100 tokens."""
    model = catalog_model("smollm2-135m").structure
    first, later = (
        peak_memory(model, FP32, prompt_tokens=64, depth_tokens=depth, batch=3, runtime=ORT_CPU)
        for depth in (0, 100)
    )
    logits = 3 * 4 * model.vocab_size
    at_once, alone = (m.part_bytes("activations") - logits for m in (first, later))
    assert at_once == 3 * alone
