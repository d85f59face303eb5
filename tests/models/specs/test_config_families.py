"""The config.json of each family becomes the fields that tell its block from Llama's."""

import pytest

from harness.core.errors import ModelError
from harness.models.catalog.catalog import load_spec
from harness.models.configs.config import spec_from_config
from harness.models.specs.layers import Experts

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


@pytest.mark.parametrize("name", ["Gemma2ForCausalLM", "Qwen2ForCausalLM", "LlamaForCausalLM"])
def test_more_layers_than_any_model_has_are_refused_before_they_are_listed(name):
    with pytest.raises(ModelError, match="at most 1000 layers"):
        spec_of(name, num_hidden_layers=2_000_000)


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


def test_any_order_of_windows_is_built():
    kinds = ["full_attention"] + ["sliding_attention"] * 3 + ["full_attention"] * 2
    spec = spec_of("Gemma2ForCausalLM", layer_types=kinds, sliding_window=8)
    assert (spec.layer_pattern, spec.full_attention_every) == ("FSSSFF", None)
    assert [layer.window_tokens for layer in spec.layers] == [None, 8, 8, 8, None, None]


def test_smollm3_leaves_every_fourth_layer_unturned():
    assert spec_of("SmolLM3ForCausalLM", num_hidden_layers=8).layer_pattern == "FFFG"
    listed = spec_of("SmolLM3ForCausalLM", no_rope_layers=[1, 0, 1, 1, 0, 1, 9])
    assert [layer.rotary for layer in listed.layers] == [True, False, True, True, False, True]


def test_granite_multiplies_and_divides():
    numbers = {"embedding_multiplier": 12.0, "residual_multiplier": 0.22}
    numbers |= {"attention_multiplier": 0.0078125, "logits_scaling": 8.0}
    spec = spec_of("GraniteForCausalLM", **numbers)
    assert (spec.embedding_multiplier, spec.residual_multiplier) == (12.0, 0.22)
    assert (spec.score_scale, spec.logit_multiplier) == (0.0078125, 0.125)


@pytest.mark.parametrize(("positions", "pattern"), [("rope", ""), (None, "G")])
def test_dense_granite_4_is_the_class_of_its_hybrids(positions, pattern):
    """Its block is what the class shares between experts that there are none of."""
    spec = spec_of(
        "GraniteMoeHybridForCausalLM",
        shared_intermediate_size=96,
        num_local_experts=0,
        layer_types=["attention"] * 6,
        position_embedding_type=positions,
    )
    assert (spec.intermediate_size, spec.layer_pattern) == (96, pattern)
    assert spec.experts is None


def test_exaone_4_turns_windowed_layers_only():
    spec = spec_of("Exaone4ForCausalLM", sliding_window=8, sliding_window_pattern="LLG")
    assert spec.layer_pattern == "SSG"
    kinds = ["sliding_attention", "sliding_attention", "full_attention"] * 2
    listed = spec_of("Exaone4ForCausalLM", sliding_window=8, layer_types=kinds)
    assert listed.layer_pattern == "SSG"
    plain = spec_of("Exaone4ForCausalLM", sliding_window=None, sliding_window_pattern=None)
    assert (plain.layer_pattern, plain.sliding_window_tokens) == ("", None)


YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}


@pytest.mark.parametrize(
    "keys",
    [
        {"rope_theta": 5e5, "rope_scaling": YARN},
        {
            "rope_parameters": {
                "full_attention": {**YARN, "rope_theta": 5e5},
                "sliding_attention": {"rope_type": "default", "rope_theta": 5e5},
            }
        },
    ],
    ids=["transformers 4", "transformers 5"],
)
def test_olmo3_stretches_only_what_sees_everything(keys):
    spec = spec_of("Olmo3ForCausalLM", **keys)
    assert (spec.rope_scaling.kind, spec.rope_theta, spec.local_rope_theta) == ("yarn", 5e5, 5e5)
    assert (spec.full_attention_every, spec.sliding_window_tokens) == (4, 4096)


def test_hunyuan_widens_its_base_whatever_the_length():
    rope = {"type": "dynamic", "alpha": 1000.0, "factor": 1.0}
    spec = spec_of("HunYuanDenseV1ForCausalLM", rope_scaling=rope)
    assert (spec.rope_scaling.kind, spec.rope_scaling.factor) == ("ntk", 1000.0)
    assert spec.qk_norm_after_rotary


def test_ministral_lets_queries_grow():
    grown = {**YARN, "llama_4_scaling_beta": 0.1}
    assert spec_of("Ministral3ForCausalLM", rope_parameters=grown).rope_scaling.query_growth == 0.1
    assert spec_of("LlamaForCausalLM", rope_parameters=grown).rope_scaling.query_growth == 0.0


def test_gpt_oss_has_sinks_biases_and_a_cut_gate():
    spec = spec_of("GptOssForCausalLM", num_local_experts=8, num_experts_per_tok=2)
    assert spec.experts == Experts(8, 2, 160, bias=True, gate_slope=1.702, up_added=1.0, limit=7.0)
    assert (spec.attention_sinks, spec.out_bias, spec.head_dim) == (True, True, 64)
    assert [spec.window_tokens(layer) for layer in range(3)] == [128, None, 128]


