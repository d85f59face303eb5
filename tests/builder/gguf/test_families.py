"""What a family is to llama.cpp: every tensor once, in its order, and a word on what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.builder.gguf.families import (
    FAMILIES,
    decoder_of,
    family_of,
    header_keys,
    refusal,
)
from harness.builder.gguf.layout import file_tensors, rotary_tensors
from harness.builder.gguf.write import as_neighbours, rotary_factors
from harness.core.errors import ModelError
from harness.models.catalog.catalog import load_spec
from harness.models.specs.layers import Convolution
from harness.models.specs.model import RopeScaling
from harness.models.specs.tensors import built_parameters
from tests.tiny import LLAMA, SPECS

WRITTEN = (
    *("smollm2-135m", "llama-3.2-1b", "mistral-7b-v0.1", "qwen2.5-0.5b", "qwen3-0.6b"),
    *("phi-3-mini-4k", "phi-4-mini", "gemma-2b", "gemma-2-2b", "gemma-3-270m", "gemma-3-1b"),
    *("smollm3-3b", "granite-4.1-3b", "olmo-2-1b", "ernie-4.5-0.3b", "olmo-3-7b", "gpt2", "phi-2"),
    *("granite-4.0-350m", "granite-swash-2b", "ministral-3-3b", "lfm2-350m"),
)


@pytest.mark.parametrize("name", WRITTEN)
def test_every_parameter_lies_in_the_file_once(name):
    spec = decoder_of(load_spec(name))
    tensors = list(file_tensors(spec))
    assert sum(int(np.prod(tensor.shape)) for tensor in tensors) == built_parameters(spec)
    assert len({tensor.name for tensor in tensors}) == len(tensors)
    parts = [part.name for tensor in tensors for part in tensor.parts]
    assert len(set(parts)) == len(parts)


def test_phi_keeps_queries_keys_and_values_in_one_matrix():
    """96 · (32 + 32 + 32) rows, gate before up; the file has no matrix of the parts."""
    spec = decoder_of(load_spec("phi-3-mini-4k"))
    found = {tensor.name: tensor for tensor in file_tensors(spec)}
    assert found["blk.0.attn_qkv.weight"].shape == (3 * 3072, 3072)
    gate_up = [part.name for part in found["blk.0.ffn_up.weight"].parts]
    assert gate_up == ["model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight"]
    assert not {"blk.0.attn_q.weight", "blk.0.ffn_gate.weight"} & found.keys()


def test_norms_around_a_block_are_called_as_gemma_calls_them():
    names = {tensor.name for tensor in file_tensors(decoder_of(load_spec("gemma-3-270m")))}
    norms = {"attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"}
    assert {f"blk.0.{norm}.weight" for norm in norms} <= names
    assert "output.weight" not in names


@pytest.mark.parametrize(
    ("name", "turned"), [("smollm2-135m", True), ("qwen3-0.6b", False), ("ernie-4.5-0.3b", False)]
)
def test_only_rows_that_pair_halves_change_their_order(name, turned):
    """llama.cpp turns neighbours in Llama; ERNIE does so itself, Qwen pairs halves there too."""
    found = {tensor.name: tensor for tensor in file_tensors(decoder_of(load_spec(name)))}
    assert bool(found["blk.0.attn_q.weight"].turned_heads) is turned
    assert found["blk.0.attn_v.weight"].turned_heads == 0


def test_neighbours_turned_are_halves_turned():
    """Both give the same product of a query and a key, at any two positions."""
    chance = np.random.default_rng(0)
    query, key = chance.standard_normal((2, 8)).astype(np.float32)
    angles = np.array([1.0, 0.1, 0.01, 0.001])

    def halves(values, position):
        first, second = values[:4], values[4:]
        sin, cos = np.sin(position * angles), np.cos(position * angles)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin])

    def neighbours(values, position):
        first, second = values[::2], values[1::2]
        sin, cos = np.sin(position * angles), np.cos(position * angles)
        return np.stack([first * cos - second * sin, second * cos + first * sin], 1).ravel()

    ours = halves(query, 7) @ halves(key, 3)
    theirs = neighbours(as_neighbours(query, 1), 7) @ neighbours(as_neighbours(key, 1), 3)
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_rotary_factors_divide_the_plain_frequencies():
    """Llama 3.2: short waves are kept, long ones divided by 32."""
    spec = decoder_of(load_spec("llama-3.2-1b"))
    factors = rotary_factors(spec)
    assert rotary_tensors(spec) == ("rope_freqs",)
    assert (factors[0], factors[-1]) == (1.0, pytest.approx(32.0))
    assert rotary_tensors(LLAMA) == ()


def test_windows_and_caps_are_keys():
    keys = header_keys(decoder_of(load_spec("gemma-2-2b")))
    assert keys["attention.sliding_window"] == 4096
    assert keys["attention.sliding_window_pattern"] == 2
    assert (keys["attn_logit_softcapping"], keys["final_logit_softcapping"]) == (50.0, 30.0)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (SPECS["mixtral"], "no row for the family mixtral"),
        (SPECS["gpt_oss"], "no row for the family gpt_oss"),
        (replace(LLAMA, attention_sinks=True), "llama computes no attention_sinks = True"),
        (SPECS["falcon_h1"], "no row for the family falcon_h1"),
        (SPECS["gemma4"], "no row for the family gemma4_text"),
        (SPECS["granite_h"], "granite computes no mamba"),
        (SPECS["granite_swa"], "computes no rotary base of single layers: 100"),
        (replace(SPECS["lfm2"], layer_pattern="CFc"), "computes no layer of kind c"),
        (
            replace(SPECS["lfm2"], convolution=Convolution(3, bias=True)),
            "lfm2 computes no convolution with biases",
        ),
        (
            replace(LLAMA, rope_scaling=RopeScaling("yarn", 4.0, fast_turns=16.0)),
            "computes yarn between 32 turns and 1 alone",
        ),
        (
            replace(LLAMA, rope_scaling=RopeScaling("yarn", 4.0, whole_pairs=False)),
            "computes yarn with bounds of whole pairs alone",
        ),
        (
            replace(LLAMA, rope_scaling=RopeScaling("yarn", 4.0, query_growth=0.1)),
            "llama computes no query_growth",
        ),
        (replace(LLAMA, rotary_dim=16), "llama computes no rotary_dim = 16"),
        (replace(LLAMA, attention_scale=0.5), "computes no attention_scale = 0.5"),
        (
            replace(LLAMA, rope_scaling=RopeScaling("longrope", 4.0)),
            "llama computes no rope_scaling = longrope",
        ),
        (
            replace(LLAMA, family="olmo2", norm_order="after", qk_norm="full_width"),
            "olmo2 has a head of its own",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.family,
)
def test_what_llama_cpp_does_not_compute_is_refused_by_its_name(spec, said):
    assert said in refusal(spec)
    with pytest.raises(ModelError, match="has no GGUF here"):
        family_of(spec)


def test_layers_of_convolutions_have_no_heads_of_keys():
    """One number a layer; the last norm has a name of its own, and taps are a matrix."""
    spec = decoder_of(load_spec("lfm2-350m"))
    found = {tensor.name: tensor for tensor in file_tensors(spec)}
    assert header_keys(spec)["attention.head_count_kv"][:6] == [0, 0, 8, 0, 0, 8]
    assert header_keys(spec)["shortconv.l_cache"] == 3
    assert found["blk.0.shortconv.conv.weight"].shape == (1024, 3)
    assert not found["blk.0.shortconv.conv.weight"].is_matrix
    assert "token_embd_norm.weight" in found
    assert "output_norm.weight" not in found


def test_yarn_is_told_by_what_its_own_rule_leaves():
    """llama.cpp multiplies by 1 + 0.1 ln 16 itself; Ministral 3 multiplies by 1."""
    keys = header_keys(decoder_of(load_spec("ministral-3-3b")))
    assert keys["rope.scaling.type"] == "yarn"
    assert keys["rope.scaling.attn_factor"] * (1 + 0.1 * math.log(16)) == pytest.approx(1)
    assert keys["rope.scaling.original_context_length"] == 16_384
    assert keys["attention.temperature_scale"] == 0.1


def test_no_family_says_what_no_spec_has():
    fields = set(LLAMA.__dataclass_fields__)
    assert all(family.takes.keys() <= fields for family in FAMILIES.values())
