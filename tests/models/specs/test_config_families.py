"""The config.json of each family becomes the fields that tell its block from Llama's."""

import pytest

from harness.core.errors import ModelError
from harness.models.catalog.catalog import load_spec
from harness.models.configs.config import spec_from_config
from harness.models.specs.model import Experts

COMMON = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
}
SHORT = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
LONGROPE = {"type": "longrope", "short_factor": SHORT, "long_factor": [9.0] * 8}


def spec_of(name, **keys):
    """COMMON under a class, some keys replaced; `...` removes a key."""
    merged = {"architectures": [name], **COMMON, **keys}
    return spec_from_config({key: v for key, v in merged.items() if v is not ...}, "toy")


def test_olmo2_has_its_norms_after_and_over_the_full_width():
    spec = spec_of("Olmo2ForCausalLM", num_key_value_heads=...)
    assert (spec.norm_order, spec.qk_norm, spec.num_kv_heads) == ("after", "full_width", 4)


def test_gemma_says_gelu_and_means_tanh():
    spec = spec_of("GemmaForCausalLM", hidden_act="gelu")
    assert (spec.activation, spec.scaled_embedding, spec.tied_embeddings) == (
        "gelu_tanh",
        True,
        True,
    )
    assert spec.head_dim == 256


def test_gemma2_has_caps_and_a_window_in_every_second_layer():
    spec = spec_of("Gemma2ForCausalLM", query_pre_attn_scalar=144, head_dim=16)
    assert (spec.attention_softcap, spec.logit_softcap) == (50.0, 30.0)
    assert [spec.window_tokens(layer) for layer in range(4)] == [4096, None, 4096, None]
    assert spec.score_scale == 1 / 12


def test_a_null_cap_is_none():
    assert spec_of("Gemma2ForCausalLM", final_logit_softcapping=None).logit_softcap is None


@pytest.mark.parametrize(
    "keys",
    [
        {"rope_theta": 1e6, "rope_local_base_freq": 500.0},
        {
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
            }
        },
    ],
    ids=["transformers 4", "transformers 5"],
)
def test_gemma3_has_two_bases(keys):
    spec = spec_of("Gemma3ForCausalLM", sliding_window=8, sliding_window_pattern=3, **keys)
    assert (spec.rope_theta, spec.local_rope_theta) == (1e6, 500.0)
    assert (spec.full_attention_every, spec.qk_norm) == (3, "per_head")


def test_layer_types_say_the_same_as_a_pattern():
    kinds = ["sliding_attention", "sliding_attention", "full_attention"] * 2
    assert spec_of("Gemma3ForCausalLM", layer_types=kinds).full_attention_every == 3


def test_phi_turns_half_of_each_head_and_has_biases_everywhere():
    spec = spec_of("PhiForCausalLM", layer_norm_eps=1e-5, num_attention_heads=2, rms_norm_eps=...)
    assert (spec.norm, spec.norm_order, spec.mlp_gated) == ("layernorm", "parallel", False)
    assert (spec.rotary_dim, spec.all_bias, spec.head_bias) == (16, True, True)


def test_phi3_divides_each_frequency_within_its_first_context():
    """Amplitude = sqrt(1 + ln(512 / 64) / ln 64) = sqrt(1.5)."""
    spec = spec_of("Phi3ForCausalLM", rope_scaling=LONGROPE, original_max_position_embeddings=64)
    assert spec.rope_scaling.divisors == tuple(SHORT)
    assert spec.rope_scaling.amplitude == pytest.approx(1.5**0.5)
    assert spec.rope_scaling.original_context_tokens == 64


def test_phi3_may_name_the_code_it_came_with():
    """The class of transformers took that code over; other models' own code is refused."""
    spec = spec_of("Phi3ForCausalLM", auto_map={"AutoModelForCausalLM": "modeling_phi3.Phi3"})
    assert spec.family == "phi3"


def test_gpt2_names_its_numbers_otherwise():
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": 50257,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_positions": 1024,
        "layer_norm_epsilon": 1e-5,
    }
    spec = spec_from_config(config, "toy")
    built = load_spec("gpt2")
    assert (spec.hidden_size, spec.intermediate_size) == (768, 3072)
    assert (spec.positions, spec.rotated_dim, spec.norm) == ("learned", 0, built.norm)
    assert spec.tied_embeddings


MIXTURE = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def test_mixtral_calls_its_numbers_otherwise():
    spec = spec_of("MixtralForCausalLM", num_local_experts=8, num_experts_per_tok=2)
    assert spec.experts == Experts(8, 2, 160)


def test_qwen2_moe_has_a_shared_block_and_may_leave_weights_unscaled():
    shared = {"shared_expert_intermediate_size": 48}
    spec = spec_of("Qwen2MoeForCausalLM", **MIXTURE, **shared)
    assert spec.experts == Experts(8, 2, 32, 48, shared_gate=True, normalised=False)


@pytest.mark.parametrize("key", ["num_experts", "num_local_experts"])
def test_qwen3_moe_in_both_forms(key):
    numbers = {key: 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    spec = spec_of("Qwen3MoeForCausalLM", **numbers, norm_topk_prob=True)
    assert spec.experts == Experts(8, 2, 32)


REFUSED = {
    "some layers": (
        "Qwen3MoeForCausalLM",
        {**MIXTURE, "mlp_only_layers": [0]},
        "some of its layers have experts",
    ),
    "too many active": (
        "Qwen3MoeForCausalLM",
        {**MIXTURE, "num_experts_per_tok": 9},
        "9 of 8 experts are active",
    ),
    "divisors": (
        "Phi3ForCausalLM",
        {"rope_scaling": {**LONGROPE, "short_factor": [1.0]}},
        "divisors has 1 numbers",
    ),
    "no divisors": ("Phi3ForCausalLM", {"rope_scaling": {"type": "su"}}, "short_factor is missing"),
    "query norms": (
        "PhiForCausalLM",
        {"qk_layernorm": True, "layer_norm_eps": 1e-5},
        "qk_layernorm is true",
    ),
    "both ways": ("Gemma2ForCausalLM", {"use_bidirectional_attention": True}, "is true"),
    "erf": (
        "PhiForCausalLM",
        {"hidden_act": "gelu", "layer_norm_eps": 1e-5},
        "hidden_act is 'gelu'",
    ),
    "scaled by layer": (
        "GPT2LMHeadModel",
        {"scale_attn_by_inverse_layer_idx": True},
        "scale_attn_by_inverse_layer_idx is true",
    ),
    "odd pattern": (
        "Gemma2ForCausalLM",
        {"layer_types": ["full_attention"] + ["sliding_attention"] * 5},
        "attend in different ways",
    ),
    "images": ("Gemma3ForConditionalGeneration", {}, "an image encoder"),
}


@pytest.mark.parametrize(("name", "keys", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_family_may_have_beyond_its_block_is_refused(name, keys, message):
    with pytest.raises(ModelError) as caught:
        spec_of(name, **{"original_max_position_embeddings": 64, **keys})
    assert message in str(caught.value)
