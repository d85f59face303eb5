"""Forms in which classes of transformers store the same tensors; each gives the same weights."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from harness.models.specs.tensors import logical_tensors
from harness.models.weights.checkpoint import open_weights
from harness.models.weights.source import resolve_model
from tests.builder.graph.seeded_folder import folder_of


def rewritten(name, tmp_path, change, config=lambda values: values):
    """A fixture whose tensors, and config.json, were changed."""
    folder = tmp_path / name
    shutil.copytree(folder_of(name), folder)
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors")
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config(values)))
    return folder


def weights_of(folder):
    """Every tensor by our names."""
    source = resolve_model(str(folder))
    store = open_weights(source)
    return {one.name: store.tensor(one.name) for one in logical_tensors(source.spec)}


def same(name, folder):
    ours, theirs = weights_of(folder_of(name)), weights_of(folder)
    assert ours.keys() == theirs.keys()
    for key, values in ours.items():
        np.testing.assert_array_equal(theirs[key], values, err_msg=key)


def in_stacks(tensors):
    """Experts in two stacks a layer, gates above ups, as Qwen3.5's makers publish them."""
    experts = {key for key in tensors if ".mlp.experts." in key}
    kept = {key: values for key, values in tensors.items() if key not in experts}
    for layer in range(3):
        before = f"model.layers.{layer}.mlp.experts"
        parts = [
            [tensors[f"{before}.{one}.{part}_proj.weight"] for part in ("gate", "up", "down")]
            for one in range(5)
        ]
        kept[f"{before}.gate_up_proj"] = np.stack([np.concatenate(one[:2]) for one in parts])
        kept[f"{before}.down_proj"] = np.stack([one[2] for one in parts])
    return kept


def test_experts_in_stacks_are_those_one_by_one(tmp_path):
    name = "qwen3_5_moe_text-delta"
    same(name, rewritten(name, tmp_path, in_stacks))


def test_a_convolution_cut_at_its_heads_is_the_one_in_thirds(tmp_path):
    """Transformers cuts 160 channels into 54, 54 and 52; queries, keys, values are 64, 64, 32."""

    def at_heads(tensors):
        for layer in (0, 2):
            names = [f"model.layers.{layer}.linear_attn.{one}_conv1d.weight" for one in "qkv"]
            whole = np.concatenate([tensors[name] for name in names])
            tensors |= dict(zip(names, np.split(whole, [64, 128]), strict=True))
        return tensors

    name = "olmo_hybrid-delta"
    same(name, rewritten(name, tmp_path, at_heads))


def test_norms_of_layers_that_attend_have_two_names(tmp_path):
    def renamed(tensors):
        old, new = "layers.1.feedforward_layer_norm", "layers.1.post_attention_layernorm"
        return {key.replace(old, new): values for key, values in tensors.items()}

    name = "olmo_hybrid-delta"
    same(name, rewritten(name, tmp_path, renamed))


@pytest.mark.parametrize("has_head", [True, False])
def test_what_is_stored_decides_whether_a_contradicted_head_is_tied(has_head, tmp_path):
    """The whole model says yes, its text part no: transformers 5 stores no head then, 4 does."""

    def nested(values):
        part = {**values, "tie_word_embeddings": False, "model_type": "ministral3"}
        part.pop("architectures")
        whole = {"architectures": ["Mistral3ForConditionalGeneration"], "model_type": "mistral3"}
        return {**whole, "tie_word_embeddings": True, "text_config": part}

    def prefixed(tensors):
        kept = {key: one for key, one in tensors.items() if has_head or "lm_head" not in key}
        return {key.replace("model.", "model.language_model."): one for key, one in kept.items()}

    folder = rewritten("ministral3-yarn", tmp_path, prefixed, nested)
    assert resolve_model(str(folder)).spec.tied_embeddings is not has_head
    assert weights_of(folder)
