"""Encoders from a config.json, from what sentence-transformers lays beside it, and their names."""

import json

import pytest

from harness.core.errors import ModelError
from harness.core.records import data_folder
from harness.models.catalog.catalog import catalog_model, load_spec, read_spec
from harness.models.configs.config import spec_from_config, spec_from_file
from harness.models.specs.encoder_names import checkpoint_name, is_unused, without_prefix
from harness.models.specs.tensors import logical_tensors

BERT = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}
DISTILBERT = {
    "model_type": "distilbert",
    "vocab_size": 96,
    "dim": 64,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 96,
    "max_position_embeddings": 32,
    "activation": "gelu",
}


def folder_with(tmp_path, files, config=BERT):
    """A Hugging Face folder without weights."""
    for name, content in {"config.json": config, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return tmp_path / "config.json"


def test_bert_is_read_with_its_defaults():
    spec = spec_from_config(BERT, "toy")
    assert (spec.family, spec.num_layers, spec.head_dim, spec.token_types) == ("bert", 2, 16, 2)
    assert (spec.activation, spec.pooling, spec.pooler) == ("gelu", "mean", True)


def test_distilbert_has_keys_of_its_own_and_no_token_types():
    spec = spec_from_config(DISTILBERT, "toy")
    assert (spec.hidden_size, spec.num_layers, spec.intermediate_size) == (64, 3, 96)
    assert (spec.token_types, spec.pooler, spec.norm_epsilon) == (0, False, 1e-12)


@pytest.mark.parametrize("word", ["gelu_new", "gelu_pytorch_tanh"])
def test_the_approximation_of_gelu_is_told_from_the_exact_one(word):
    assert spec_from_config({**BERT, "hidden_act": word}, "toy").activation == "gelu_tanh"


REFUSED = {
    "activation": ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
    "relative positions": (
        {"position_embedding_type": "relative_key"},
        "position_embedding_type is 'relative_key'",
    ),
    "decoder": ({"is_decoder": True}, "is_decoder is true"),
    "quantized": ({"quantization_config": {}}, "already quantized"),
    "uneven heads": ({"num_attention_heads": 5}, "64 does not divide into 5 heads"),
    "no layers": ({"num_hidden_layers": 0}, "num_layers is 0"),
    "negative types": ({"type_vocab_size": -1}, "token_types is -1"),
    "classifier": ({"architectures": ["BertForSequenceClassification"]}, "a classifier's head"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_built_is_named(case):
    keys, message = REFUSED[case]
    with pytest.raises(ModelError, match=message):
        spec_from_config({**BERT, **keys}, "toy")


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_pooling_is_that_of_the_folder(tmp_path, pooling, expected):
    path = folder_with(tmp_path, {"1_Pooling/config.json": pooling})
    assert spec_from_file(path, "toy").pooling == expected


def test_a_plain_bert_is_pooled_by_the_mean(tmp_path):
    assert spec_from_file(folder_with(tmp_path, {}), "toy").pooling == "mean"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"1_Pooling/config.json": {"pooling_mode_max_tokens": True}}, "pooling_mode_max_tokens"),
        (
            {
                "1_Pooling/config.json": {
                    "pooling_mode_max_tokens": True,
                    "pooling_mode_cls_token": True,
                }
            },
            "pooling_mode_max_tokens, pooling_mode_cls_token",
        ),
        ({"1_Pooling/config.json": "{"}, "is not JSON"),
        ({"1_Pooling/config.json": "[]"}, "holds no object"),
        ({"modules.json": [{"type": "sentence_transformers.models.Dense"}]}, "pass through Dense"),
        ({"modules.json": {"type": "x"}}, "no list of steps"),
    ],
)
def test_other_steps_to_an_embedding_are_refused(tmp_path, files, message):
    with pytest.raises(ModelError, match=message):
        spec_from_file(folder_with(tmp_path, files), "toy")


def test_names_of_both_families():
    bert, distilbert = load_spec("bert-base-uncased"), load_spec("distilbert-base-uncased")
    name = "model.layers.7.self_attn.q_proj.weight"
    assert checkpoint_name(bert, name) == "encoder.layer.7.attention.self.query.weight"
    name = "model.layers.3.mlp.down_proj.bias"
    assert checkpoint_name(distilbert, name) == "transformer.layer.3.ffn.lin2.bias"
    for spec in (bert, distilbert):
        names = [checkpoint_name(spec, tensor.name) for tensor in logical_tensors(spec)]
        assert len(set(names)) == len(names)


def test_a_prefix_and_the_old_names_of_norms_are_understood():
    spec = load_spec("bert-base-uncased")
    old = "bert.embeddings.LayerNorm.gamma"
    assert without_prefix(spec, old) == "embeddings.LayerNorm.weight"
    assert checkpoint_name(spec, "model.embed_norm.weight") == "embeddings.LayerNorm.weight"


def test_heads_of_pre_training_are_not_needed():
    assert is_unused("cls.predictions.bias")
    assert is_unused("pooler.dense.weight")
    assert not is_unused("encoder.layer.0.output.dense.weight")


def test_the_catalog_builds_what_it_counts():
    """The pooler is counted as published, but no token is multiplied by it."""
    structure = catalog_model("all-minilm-l6-v2").structure
    assert structure.parameters == 22_713_216
    assert structure.spec == load_spec("all-minilm-l6-v2")
    assert structure.read_parameters == 22_713_216 - (30_522 + 512 + 2) * 384 - 147_840


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('pooling = "mean"', 'pooling = "max"', "pooling is 'max'"),
        ('activation = "gelu"', 'activation = "relu"', "activation is 'relu'"),
        ("num_heads = 12", "num_heads = 7", "7 heads"),
        ("num_heads = 12", "num_kv_heads = 12", "num_kv_heads"),
    ],
)
def test_a_damaged_file_is_refused_by_key(tmp_path, old, new, named):
    text = (data_folder("models") / "all-minilm-l6-v2.toml").read_text()
    path = tmp_path / "all-minilm-l6-v2.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ModelError) as raised:
        read_spec(path)
    assert named in str(raised.value)
