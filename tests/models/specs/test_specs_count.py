"""Three roads to one number: the published count, the closed formula, the tensors themselves."""

from dataclasses import replace

import pytest

from harness.models.catalog.catalog import load_spec, spec_names
from harness.models.specs.dissect import spec_structure
from harness.models.specs.tensors import (
    active_parameters,
    built_parameters,
    kv_bytes_per_token,
    logical_tensors,
    parameters,
)


@pytest.mark.parametrize("name", spec_names())
def test_formula_tensors_and_published_count_agree(name):
    spec = load_spec(name)
    assert built_parameters(spec) == sum(tensor.elements for tensor in logical_tensors(spec))
    assert spec.published_parameters is not None
    assert parameters(spec) - spec.published_parameters == spec.expected_delta


@pytest.mark.parametrize("name", spec_names())
def test_a_known_difference_gives_its_reason(name):
    spec = load_spec(name)
    assert bool(spec.expected_delta) == bool(spec.expected_delta_reason)


@pytest.mark.parametrize("name", spec_names())
def test_every_number_has_a_source_and_the_weights_a_license(name):
    spec = load_spec(name)
    assert "architecture:" in spec.source
    assert "parameters:" in spec.source
    assert spec.license
    assert "/" in spec.hf_id


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("qkv_bias", [True, False])
@pytest.mark.parametrize("qk_norm", ["none", "per_head", "full_width"])
def test_formula_equals_tensors_in_every_form(tied, qkv_bias, qk_norm):
    """The catalog has no untied Qwen; the formula must hold there too."""
    spec = replace(
        load_spec("qwen2.5-0.5b"), tied_embeddings=tied, qkv_bias=qkv_bias, qk_norm=qk_norm
    )
    assert parameters(spec) == sum(tensor.elements for tensor in logical_tensors(spec))


def test_smollm2_by_hand():
    """49152·576 + 30·(2·576·576 + 2·576·192 + 3·576·1536 + 2·576) + 576 = 134515008."""
    assert parameters(load_spec("smollm2-135m")) == 134_515_008


def test_tensor_names_are_unique_and_those_of_hugging_face():
    names = [tensor.name for tensor in logical_tensors(load_spec("qwen3-0.6b"))]
    assert len(set(names)) == len(names)
    assert names[0] == "model.embed_tokens.weight"
    assert "model.layers.27.self_attn.q_norm.weight" in names
    assert "lm_head.weight" not in names


def test_matrices_are_outputs_by_inputs():
    shapes = {tensor.name: tensor.shape for tensor in logical_tensors(load_spec("qwen2.5-0.5b"))}
    assert shapes["model.layers.0.self_attn.k_proj.weight"] == (128, 896)
    assert shapes["model.layers.0.self_attn.k_proj.bias"] == (128,)
    assert shapes["model.layers.0.self_attn.o_proj.weight"] == (896, 896)
    assert shapes["model.layers.0.mlp.down_proj.weight"] == (896, 4864)


def test_untied_head_is_a_tensor_of_its_own():
    shapes = {tensor.name: tensor.shape for tensor in logical_tensors(load_spec("tinyllama-1.1b"))}
    assert shapes["lm_head.weight"] == shapes["model.embed_tokens.weight"] == (32000, 2048)


def test_cache_growth_of_smollm2():
    """2·30 layers·3 heads·64 wide·2 bytes = 23040, as catalogued at float16."""
    assert kv_bytes_per_token(load_spec("smollm2-135m"), 2) == 23_040
    assert kv_bytes_per_token(load_spec("smollm2-135m"), 4) == 46_080


def test_minilm_by_hand():
    """22713216 parameters, of which the pooler's 384² + 384 = 147840 are not built.

    (30522 + 512 + 2)·384 + 768 + 6·(4·(384² + 384) + 2·384·1536 + 1536 + 384 + 4·384) + 147840
    """
    spec = load_spec("all-minilm-l6-v2")
    assert parameters(spec) == 22_713_216
    assert built_parameters(spec) == 22_713_216 - 147_840


def test_an_encoder_has_no_cache():
    assert kv_bytes_per_token(load_spec("bge-small-en-v1.5"), 4) == 0


def test_mixtral_uses_two_of_eight_experts():
    """141e9 - 56 layers · 6 idle experts · 3·6144·16384; a model without experts uses all."""
    spec = load_spec("mixtral-8x22b")
    assert active_parameters(spec) == parameters(spec) - 56 * 6 * 3 * 6144 * 16384
    assert active_parameters(load_spec("gpt2")) is None


@pytest.mark.parametrize("name", ["mixtral-8x22b", "qwen3-30b-a3b", "qwen1.5-moe-a2.7b"])
def test_two_formulas_for_active_parameters_agree(name):
    spec = load_spec(name)
    assert active_parameters(spec) == spec_structure(spec).active_parameters