GEMMA_4 = {
    "num_key_value_heads": 1,
    "num_attention_heads": 4,
    "head_dim": 16,
    "layer_types": ["sliding_attention", "full_attention"] * 3,
    "num_kv_shared_layers": 3,
    "hidden_size_per_layer_input": 32,
    "rope_parameters": {
        "full_attention": {
            "rope_type": "proportional",
            "rope_theta": 1e6,
            "partial_rotary_factor": 0.25,
        },
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    },
}


@pytest.mark.parametrize(
    "keys",
    [
        {"global_head_dim": 32},
        {"per_layer_config": {str(layer): {"head_dim": 32} for layer in (1, 3, 5)}},
    ],
    ids=["one number", "by layer"],
)
def test_gemma4_shares_caches_and_has_heads_of_two_widths(keys):
    spec = spec_of("Gemma4ForCausalLM", **GEMMA_4, **keys, use_double_wide_mlp=True)
    assert [layer.head_dim for layer in spec.layers] == [16, 32] * 3
    assert [layer.cache_layer for layer in spec.layers] == [0, 1, 2, 1, 2, 1]
    assert [layer.intermediate_size for layer in spec.layers] == [160] * 3 + [320] * 3
    assert (spec.rope_scaling.kind, spec.rope_scaling.turned_share) == ("proportional", 0.25)
    assert (spec.local_rope_theta, spec.score_scale, spec.per_layer_width) == (1e4, 1.0, 32)


LFM2_MOE = {
    "norm_eps": 1e-5,
    "layer_types": ["conv", "full_attention"] * 3,
    "num_dense_layers": 2,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
}


def test_lfm2_chooses_by_sigmoids_behind_its_first_layers():
    spec = spec_of("Lfm2MoeForCausalLM", **LFM2_MOE)
    assert spec.experts == Experts(8, 2, 32, dense_layers=2, sigmoid=True, choice_bias=True)
    assert [layer.feed_forward.value for layer in spec.layers] == ["mlp"] * 2 + ["experts"] * 4
    assert spec.layer_pattern == "CF"


def test_lfm2_may_leave_its_shares_unscaled_or_multiply_them():
    keys = {"norm_topk_prob": False, "routed_scaling_factor": 2.5}
    experts = spec_of("Lfm2MoeForCausalLM", **{**LFM2_MOE, **keys}).experts
    assert (experts.normalised, experts.scale) == (False, 2.5)


def test_every_matrix_may_add_a_bias():
    spec = spec_of("LlamaForCausalLM", attention_bias=True, mlp_bias=True)
    assert (spec.qkv_bias, spec.out_bias, spec.block_bias) == (True, True, True)
    spec = spec_of("Ernie4_5ForCausalLM", use_bias=True)
    assert (spec.qkv_bias, spec.out_bias, spec.block_bias) == (True, True, True)


def test_hyperclova_may_have_norms_before_its_parts_alone():
    """Without attention_multiplier its scores are divided by sqrt(head_dim) as usual."""
    spec = spec_of("HyperCLOVAXForCausalLM", use_post_norm=False)
    assert (spec.norm_order, spec.attention_scale) == ("before", None)


def test_smollm3_may_have_windows_where_it_turns_nothing():
    spec = spec_of("SmolLM3ForCausalLM", use_sliding_window=True, sliding_window=8)
    assert spec.layer_pattern == "FFFNFF"
    assert [layer.window_tokens for layer in spec.layers] == [None, None, None, 8, None, None]


def test_granite_swash_turns_each_layer_by_its_own_base():
    keys = {"layer_rope_theta": [0, 1e4, 0, 500.0, 1e4, 1e4], "sliding_window": 8}
    spec = spec_of("GraniteSWAForCausalLM", **keys)
    assert (spec.layer_pattern, spec.sliding_window_tokens) == ("GSNSFS", 8)
    assert spec.layer_thetas == (0, 1e4, 0, 500.0, 1e4, 1e4)
    one = spec_of("GraniteSWAForCausalLM", layer_rope_theta=[0, 500.0] * 3)
    assert (one.rope_theta, one.layer_thetas, one.layer_pattern) == (500.0, (), "GSNSGS")


def test_lfm3_fills_in_what_its_config_leaves_out():
    """Windows in every fourth layer from the fifth, everything in every fourth from the third."""
    keys = {"num_hidden_layers": 8, "rms_norm_eps": ..., "rope_theta": ...}
    spec = spec_of("Lfm3ForCausalLM", **keys)
    assert (spec.layer_pattern, spec.sliding_window_tokens) == ("CCFCSCFC", 256)
    assert (spec.rope_scaling.turned_share, spec.rope_theta) == (0.5, 1e6)
    assert (spec.local_rope_theta, spec.norm_order) == (1e4, "around")
    assert spec.attention_gate_by_head


