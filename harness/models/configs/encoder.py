"""The config.json of an encoder, and what sentence-transformers lays beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import ModelError
from harness.core.records import JsonValues, read_json
from harness.models.specs.check import check_encoder
from harness.models.specs.model import EncoderSpec

# class -> family; the heads of pre-training are left out of what is built
CLASSES = {
    "BertModel": "bert",
    "BertForMaskedLM": "bert",
    "BertForPreTraining": "bert",
    "DistilBertModel": "distilbert",
    "DistilBertForMaskedLM": "distilbert",
}
SUPPORTED = ", ".join(CLASSES)
POOLING_FILE = Path("1_Pooling") / "config.json"
MODULES_FILE = "modules.json"
# Steps of a sentence-transformers model that a built graph takes, by the class's own name.
STEPS = ("Transformer", "Pooling", "Normalize")
DEFAULT_POOLING = "mean"  # sentence-transformers, for a plain BERT
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
# family -> the key of each field in its config.json
_KEYS: dict[str, dict[str, str]] = {
    "bert": {
        "hidden_size": "hidden_size",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "intermediate_size": "intermediate_size",
        "activation": "hidden_act",
    },
    "distilbert": {
        "hidden_size": "dim",
        "num_layers": "n_layers",
        "num_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "activation": "activation",
    },
}
_EPSILON = 1e-12  # transformers: default of BertConfig, fixed in DistilBertModel


def encoder_family(values: JsonValues) -> str | None:
    """Return the family of the class that a config.json names, or None: it is no encoder."""
    names = values.texts("architectures")
    if names:
        return CLASSES.get(names[0]) if len(names) == 1 else None
    family = values.text("model_type", "")
    return family if family in _KEYS else None


def encoder_from_config(
    values: JsonValues, family: str, name: str, pooling: str = DEFAULT_POOLING
) -> EncoderSpec:
    """Turn a decoded config.json into an EncoderSpec.

    Args:
        values: the config.
        family: as encoder_family gave it.
        name: what the spec is called.
        pooling: `mean` or `cls`, which config.json does not say; see folder_pooling.

    Raises:
        ModelError: a feature that is not built, a missing key, or numbers that describe no
            encoder.
    """
    keys = _KEYS[family]
    _refuse_features(values)
    word = values.text(keys["activation"], "gelu")
    if word not in _ACTIVATIONS:
        raise values.unsupported(f"{keys['activation']} is {word!r}", ", ".join(_ACTIVATIONS))
    is_bert = family == "bert"
    spec = EncoderSpec(
        name=name,
        family=family,
        vocab_size=values.integer("vocab_size"),
        hidden_size=values.integer(keys["hidden_size"]),
        num_layers=values.integer(keys["num_layers"]),
        num_heads=values.integer(keys["num_heads"]),
        intermediate_size=values.integer(keys["intermediate_size"]),
        max_context_tokens=values.integer("max_position_embeddings"),
        token_types=values.integer("type_vocab_size", 2) if is_bert else 0,
        pooler=is_bert and values.texts("architectures") in ((), ("BertModel",)),
        norm_epsilon=values.number("layer_norm_eps", _EPSILON) if is_bert else _EPSILON,
        activation=_ACTIVATIONS[word],
        pooling=pooling,
        source=values.where,
    )
    return check_encoder(spec, values.where)


def folder_pooling(folder: Path, name: str) -> str:
    """Return how the sentence-transformers files beside a config.json pool; `mean` without any.

    Raises:
        ModelError: a damaged file, a pooling that is not built, or a further step, such as a
            dense layer, after it.
    """
    _refuse_steps(folder, name)
    found = _read_json(folder / POOLING_FILE, f"{name}/{POOLING_FILE.as_posix()}")
    if found is None:
        return DEFAULT_POOLING
    if not isinstance(found, Mapping):
        raise ModelError(f"{name}/{POOLING_FILE.as_posix()} holds no object", fix=_AGAIN)
    chosen = [key for key, value in found.items() if key.startswith("pooling_mode_") and value]
    words = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    word = words.get(chosen[0]) if len(chosen) == 1 else found.get("pooling_mode")
    if word not in words.values():
        stated = ", ".join(chosen) or repr(word)
        raise ModelError(
            f"{name}/{POOLING_FILE.as_posix()}: pooling is {stated}",
            fix="supported: pooling_mode_mean_tokens or pooling_mode_cls_token, alone",
        )
    return str(word)


_AGAIN = "download the folder again"


def _refuse_steps(folder: Path, name: str) -> None:
    """Refuse a model whose embeddings pass through more than is built."""
    steps = _read_json(folder / MODULES_FILE, f"{name}/{MODULES_FILE}") or []
    try:
        classes = [step["type"].rpartition(".")[2] for step in steps]
    except (TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{name}/{MODULES_FILE} is no list of steps", fix=_AGAIN) from error
    unknown = [word for word in classes if word not in STEPS]
    if unknown:
        raise ModelError(
            f"{name}/{MODULES_FILE}: its embeddings pass through {', '.join(unknown)}",
            fix=f"supported steps: {', '.join(STEPS)}",
        )


def _read_json(path: Path, where: str) -> Any:
    """Return a decoded file, or None where there is none."""
    return read_json(path, where, _AGAIN) if path.is_file() else None


def _refuse_features(values: JsonValues) -> None:
    """Refuse whatever would change the computation in a way that is not built."""
    if values.text("position_embedding_type", "absolute") != "absolute":
        word = values.text("position_embedding_type")
        raise values.unsupported(f"position_embedding_type is {word!r}", "absolute")
    for flag in ("is_decoder", "add_cross_attention"):
        if values.flag(flag):
            raise values.unsupported(f"{flag} is true", "an encoder alone")
    if values.has("quantization_config"):
        raise values.unsupported(
            "its weights are already quantized (quantization_config)",
            "the float32, float16 or bfloat16 checkpoint; bench quantizes it itself",
        )
