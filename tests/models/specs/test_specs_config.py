"""A config.json becomes a spec, or one message that names what is missing and what is supported."""

import json

import pytest

from harness.core.errors import ModelError
from harness.models.configs.config import spec_from_config, spec_from_file
from harness.models.specs.model import RopeScaling

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def changed(**keys):
    """LLAMA with some keys replaced; `...` removes a key."""
    merged = {**LLAMA, **keys}
    return {key: value for key, value in merged.items() if value is not ...}


def test_llama_config_gives_every_number():
    spec = spec_from_config(LLAMA, "toy")
    assert (spec.name, spec.family, spec.vocab_size, spec.hidden_size) == ("toy", "llama", 256, 64)
    assert (spec.num_layers, spec.num_heads, spec.num_kv_heads, spec.head_dim) == (2, 4, 2, 16)
    assert (spec.intermediate_size, spec.max_context_tokens) == (160, 512)
    assert (spec.norm_epsilon, spec.rope_theta) == (1e-5, 10000.0)
    assert spec.tied_embeddings
    assert not spec.qkv_bias
    assert spec.qk_norm == "none"
    assert spec.sliding_window_tokens is None
    assert spec.rope_scaling is None


def test_missing_tie_is_untied_as_in_the_transformers_classes():
    assert not spec_from_config(changed(tie_word_embeddings=...), "toy").tied_embeddings


def test_llama_without_kv_heads_has_one_per_query_head():
    assert spec_from_config(changed(num_key_value_heads=...), "toy").num_kv_heads == 4


def test_explicit_head_dim_wins_over_the_division():
    assert spec_from_config(changed(head_dim=32), "toy").head_dim == 32


def test_model_type_stands_for_missing_architectures():
    assert spec_from_config(changed(architectures=...), "toy").family == "llama"


def test_qwen2_has_biases_and_ignores_a_window_behind_its_flag():
    config = changed(
        architectures=["Qwen2ForCausalLM"], use_sliding_window=False, sliding_window=128
    )
    spec = spec_from_config(config, "toy")
    assert spec.qkv_bias
    assert spec.sliding_window_tokens is None


def test_qwen3_has_head_norms_and_heads_of_128():
    spec = spec_from_config(changed(architectures=["Qwen3ForCausalLM"]), "toy")
    assert spec.qk_norm == "per_head"
    assert not spec.qkv_bias
    assert spec.head_dim == 128


@pytest.mark.parametrize(
    ("keys", "window_tokens"),
    [({"sliding_window": 128}, 128), ({"sliding_window": None}, None), ({}, 4096)],
    ids=["given", "null", "missing: the class default"],
)
def test_mistral_window(keys, window_tokens):
    spec = spec_from_config(changed(architectures=["MistralForCausalLM"], **keys), "toy")
    assert spec.sliding_window_tokens == window_tokens


@pytest.mark.parametrize(
    ("keys", "window_tokens"),
    [
        ({"max_window_layers": 0}, 128),
        ({"max_window_layers": 2}, None),
        ({"layer_types": ["sliding_attention"] * 2}, 128),
        ({"layer_types": ["full_attention"] * 2}, None),
    ],
)
def test_qwen_window_in_all_layers_or_none(keys, window_tokens):
    config = changed(
        architectures=["Qwen3ForCausalLM"], use_sliding_window=True, sliding_window=128, **keys
    )
    assert spec_from_config(config, "toy").sliding_window_tokens == window_tokens


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_llama3_rope_in_both_forms(key):
    expected = RopeScaling("llama3", 32.0, 1.0, 4.0, 8192)
    assert spec_from_config(changed(**{key: LLAMA3_ROPE}), "toy").rope_scaling == expected


def test_linear_rope_under_its_old_key():
    spec = spec_from_config(changed(rope_scaling={"type": "linear", "factor": 4.0}), "toy")
    assert spec.rope_scaling == RopeScaling("linear", 4.0)


def test_yarn_keeps_fast_pairs_and_has_an_amplitude():
    """Amplitude = 1 + ln(4) / 10; the context first trained with may be left out."""
    yarn = {"type": "yarn", "factor": 4.0}
    scaling = spec_from_config(changed(rope_scaling=yarn), "toy").rope_scaling
    assert (scaling.kind, scaling.original_context_tokens) == ("yarn", 512)
    assert scaling.amplitude == pytest.approx(1.1386294)
    both = {**yarn, "mscale": 1.0, "mscale_all_dim": 1.0, "truncate": False}
    scaling = spec_from_config(changed(rope_scaling=both), "toy").rope_scaling
    assert (scaling.amplitude, scaling.whole_pairs, scaling.query_growth) == (1.0, False, 0.0)


def test_a_window_in_the_last_layers_only():
    config = changed(
        architectures=["Qwen2ForCausalLM"],
        use_sliding_window=True,
        sliding_window=128,
        max_window_layers=1,
    )
    spec = spec_from_config(config, "toy")
    assert [layer.window_tokens for layer in spec.layers] == [None, 128]


