"""Folders of models whose layers do not all attend: what config.json says, in every spelling."""

import json
import shutil

import pytest
from safetensors.numpy import load_file, save_file

from harness.core.errors import ModelError
from harness.models.catalog.catalog import load_spec
from harness.models.configs.config import spec_from_config
from harness.models.specs.layers import Convolution, DeltaRule, Experts
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model
from tests.builder.graph.seeded_folder import folder_of

LFM2 = {
    "architectures": ["Lfm2ForCausalLM"],
    "model_type": "lfm2",
    "vocab_size": 65_536,
    "hidden_size": 1024,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "max_position_embeddings": 128_000,
    "norm_eps": 1e-5,
    "rope_theta": 1_000_000.0,
    "conv_L_cache": 3,
    "conv_bias": False,
    "full_attn_idxs": [2, 5, 8, 10, 12, 14],
    "block_auto_adjust_ff_dim": True,
    "block_ff_dim": 6656,
    "block_ffn_dim_multiplier": 1.0,
    "block_multiple_of": 256,
    "tie_embedding": True,
}
QWEN = {
    "model_type": "qwen3_5_text",
    "vocab_size": 248_320,
    "hidden_size": 1024,
    "intermediate_size": 3584,
    "num_hidden_layers": 24,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "max_position_embeddings": 262_144,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "linear_num_value_heads": 16,
    "full_attention_interval": 4,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1e7,
        "partial_rotary_factor": 0.25,
        "mrope_section": [11, 11, 10],
        "mrope_interleaved": True,
    },
}
GRANITE = {
    "architectures": ["GraniteMoeHybridForCausalLM"],
    "model_type": "granitemoehybrid",
    "vocab_size": 100_352,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "shared_intermediate_size": 2048,
    "num_hidden_layers": 32,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "num_local_experts": 0,
    "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "position_embedding_type": "nope",
    "embedding_multiplier": 12,
    "residual_multiplier": 0.246,
    "attention_multiplier": 0.015625,
    "logits_scaling": 3,
    "layer_types": ["attention" if layer in (10, 13, 17, 27) else "mamba" for layer in range(32)],
    "mamba_n_heads": 48,
    "mamba_d_head": 32,
    "mamba_d_state": 128,
    "mamba_expand": 2,
    "time_step_limit": [0.0, {"__float__": "Infinity"}],
}
NEMOTRON = {
    "architectures": ["NemotronHForCausalLM"],
    "model_type": "nemotron_h",
    "auto_map": {"AutoModelForCausalLM": "modeling_nemotron_h.NemotronHForCausalLM"},
    "vocab_size": 131_072,
    "hidden_size": 3136,
    "intermediate_size": 12_544,
    "num_hidden_layers": 42,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 262_144,
    "layer_norm_epsilon": 1e-5,
    "mamba_num_heads": 96,
    "mamba_head_dim": 80,
    "n_groups": 8,
    "time_step_min": 0.001,
    "hybrid_override_pattern": "M-M-M-MM-M-M*-M-M*-M-M-M*-M-M-MM*-MMM-M-M-",
}
FALCON = {
    "architectures": ["FalconH1ForCausalLM"],
    "model_type": "falcon_h1",
    "vocab_size": 32_784,
    "hidden_size": 1024,
    "intermediate_size": 2048,
    "num_hidden_layers": 36,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 16_384,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e11,
    "mamba_d_ssm": 1536,
    "mamba_n_heads": 24,
    "mamba_d_state": 128,
    "mamba_rms_norm": False,
}
DESCRIPTIONS = ("name", "hf_id", "license", "source", "published_parameters", "part_of")


def numbers(spec):
    """What a spec computes, without what describes it."""
    return {key: getattr(spec, key) for key in spec.__slots__ if key not in DESCRIPTIONS}


def test_lfm2_as_its_makers_wrote_it_is_the_catalogs():
    """2/3 of 6656 is 4437, rounded up to 256 is 4608; layers 2, 5, 8, 10, 12 and 14 attend."""
    assert numbers(spec_from_config(LFM2, "lfm2")) == numbers(load_spec("lfm2-350m"))


