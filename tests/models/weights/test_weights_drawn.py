"""Seeded mixtures draw their experts evenly; every other model has the weights it always had."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from harness.builder.graph.decoder import build_decoder
from harness.builder.quantize.levels import LEVELS
from harness.engine.passes import seeded_ids
from harness.models.catalog.catalog import load_spec, spec_names
from harness.models.specs.dissect import spec_structure
from harness.models.specs.layers import Experts
from harness.models.weights.drawn import factor_of, mixture_of
from harness.models.weights.seeded import SeededWeights
from harness.models.weights.source import seeded_identity
from tests.tiny import SPECS

MIXTURE = replace(
    SPECS["mixtral"],
    vocab_size=2048,
    num_layers=8,
    max_context_tokens=256,
    experts=Experts(16, 2, 32),
)
MIXTURES = {
    "softmax": MIXTURE,
    "tied": replace(MIXTURE, tied_embeddings=True),
    "sigmoid": replace(
        MIXTURE,
        family="lfm2_moe",
        experts=Experts(16, 2, 32, dense_layers=1, sigmoid=True, choice_bias=True),
    ),
    "biases": replace(MIXTURE, qkv_bias=True, out_bias=True, experts=Experts(16, 2, 32, bias=True)),
    "norms behind": replace(MIXTURE, norm_order="around"),
}
STEPS, PROMPT = 24, 64


@pytest.fixture(scope="module", params=MIXTURES)
def choices(request, tmp_path_factory):
    """Experts of each layer for every token of a prompt, and for every greedy step behind it."""
    spec, folder = MIXTURES[request.param], tmp_path_factory.mktemp("drawn")
    build_decoder(spec, LEVELS["fp32"], SeededWeights(spec, 0), folder)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    scores = [node.input[1] for node in model.graph.node if node.op_type == "MoE"]
    for name in scores:
        model.graph.output.append(helper.make_tensor_value_info(name, 1, ["tokens", 16]))
    onnx.save(model, folder / "scores.onnx")
    session = onnxruntime.InferenceSession(folder / "scores.onnx")
    caches = [one.name for one in session.get_inputs() if one.name.startswith("past")]
    held = dict.fromkeys(caches, np.zeros((1, 2, 0, 32), np.float32))
    names = [one.name for one in session.get_outputs()]
    ids, seen, chosen = seeded_ids(0, 1, PROMPT, spec.vocab_size), 0, []
    for _ in range(1 + STEPS):
        seen += ids.shape[1]
        feeds = {"input_ids": ids, "attention_mask": np.ones((1, seen), np.int64), **held}
        found = dict(zip(names, session.run(None, feeds), strict=True))
        held = {name: found[name.replace("past_key_values", "present")] for name in caches}
        chosen.append([np.argsort(-found[name], axis=1)[:, :2] for name in scores])
        ids = found["logits"].reshape(1, -1)[:, -spec.vocab_size :].argmax(axis=1)[:, None]
    return spec, chosen[0], chosen[1:]


def test_a_prompt_touches_as_many_experts_as_expected(choices):
    """16 tokens of 2 of 16 experts: 16 · (1 - (7/8)^16) = 14.1; weights alone give half of it."""
    spec, prompt, _ = choices
    up = next(g for g in spec_structure(spec).groups if g.name == "experts gate and up")
    layers = len(prompt)
    per_layer = 16 * up.touched_copies(16) / up.copies
    assert per_layer == pytest.approx(16 * (1 - (7 / 8) ** 16))
    touched = [len(np.unique(one[:16])) for one in prompt]
    assert np.mean(touched) == pytest.approx(per_layer, rel=0.08)
    shares = [np.bincount(one.ravel(), minlength=16).max() / (PROMPT * 2 / 16) for one in prompt]
    assert layers >= 7
    assert np.mean(shares) < 2.5


def test_steps_choose_anew(choices):
    """Two of 16 by chance: a step shares 1 / 8 of its experts with the one before it."""
    _, _, steps = choices
    kept = [
        len(np.intersect1d(one, other)) / 2
        for before, after in pairwise(steps)
        for one, other in zip(before, after, strict=True)
    ]
    assert np.mean(kept) == pytest.approx(1 / 8, abs=0.1)


def test_two_layers_choose_apart(choices):
    """Of a token one layer's experts tell nothing of the next one's."""
    _, prompt, _ = choices
    alike = [
        len(np.intersect1d(a, b)) / 2
        for one, other in pairwise(prompt)
        for a, b in zip(one, other, strict=True)
    ]
    assert np.mean(alike) == pytest.approx(1 / 8, abs=0.04)


@pytest.mark.parametrize("name", spec_names())
def test_only_mixtures_have_another_identity(name):
    """So no other model is built anew."""
    spec = load_spec(name)
    drawn = mixture_of(spec) is not None
    assert seeded_identity(3, spec) == ("seeded-v1-3-drawn" if drawn else "seeded-v1-3")
    assert drawn == (getattr(spec, "experts", None) is not None)


@pytest.mark.parametrize(
    ("part", "factor"),
    [
        ("layers.0.self_attn.q_proj.weight", 1),
        ("layers.0.mlp.experts.3.up_proj.weight", 1),
        ("layers.0.mlp.router.weight", 1),
        ("layers.0.mlp.router.bias", 0),
        ("layers.2.mlp.expert_bias", 0),
        ("layers.0.self_attn.o_proj.weight", 0.05),
        ("layers.7.self_attn.o_proj.bias", 0.05),
        ("layers.6.mlp.experts.3.down_proj.weight", 0.05),
        ("layers.7.mlp.experts.3.down_proj.weight", 1),
        ("layers.3.mlp.shared_expert.down_proj.weight", 0.05),
        ("embed_tokens.weight", 1),
    ],
)
def test_what_a_layer_adds_is_a_share_of_the_embedding(part, factor):
    """A fifth over the root of sixteen additions: 0.2 / 4, times the embedding's deviation."""
    assert factor_of(MIXTURE, f"model.{part}", 1.0) == pytest.approx(factor)


def test_norms_behind_the_parts_take_their_place():
    spec = MIXTURES["norms behind"]
    assert factor_of(spec, "model.layers.0.self_attn.o_proj.weight", 1.0) == 1
    assert factor_of(spec, "model.layers.0.post_attention_layernorm.weight", 1.0) == 0.05
    assert factor_of(spec, "model.layers.7.post_attention_layernorm.weight", 1.0) == 0.05
    assert factor_of(spec, "model.layers.7.post_feedforward_layernorm.weight", 1.0) == 1


def test_any_range_of_the_last_norm_has_the_same_signs():
    weights = SeededWeights(MIXTURE, 0)
    whole = weights.tensor("model.norm.weight")
    assert (np.sign(whole) == np.tile([1, -1], len(whole) // 2)).all()
    np.testing.assert_array_equal(weights.rows("model.norm.weight", 3, 7), whole[3:7])
