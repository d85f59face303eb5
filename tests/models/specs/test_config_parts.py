"""A config.json of a larger model gives its text part; packed weights are named."""

import pytest

from harness.core.errors import ModelError
from harness.models.configs.config import spec_from_config

TEXT = {
    "model_type": "gemma3_text",
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 6,
    "sliding_window": 8,
    "rope_scaling": {"rope_type": "linear", "factor": 8.0},
}
WHOLE = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "text_config": TEXT,
    "vision_config": {"hidden_size": 32, "model_type": "siglip_vision_model"},
}


def test_the_text_part_is_built_and_named():
    """Transformers 4 leaves the defaults of the class out of a text part."""
    spec = spec_from_config(WHOLE, "toy")
    assert spec.part_of == "Gemma3ForConditionalGeneration"
    assert (spec.family, spec.num_heads, spec.num_kv_heads) == ("gemma3_text", 8, 4)
    assert (spec.vocab_size, spec.head_dim, spec.max_context_tokens) == (262_208, 256, 131_072)
    assert spec.rope_scaling.factor == 8.0
    assert spec.tied_embeddings


def test_what_only_the_whole_model_says_holds_for_its_text_part():
    plain = {
        "model_type": "mistral",
        "vocab_size": 96,
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "sliding_window": None,
    }
    whole = {"architectures": ["Mistral3ForConditionalGeneration"], "text_config": plain}
    assert not spec_from_config(whole, "toy").tied_embeddings
    assert spec_from_config({**whole, "tie_word_embeddings": True}, "toy").tied_embeddings
    own = {**whole, "text_config": {**plain, "tie_word_embeddings": False}}
    assert not spec_from_config({**own, "tie_word_embeddings": True}, "toy").tied_embeddings


def test_a_decoder_alone_is_no_part():
    alone = {"architectures": ["Gemma3ForCausalLM"], "text_config": {"model_type": "llama"}}
    numbers = {"vocab_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}
    rest = {"max_position_embeddings": 64, "rms_norm_eps": 1e-6}
    assert spec_from_config({**TEXT, **alone, **numbers, **rest}, "toy").part_of == ""


REFUSED = {
    "no text part": ({"text_config": None}, "there is no text_config"),
    "unknown part": ({"text_config": {"model_type": "bloom"}}, "needs an image encoder"),
    "unknown class": (
        {"architectures": ["FooForConditionalGeneration"], "text_config": {"model_type": "bloom"}},
        "a text part of model_type 'bloom', which is not known",
    ),
    "both directions": (
        {"architectures": ["PaliGemmaForConditionalGeneration"]},
        "attention in both directions",
    ),
    "no object": ({"text_config": "gemma"}, "text_config must be an object"),
    "packed": ({"quantization_config": {"quant_method": "gptq"}}, "quantized (GPTQ)"),
}


@pytest.mark.parametrize(("keys", "message"), REFUSED.values(), ids=REFUSED)
def test_a_part_that_cannot_be_built_is_named(keys, message):
    with pytest.raises(ModelError) as caught:
        spec_from_config({**WHOLE, **keys}, "toy")
    assert message in str(caught.value)
    assert "toy/config.json" in caught.value.problem


@pytest.mark.parametrize(
    ("method", "called", "way_out"),
    [
        ("mxfp4", "MXFP4", "dequantize=True"),
        ("bitsandbytes", "bitsandbytes", "model.dequantize()"),
        ("gptq", "GPTQ", "that it was made from"),
        ("awq", "AWQ", "that it was made from"),
        ("fp8", "fp8", "FineGrainedFP8Config"),
        ("compressed-tensors", "compressed-tensors", "that it was made from"),
        ("newest", "newest", "that it was made from"),
    ],
)
def test_packed_weights_are_named_with_the_way_out(method, called, way_out):
    config = {**WHOLE, "quantization_config": {"quant_method": method, "bits": 4}}
    with pytest.raises(ModelError) as caught:
        spec_from_config(config, "toy")
    assert f"already quantized ({called})" in caught.value.problem
    assert way_out in caught.value.fix
