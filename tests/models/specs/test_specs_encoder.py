"""Encoders from a config.json, from what sentence-transformers lays beside it, and their names."""

import json

import pytest

from harness.builder.graph.geometry import geometry_of
from harness.builder.quantize.levels import LEVELS
from harness.core.errors import ModelError
from harness.core.records import data_folder
from harness.models.catalog.catalog import catalog_model, load_spec, read_spec
from harness.models.configs.config import spec_from_config, spec_from_file
from harness.models.specs.encoder_names import checkpoint_name, is_unused, without_prefix
from harness.models.specs.model import Dense, ModelSpec, RotaryEncoderSpec
from harness.models.specs.tensors import built_parameters, logical_tensors, parameters

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
    "head of tokens": (
        {"architectures": ["BertForTokenClassification"]},
        "BertForTokenClassification needs a head for every token",
    ),
    "head of spans": ({"architectures": ["RobertaForQuestionAnswering"]}, "marks a span"),
    "classifier": (
        {"architectures": ["EuroBertForSequenceClassification"]},
        "a classifier's head that is not built",
    ),
    "labels": (
        {"architectures": ["BertForSequenceClassification"], "id2label": []},
        r"id2label is \[\]",
    ),
    "positions": (
        {"architectures": ["XLMRobertaModel"], "max_position_embeddings": 2, "pad_token_id": 1},
        "max_position_embeddings is 2 and pad_token_id 1",
    ),
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
        ({"pooling_mode": ["lasttoken"]}, "last"),
        ({"pooling_mode_lasttoken": True}, "last"),
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
        ({"modules.json": [{"type": "sentence_transformers.models.WordWeights"}]}, "WordWeights"),
        (
            {"modules.json": [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]},
            "toy/2_Dense/config.json is not there",
        ),
        (
            {"modules.json": [{"type": "models.Dense", "path": "../2_Dense"}]},
            "inside the folder|a step lies in",
        ),
        (
            {
                "modules.json": [{"type": "models.Dense", "path": "2_Dense"}],
                "2_Dense/config.json": {"out_features": 8, "activation_function": "nn.Mish"},
            },
            "toy/2_Dense/config.json: activation_function is 'nn.Mish'",
        ),
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


XLMR = {
    **BERT,
    "architectures": ["XLMRobertaModel"],
    "model_type": "xlm-roberta",
    "max_position_embeddings": 34,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}


def test_the_longest_text_of_a_roberta_is_its_positions_less_two():
    """34 rows, of which the first token has the third: 32 tokens."""
    spec = spec_from_config(XLMR, "toy")
    assert (spec.max_context_tokens, spec.first_position, spec.position_rows) == (32, 2, 34)
    assert (spec.token_types, spec.pooler) == (1, True)
    assert geometry_of(spec, LEVELS["fp32"]).inputs == ("input_ids", "attention_mask")


def test_a_classifier_gives_its_labels_as_scores():
    labels = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    spec = spec_from_config({**BERT, **labels}, "toy")
    assert spec.dense == (Dense(64, activation="tanh"), Dense(1))
    assert (spec.scores, spec.pooling, spec.pooler) == (True, "cls", False)
    assert spec_from_config({**BERT, **labels, "id2label": None}, "toy").dense[1].outputs == 2


MODERNBERT = {
    "architectures": ["ModernBertModel"],
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "local_attention": 16,
    "norm_eps": 1e-5,
    "hidden_activation": "gelu",
}
FORM_4 = {"global_rope_theta": 5000.0, "local_rope_theta": 70.0, "global_attn_every_n_layers": 2}
FORM_5 = {
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 70.0},
    },
    "layer_types": ["full_attention", "sliding_attention"] * 3 + ["full_attention"],
}


@pytest.mark.parametrize("form", [FORM_4, FORM_5])
def test_modernbert_is_read_in_both_forms(form):
    """Of two layers the first sees everything; windows and bases are those of the file."""
    spec = spec_from_config({**MODERNBERT, **form}, "toy")
    assert (spec.rope_theta, spec.local_rope_theta) == (5000.0, 70.0)
    windows = [spec.window_tokens(layer) for layer in range(spec.num_layers)]
    assert windows == [None, 16, None, 16, None, 16, None]
    assert spec.full_attention_layers == 4
    assert (spec.norm, spec.embedding_norm, spec.causal) == ("layernorm_weight", True, False)


def test_modernbert_without_any_of_them_has_its_class_defaults():
    spec = spec_from_config({k: v for k, v in MODERNBERT.items() if k != "local_attention"}, "toy")
    assert (spec.rope_theta, spec.local_rope_theta) == (160_000.0, 10_000.0)
    assert (spec.sliding_window_tokens, spec.layer_pattern) == (128, "FSSFSSF")


QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 96,
    "max_position_embeddings": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "hidden_act": "silu",
}
STEPS = {"1_Pooling/config.json": {"pooling_mode_lasttoken": True}}


def test_a_decoders_class_beside_a_pooling_is_an_encoder(tmp_path):
    """Only the folder of sentence-transformers tells Qwen3-Embedding from Qwen3."""
    assert type(spec_from_config(QWEN3, "toy")) is ModelSpec
    spec = spec_from_file(folder_with(tmp_path, STEPS, QWEN3), "toy")
    assert isinstance(spec, RotaryEncoderSpec)
    assert (spec.causal, spec.pooling, spec.tied_embeddings) == (True, "last", True)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tie_word_embeddings": True, "attn_logit_softcapping": 50.0}, "attention_softcap is 50"),
        ({"layer_types": ["full_attention", "other"]}, "attend in different ways"),
    ],
)
def test_gemma_looking_both_ways_is_an_encoder_or_refused(keys, message):
    gemma = {
        **QWEN3,
        "architectures": ["Gemma3TextModel"],
        "use_bidirectional_attention": True,
        "sliding_window": 8,
    }
    spec = spec_from_config(gemma, "toy")
    assert (spec.causal, spec.pooling, spec.sliding_window_tokens) == (False, "mean", 8)
    with pytest.raises(ModelError, match=message):
        spec_from_config({**gemma, **keys}, "toy")


def test_a_class_with_a_head_over_words_is_no_encoder_because_of_a_flag():
    keys = {"architectures": ["Gemma3ForCausalLM"], "use_bidirectional_attention": True}
    with pytest.raises(ModelError, match="use_bidirectional_attention is true"):
        spec_from_config({**QWEN3, **keys}, "toy")


def test_scores_need_a_layer_that_gives_them(tmp_path):
    text = (data_folder("models") / "bge-m3.toml").read_text()
    path = tmp_path / "bge-m3.toml"
    path.write_text(text.replace("first_position = 2", "first_position = 2\nscores = true"))
    with pytest.raises(ModelError, match="scores without a dense layer"):
        read_spec(path)


def test_counts_of_heads_by_hand():
    """bge-reranker-v2-m3: 1024² + 1024 and 1024 + 1 behind bge-m3's body, which has no pooler."""
    head = 1024 * 1024 + 1024 + 1024 + 1
    whole, body = load_spec("bge-reranker-v2-m3"), load_spec("bge-m3")
    assert built_parameters(whole) - built_parameters(body) == head
    assert parameters(whole) == 567_755_777
    gemma = load_spec("embeddinggemma-300m")
    assert parameters(gemma) - 302_863_104 == 2 * 768 * 3072