def test_olmo_hybrid_turns_nothing_where_its_base_is_null():
    keys = {"hidden_size": 128, "num_attention_heads": 4}
    spec = spec_of("OlmoHybridForCausalLM", **keys, rope_parameters={"rope_theta": None})
    assert (spec.layer_pattern, spec.delta_rule.rate_scale) == ("LLLGLL", 2.0)
    assert (spec.delta_rule.key_dim, spec.delta_rule.value_dim) == (24, 48)


def test_what_a_class_fills_in_is_filled_in():
    """As the configuration classes of transformers 5.24.0 say."""
    bare = {"rms_norm_eps": ..., "max_position_embeddings": ..., "num_key_value_heads": ...}
    ministral = spec_of("Ministral3ForCausalLM", **bare, num_attention_heads=8, rope_theta=...)
    assert (ministral.num_kv_heads, ministral.max_context_tokens) == (8, 262_144)
    assert (ministral.rope_scaling.factor, ministral.rope_scaling.query_growth) == (16.0, 0.1)
    assert ministral.norm_epsilon == 1e-5
    gemma = spec_of("Gemma4ForCausalLM", **{**GEMMA_4, "rope_parameters": None}, rope_theta=...)
    assert (gemma.rope_scaling.turned_share, gemma.local_rope_theta) == (0.25, 1e4)
    oss = spec_of("GptOssForCausalLM", num_local_experts=8, rope_theta=...)
    assert (oss.rope_scaling.factor, oss.experts.active) == (32.0, 4)


REFUSED = {
    "a base too few": (
        "GraniteSWAForCausalLM",
        {"layer_rope_theta": [1e4] * 5},
        "layer_rope_theta has 5 entries for 6 layers",
    ),
    "a base below 0": (
        "GraniteSWAForCausalLM",
        {"layer_rope_theta": [-1.0] * 6},
        "has a base below 0",
    ),
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
    "too many dense": (
        "Lfm2MoeForCausalLM",
        {**LFM2_MOE, "num_dense_layers": 6},
        "6 of 6 layers have no experts",
    ),
    "no owner": (
        "Gemma4ForCausalLM",
        {**GEMMA_4, "num_kv_shared_layers": 5},
        "no layer with a cache of its own sees as much",
    ),
    "all share": ("Gemma4ForCausalLM", {**GEMMA_4, "num_kv_shared_layers": 6}, "6 of 6 layers"),
    "keys are values": ("Gemma4ForCausalLM", {**GEMMA_4, "attention_k_eq_v": True}, "is true"),
    "experts of gemma": ("Gemma4ForCausalLM", {**GEMMA_4, "enable_moe_block": True}, "is true"),
    "all directions": (
        "Gemma4ForCausalLM",
        {**GEMMA_4, "use_bidirectional_attention": "all"},
        "attends in both directions",
    ),
    "three widths": (
        "Gemma4ForCausalLM",
        {**GEMMA_4, "per_layer_config": {"1": {"head_dim": 32}, "3": {"head_dim": 64}}},
        "heads of 2 widths",
    ),
    "other heads": (
        "Gemma4ForCausalLM",
        {**GEMMA_4, "per_layer_config": {"1": {"num_key_value_heads": 2}}},
        "layer 1 differs in more than its heads",
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
    "sinks without bias": ("GptOssForCausalLM", {**MIXTURE, "attention_bias": False}, "is false"),
    "a limit of 0": (
        "GptOssForCausalLM",
        {**MIXTURE, "swiglu_limit": 0.0},
        "experts.limit is 0.0",
    ),
    "a window of 0": (
        "GptOssForCausalLM",
        {**MIXTURE, "sliding_window": 0},
        "sliding_window_tokens is 0",
    ),
    "more chosen than there are": (
        "GptOssForCausalLM",
        {"num_local_experts": 2, "num_experts_per_tok": 4},
        "4 of 2 experts are active",
    ),
    "a short list": (
        "SmolLM3ForCausalLM",
        {"no_rope_layers": [1, 1, 0]},
        "no_rope_layers has 3 entries for 6 layers",
    ),
    "a period of 0": (
        "SmolLM3ForCausalLM",
        {"no_rope_layer_interval": 0},
        "no_rope_layer_interval is 0",
    ),
    "a pattern of 0": ("Gemma2ForCausalLM", {"sliding_window_pattern": 0}, "_pattern is 0"),
    "a strange pattern": ("Exaone4ForCausalLM", {"sliding_window_pattern": "LX"}, "is 'LX'"),
    "logits by 0": ("GraniteForCausalLM", {"logits_scaling": 0}, "logits_scaling is 0"),
    "images": ("Gemma3ForConditionalGeneration", {}, "an image encoder"),
}


@pytest.mark.parametrize(("name", "keys", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_family_may_have_beyond_its_block_is_refused(name, keys, message):
    with pytest.raises(ModelError) as caught:
        spec_of(name, **{"original_max_position_embeddings": 64, **keys})
    assert message in str(caught.value)