def test_lfm2_as_transformers_5_writes_it_is_the_same():
    words = ["conv"] * 16
    for layer in LFM2["full_attn_idxs"]:
        words[layer] = "full_attention"
    newer = {**LFM2, "layer_types": words, "full_attn_idxs": None, "intermediate_size": 4608}
    newer |= {"block_ff_dim": None, "block_auto_adjust_ff_dim": False}
    newer |= {"rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0}}
    del newer["rope_theta"], newer["tie_embedding"]
    assert numbers(spec_from_config(newer, "lfm2")) == numbers(load_spec("lfm2-350m"))


def test_qwen3_5_alone_and_inside_a_larger_model_is_the_catalogs():
    """Transformers 5 nests the text part beside an image encoder's; it is built, and said so."""
    alone = {**QWEN, "architectures": ["Qwen3_5ForCausalLM"]}
    inner = {key: value for key, value in QWEN.items() if key != "tie_word_embeddings"}
    whole = {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": "qwen3_5",
        "text_config": inner,
        "vision_config": {"depth": 2},
        "tie_word_embeddings": True,
    }
    known = numbers(load_spec("qwen3.5-0.8b"))
    assert numbers(spec_from_config(alone, "q")) == known
    spec = spec_from_config(whole, "q")
    assert numbers(spec) == known
    assert spec.part_of == "Qwen3_5ForConditionalGeneration"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (GRANITE, "granite-4.0-h-350m"),
        (NEMOTRON, "nemotron-3-nano-4b"),
        (FALCON, "falcon-h1-0.5b"),
    ],
)
def test_hybrids_of_mamba_are_the_catalogs(config, name):
    assert numbers(spec_from_config(config, "m")) == numbers(load_spec(name))


def test_multipliers_of_falcon_are_folded_into_its_matrices():
    """The key is 0.9 · 0.5, the third part of the mixer's projection 2 · 0.7; ones are left out."""
    spec = spec_from_config(
        {
            **FALCON,
            "attention_in_multiplier": 0.9,
            "key_multiplier": 0.5,
            "ssm_in_multiplier": 2.0,
            "ssm_multipliers": [0.5, 0.5, 0.7, 1.0, 0.5],
            "lm_head_multiplier": 0.25,
        },
        "falcon",
    )
    found = dict(spec.part_multipliers)
    assert found["self_attn.k_proj"] == pytest.approx(0.45)
    assert found["mamba.B_proj"] == pytest.approx(1.4)
    assert "mamba.z_proj" not in found
    assert spec.logit_multiplier == 0.25


@pytest.mark.parametrize(
    ("config", "changes", "words"),
    [
        (NEMOTRON, {"hybrid_override_pattern": "M-E*"}, "name 4 layers of 42"),
        (NEMOTRON, {"hybrid_override_pattern": "E" * 42}, "type 'moe' is not built"),
        (NEMOTRON, {"time_step_limit": [0.0, 0.1]}, "time_step_limit"),
        (NEMOTRON, {"n_groups": 7}, "96 heads cannot share 7 groups"),
        (GRANITE, {"num_local_experts": 8, "num_experts_per_tok": 9}, "9 of 8 experts are active"),
        (QWEN, {"full_attention_interval": 0}, "full_attention_interval is 0"),
        (FALCON, {"ssm_multipliers": [1.0, 2.0]}, "ssm_multipliers has 2 numbers"),
    ],
)
def test_mixers_that_are_not_built_are_refused(config, changes, words):
    with pytest.raises(ModelError, match=words):
        spec_from_config({**config, **changes}, "m")


def test_a_mixer_may_have_biases_or_none_and_its_norm_before_its_gate():
    spec = spec_from_config({**GRANITE, "mamba_conv_bias": False, "mamba_proj_bias": True}, "g")
    assert (spec.mamba.taps_bias, spec.mamba.in_bias, spec.mamba.out_bias) == (False, True, True)
    spec = spec_from_config({**FALCON, "mamba_rms_norm": True, "projectors_bias": True}, "f")
    assert (spec.mamba.norm_first, spec.mamba.in_bias, spec.mamba.out_bias) == (True, False, True)
    assert spec_from_config({**LFM2, "conv_bias": True}, "l").convolution == Convolution(3, True)


def test_what_multiplies_an_input_does_not_reach_a_bias():
    """Of k = 0.5 · (W (0.9 · x) + b) the matrix is multiplied by 0.45, the bias by 0.5."""
    inputs = {"attention_in_multiplier": 0.9, "key_multiplier": 0.5, "attention_bias": True}
    found = dict(spec_from_config({**FALCON, **inputs}, "falcon").part_multipliers)
    assert found["self_attn.k_proj"] == pytest.approx(0.45)
    assert found["self_attn.k_proj.bias"] == 0.5
    assert found["self_attn.q_proj.bias"] == 1.0