def test_theta_inside_rope_parameters():
    """Version 5 of transformers moves rope_theta into rope_parameters."""
    config = changed(rope_theta=..., rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    spec = spec_from_config(config, "toy")
    assert (spec.rope_theta, spec.rope_scaling) == (5e5, None)


REFUSED = {
    "no weights": ({"architectures": ["OlmoForCausalLM"]}, "needs LayerNorm without weights"),
    "unknown class": ({"architectures": ["FooLM"]}, "FooLM needs a block this version"),
    "two classes": ({"architectures": ["A", "B"]}, "several classes: A, B"),
    "no class": ({"architectures": ..., "model_type": ...}, "names no architecture"),
    "unknown type": ({"architectures": ..., "model_type": "bloom"}, "model_type 'bloom'"),
    "classes no list": ({"architectures": "LlamaForCausalLM"}, "must be a list of strings"),
    "gelu": ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
    "quantized": ({"quantization_config": {"bits": 4}}, "already quantized"),
    "own code": ({"auto_map": {"AutoModelForCausalLM": "m.Own"}}, "runs its own code"),
    "yarn bounds": (
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 0.5}},
        "fast_turns 0.5 is below slow_turns 1.0",
    ),
    "yarn factor": ({"rope_scaling": {"rope_type": "yarn", "factor": 0.0}}, "factor is 0.0"),
    "dynamic": ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope type 'dynamic'"),
    "longrope": ({"rope_parameters": {"rope_type": "longrope"}}, "rope type 'longrope'"),
    "rope per layer": ({"rope_parameters": {"full_attention": {}}}, "to other layers"),
    "rope no factor": ({"rope_scaling": {"type": "linear"}}, "factor is missing"),
    "rope no object": ({"rope_scaling": 4.0}, "rope_scaling must be an object"),
    "llama3 bounds": (
        {"rope_scaling": {**LLAMA3_ROPE, "high_freq_factor": 1.0}},
        "not above low_frequency_factor",
    ),
    "partial rotary": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
    "layer types": (
        {
            "architectures": ["Qwen3ForCausalLM"],
            "layer_types": ["full_attention", "chunked_attention"],
        },
        "attend in different ways (layer types: chunked_attention)",
    ),
    "too few layer types": (
        {"architectures": ["Qwen3ForCausalLM"], "layer_types": ["full_attention"]},
        "layer_types names 1 layers, num_hidden_layers is 2",
    ),
    "missing hidden": ({"hidden_size": ...}, "hidden_size is missing"),
    "missing layers": ({"num_hidden_layers": ...}, "num_hidden_layers is missing"),
    "missing epsilon": ({"rms_norm_eps": ...}, "rms_norm_eps is missing"),
    "missing context": ({"max_position_embeddings": ...}, "max_position_embeddings is missing"),
    "missing kv heads": (
        {"architectures": ["MistralForCausalLM"], "num_key_value_heads": ...},
        "num_key_value_heads is missing",
    ),
    "null vocabulary": ({"vocab_size": None}, "vocab_size is missing"),
    "text number": ({"hidden_size": "64"}, "hidden_size must be a whole number"),
    "fraction": ({"hidden_size": 64.5}, "hidden_size must be a whole number"),
    "boolean number": ({"num_hidden_layers": True}, "num_hidden_layers must be a whole number"),
    "text epsilon": ({"rms_norm_eps": "1e-5"}, "rms_norm_eps must be a number"),
    "text flag": ({"tie_word_embeddings": "yes"}, "tie_word_embeddings must be true or false"),
    "zero layers": ({"num_hidden_layers": 0}, "num_layers is 0"),
    "negative": ({"vocab_size": -1}, "vocab_size is -1"),
    "not a number": ({"rms_norm_eps": float("nan")}, "norm_epsilon is nan"),
    "infinite": ({"rope_theta": float("inf")}, "rope_theta is inf"),
    "400 digits": ({"vocab_size": 10**400}, "vocab_size"),
    "half a character": ({"hidden_act": "\ud800"}, r"hidden_act is '\ud800'"),
    "zero heads": ({"num_attention_heads": 0}, "does not divide into 0 heads"),
    "zero kv heads": ({"num_key_value_heads": 0}, "num_kv_heads is 0"),
    "kv groups": ({"num_key_value_heads": 3}, "4 heads cannot share 3 key-value heads"),
    "odd head": ({"head_dim": 15}, "head_dim is 15"),
    "uneven heads": ({"hidden_size": 66}, "66 does not divide into 4 heads"),
    "zero window": (
        {"architectures": ["MistralForCausalLM"], "sliding_window": 0},
        "sliding_window_tokens is 0",
    ),
}


@pytest.mark.parametrize(("keys", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_built_is_named(keys, message):
    """One message, exit code 2, the file named, and a way out."""
    with pytest.raises(ModelError) as caught:
        spec_from_config(changed(**keys), "toy")
    assert message in str(caught.value)
    assert "toy/config.json" in caught.value.problem
    assert caught.value.fix
    assert caught.value.exit_code == 2


def test_a_depth_that_no_decoder_has_is_refused_at_once():
    with pytest.raises(ModelError, match="num_layers is 1000000000"):
        spec_from_config(changed(num_hidden_layers=10**9), "toy")


@pytest.mark.parametrize("case", ["no weights", "unknown class", "no class"])
def test_a_refused_class_lists_the_supported_ones(case):
    with pytest.raises(ModelError) as caught:
        spec_from_config(changed(**REFUSED[case][0]), "toy")
    for name in ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"):
        assert name in caught.value.fix


def test_spec_from_file_equals_spec_from_config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    assert spec_from_file(path, "toy") == spec_from_config(LLAMA, "toy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b'{"hidden_size": 64', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "holds no JSON object"),
        (None, "cannot be read"),
    ],
    ids=["empty", "cut off", "no text", "too deep", "a list", "missing"],
)
def test_a_damaged_file_is_one_message(tmp_path, content, message):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        spec_from_file(path, "toy")
    assert str(tmp_path) not in str(caught.value)
