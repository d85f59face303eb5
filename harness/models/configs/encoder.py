"""The config.json of an encoder, and what sentence-transformers lays beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import ModelError
from harness.core.records import JsonValues, read_json
from harness.models.configs.packed import refuse_packed
from harness.models.specs.check import check_encoder
from harness.models.specs.model import Dense, EncoderSpec


@dataclass(frozen=True, slots=True)
class EncoderClass:
    """What a class of transformers makes of an encoder's body.

    Attributes:
        family: of the body, a key of _KEYS.
        pooler: whether the class has BERT's pooler, which is counted and not built.
        head: activation of the first of a classifier's two layers; empty: it gives embeddings.
    """

    family: str
    pooler: bool = False
    head: str = ""


# Heads of pre-training are left out of what is built; an embedding uses no pooler.
CLASSES = {
    "BertModel": EncoderClass("bert", pooler=True),
    "BertForMaskedLM": EncoderClass("bert"),
    "BertForPreTraining": EncoderClass("bert"),
    "BertForSequenceClassification": EncoderClass("bert", head="tanh"),
    "DistilBertModel": EncoderClass("distilbert"),
    "DistilBertForMaskedLM": EncoderClass("distilbert"),
    "DistilBertForSequenceClassification": EncoderClass("distilbert", head="relu"),
    "XLMRobertaModel": EncoderClass("xlm-roberta", pooler=True),
    "XLMRobertaForMaskedLM": EncoderClass("xlm-roberta"),
    "XLMRobertaForSequenceClassification": EncoderClass("xlm-roberta", head="tanh"),
    "RobertaModel": EncoderClass("roberta", pooler=True),
    "RobertaForMaskedLM": EncoderClass("roberta"),
    "RobertaForSequenceClassification": EncoderClass("roberta", head="tanh"),
}
SUPPORTED = ", ".join(CLASSES)
POOLING_FILE = Path("1_Pooling") / "config.json"
MODULES_FILE = "modules.json"
# Steps of a sentence-transformers model that a built graph takes, by the class's own name.
STEPS = ("Transformer", "Pooling", "Dense", "Normalize")
DEFAULT_POOLING = "mean"  # sentence-transformers, for a plain BERT
# What its pooling file may say: a flag each, or one word. The other ways are not built.
POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
_WORDS = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_DENSE_ACTIVATIONS = {"Identity": "identity", "Tanh": "tanh", "ReLU": "relu", "GELU": "gelu"}
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_BERT_KEYS = {
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "activation": "hidden_act",
}
# family -> the key of each field in its config.json
_KEYS: dict[str, dict[str, str]] = {
    "bert": _BERT_KEYS,
    "distilbert": {
        "hidden_size": "dim",
        "num_layers": "n_layers",
        "num_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "activation": "activation",
    },
    "xlm-roberta": _BERT_KEYS,
    "roberta": _BERT_KEYS,
}
# Families whose first token has the row behind that of the padding token.
_BEHIND_PADDING = ("xlm-roberta", "roberta")
_PADDING = 1  # transformers: default of RobertaConfig
_EPSILON = 1e-12  # transformers: default of BertConfig, fixed in DistilBertModel
_LABELS = 2  # transformers: default of every classifier


@dataclass(frozen=True, slots=True)
class Steps:
    """What a folder of sentence-transformers does with the vectors of a text's tokens.

    Attributes:
        pooling: `mean`, `cls` or `last`.
        dense: what the pooled vector passes.
    """

    pooling: str = DEFAULT_POOLING
    dense: tuple[Dense, ...] = ()


def encoder_class(values: JsonValues) -> EncoderClass | None:
    """Return what a config.json names, by class or model_type, or None: it is none of these."""
    names = values.texts("architectures")
    if names:
        return CLASSES.get(names[0]) if len(names) == 1 else None
    family = values.text("model_type", "")
    return EncoderClass(family, pooler=family != "distilbert") if family in _KEYS else None


def encoder_from_config(
    values: JsonValues, found: EncoderClass, name: str, steps: Steps | None = None
) -> EncoderSpec:
    """Turn a decoded config.json into an EncoderSpec.

    Args:
        values: the config.
        found: as encoder_class gave it.
        name: what the spec is called.
        steps: what config.json does not say; see folder_steps. A classifier has steps of its own.

    Raises:
        ModelError: a feature that is not built, a missing key, or numbers that describe no
            encoder.
    """
    keys = _KEYS[found.family]
    _refuse_features(values)
    word = values.text(keys["activation"], "gelu")
    if word not in _ACTIVATIONS:
        raise values.unsupported(f"{keys['activation']} is {word!r}", ", ".join(_ACTIVATIONS))
    has_types = found.family != "distilbert"
    hidden, first = values.integer(keys["hidden_size"]), _first_position(values, found.family)
    steps = _head(values, found, hidden) if found.head else steps or Steps()
    spec = EncoderSpec(
        name=name,
        family=found.family,
        vocab_size=values.integer("vocab_size"),
        hidden_size=hidden,
        num_layers=values.integer(keys["num_layers"]),
        num_heads=values.integer(keys["num_heads"]),
        intermediate_size=values.integer(keys["intermediate_size"]),
        max_context_tokens=values.integer("max_position_embeddings") - first,
        token_types=values.integer("type_vocab_size", 2) if has_types else 0,
        pooler=found.pooler,
        norm_epsilon=values.number("layer_norm_eps", _EPSILON) if has_types else _EPSILON,
        activation=_ACTIVATIONS[word],
        pooling=steps.pooling,
        first_position=first,
        dense=steps.dense,
        scores=bool(found.head),
        source=values.where,
    )
    return check_encoder(spec, values.where)


def _first_position(values: JsonValues, family: str) -> int:
    """Return the row of the position table that the first token has.

    Raises:
        ModelError: a padding token behind the table.
    """
    if family not in _BEHIND_PADDING:
        return 0
    rows, padding = (
        values.integer("max_position_embeddings"),
        values.integer("pad_token_id", _PADDING),
    )
    if not 0 <= padding < rows - 1:
        raise ModelError(
            f"{values.where}: max_position_embeddings is {rows} and pad_token_id {padding}",
            fix="positions begin behind pad_token_id: it must be below max_position_embeddings - 1",
        )
    return padding + 1


def labels_of(values: JsonValues) -> int:
    """Return how many scores a classifier gives.

    Raises:
        ModelError: its labels are no table, or an empty one.
    """
    labels = values.values.get("id2label")
    if labels is None:
        return values.integer("num_labels", _LABELS)
    if not isinstance(labels, Mapping) or not labels:
        raise ModelError(
            f"{values.where}: id2label is {repr(labels)[:40]}", fix='such as {"0": "LABEL_0"}'
        )
    return len(labels)


def _head(values: JsonValues, found: EncoderClass, hidden: int) -> Steps:
    """Return the classifier behind the first token: a layer as wide as the body, and the labels."""
    return Steps("cls", (Dense(hidden, activation=found.head), Dense(labels_of(values))))


_AGAIN = "download the folder again"


def folder_steps(folder: Path, name: str) -> Steps | None:
    """Return what the sentence-transformers files beside a config.json say; None without any.

    Raises:
        ModelError: a damaged file, a pooling or a dense layer that is not built, or a further
            step after it.
    """
    pooling, dense = _places(folder, name)
    if not (folder / MODULES_FILE).is_file() and not (folder / pooling).is_file():
        return None
    layers = tuple(_dense(folder, name, place) for place in dense)
    return Steps(_pooling(folder, name, pooling), layers)


def dense_folders(folder: Path, name: str) -> tuple[Path, ...]:
    """Return where the dense layers of a sentence-transformers folder lie, relative to it."""
    return _places(folder, name)[1]


def _places(folder: Path, name: str) -> tuple[Path, tuple[Path, ...]]:
    """Return the pooling's file and the folders of dense layers, as modules.json orders them.

    Raises:
        ModelError: no list of steps, a step outside the folder or one that is not built.
    """
    where = f"{name}/{MODULES_FILE}"
    steps = _read_json(folder / MODULES_FILE, where) or []
    try:
        found = [(step["type"].rpartition(".")[2], step.get("path", "")) for step in steps]
        places = [(word, Path(path)) for word, path in found]
    except (TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{where} is no list of steps", fix=_AGAIN) from error
    unknown = [word for word, _path in places if word not in STEPS]
    if unknown:
        raise ModelError(
            f"{where}: its embeddings pass through {', '.join(unknown)}",
            fix=f"supported steps: {', '.join(STEPS)}",
        )
    for _word, path in places:
        if path.is_absolute() or ".." in path.parts:
            raise ModelError(
                f"{where}: a step lies in {str(path)[:80]!r}",
                fix="a step may only lie inside the folder; do not use this checkpoint",
            )
    pooling = next((path / "config.json" for word, path in places if word == "Pooling"), None)
    return pooling or POOLING_FILE, tuple(path for word, path in places if word == "Dense")


def _pooling(folder: Path, name: str, file: Path) -> str:
    """Return how one file pools; `mean` where it is not there."""
    where = f"{name}/{file.as_posix()}"
    found = _read_json(folder / file, where)
    if found is None:
        return DEFAULT_POOLING
    if not isinstance(found, Mapping):
        raise ModelError(f"{where} holds no object", fix=_AGAIN)
    chosen = [key for key, value in found.items() if key.startswith("pooling_mode_") and value]
    word = found.get("pooling_mode")
    known = POOLINGS.get(chosen[0]) if len(chosen) == 1 else _word(word)
    if known is None:
        stated = ", ".join(chosen) or repr(word)
        *some, last = POOLINGS
        raise ModelError(
            f"{where}: pooling is {stated}",
            fix=f"supported: {', '.join(some)} or {last}, alone",
        )
    return known


def _word(pooling: object) -> str | None:
    """Return a pooling by its word, which may be the only one of a list."""
    if isinstance(pooling, Sequence) and not isinstance(pooling, str) and len(pooling) == 1:
        return _word(pooling[0])
    return _WORDS.get(pooling) if isinstance(pooling, str) else None


def _dense(folder: Path, name: str, place: Path) -> Dense:
    """Return one dense layer.

    Raises:
        ModelError: its file is missing or damaged, or its activation is not built.
    """
    where = f"{name}/{(place / 'config.json').as_posix()}"
    found = _read_json(folder / place / "config.json", where)
    if not isinstance(found, Mapping):
        raise ModelError(f"{where} is not there or holds no object", fix=_AGAIN)
    values = JsonValues(dict(found), where)
    word = values.text("activation_function", "torch.nn.modules.activation.Tanh")
    activation = _DENSE_ACTIVATIONS.get(word.rpartition(".")[2])
    if activation is None:
        raise values.unsupported(f"activation_function is {word!r}", ", ".join(_DENSE_ACTIVATIONS))
    return Dense(values.integer("out_features"), values.flag("bias", True), activation)


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
    refuse_packed(values)