def test_granite_tiny_has_experts_beside_a_block_without_a_gate():
    keys = {"num_local_experts": 64, "num_experts_per_tok": 6, "intermediate_size": 512}
    spec = spec_from_config({**GRANITE, **keys, "shared_intermediate_size": 1024}, "g")
    assert spec.experts == Experts(64, 6, 512, 1024)


def test_the_words_of_layers_may_be_written_out():
    words = (["linear_attention"] * 3 + ["full_attention"]) * 6
    spec = spec_from_config(
        {**QWEN, "architectures": ["Qwen3_5ForCausalLM"], "layer_types": words}, "q"
    )
    assert spec.layer_pattern == "LLLF"
    assert spec.delta_rule == DeltaRule(16, 16, 128, 128, 4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layer_types": ["conv", "full_attention"]}, "name 2 layers of 16"),
        ({"layer_types": ["conv"] * 15 + ["mamba"]}, "type 'mamba' is not built"),
        ({"full_attn_idxs": []}, "no layer of layer_pattern attends"),
        ({"conv_L_cache": 1}, "convolution.kernel - 1 is 0"),
        ({"block_multiple_of": 0}, "block_multiple_of is 0"),
    ],
)
def test_layers_that_describe_no_model_are_refused(changes, words):
    with pytest.raises(ModelError, match=words):
        spec_from_config({**LFM2, **changes}, "lfm2")


def test_heads_that_cannot_be_shared_are_refused():
    with pytest.raises(ModelError, match="16 value heads cannot share 3 key heads"):
        spec_from_config(
            {**QWEN, "architectures": ["Qwen3_5ForCausalLM"], "linear_num_key_heads": 3}, "q"
        )


def test_kernels_are_told_from_patterns():
    assert spec_from_config({**LFM2, "conv_L_cache": 7}, "lfm3").convolution == Convolution(7)


@pytest.mark.parametrize(
    ("fixture", "missing"),
    [
        ("lfm2-conv", "model.layers.0.conv.conv.weight"),
        ("qwen3_5-delta", "model.layers.0.linear_attn.A_log"),
        ("nemotron_h-mamba", "backbone.layers.0.mixer.D"),
        ("granitemoehybrid-mamba", "model.layers.0.mamba.in_proj.weight"),
        ("qwen3_5-delta", "model.layers.1.self_attn.q_proj.weight"),
    ],
)
def test_a_part_that_the_checkpoint_lacks_is_named(fixture, missing, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(folder_of(fixture), folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors[missing]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelError, match=missing):
        open_weights(resolve_model(str(folder)))


def test_heads_that_look_further_ahead_are_left_out(tmp_path):
    """Checkpoints of Qwen3.5 hold layers that predict the token after the next."""
    folder = tmp_path / "model"
    shutil.copytree(folder_of("qwen3_5-delta"), folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["mtp.layers.0.mlp.up_proj.weight"] = tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors")
    assert open_weights(resolve_model(str(folder))).kind == "trained"


def test_a_gate_lies_between_the_queries_of_a_checkpoint():
    """Head after head: 64 rows of the query, then 64 of its gate; read in pieces as at once."""
    folder = folder_of("qwen3_5-delta")
    weights = open_weights(resolve_model(str(folder)))
    stored = load_file(folder / "model.safetensors")["model.layers.1.self_attn.q_proj.weight"]
    heads = stored.astype("float32").reshape(2, 2, 64, -1)
    for number, letter in enumerate("qg"):
        name = f"model.layers.1.self_attn.{letter}_proj.weight"
        ours = heads[:, number].reshape(128, -1)
        assert (weights.tensor(name) == ours).all()
        assert (weights.rows(name, 50, 90) == ours[50:90]).all()


def test_a_fixture_says_what_wrote_it():
    """The folders are those of transformers 5: layer_types and rope_parameters."""
    for name in ("lfm2-conv", "qwen3_5-delta"):
        config = json.loads((folder_of(name) / "config.json").read_text())
        assert {"layer_types", "rope_parameters"} <= set(config)
