"""What of a config.json describes the decoder: all of it, or the text part of a larger model."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from harness.core.errors import ModelError
from harness.core.records import JsonValues
from harness.models.configs.architectures import NEEDS

TEXT, TIED = "text_config", "tie_word_embeddings"
# Keys that the whole model states for its text part too, where that part does not.
_SHARED = ("tie_word_embeddings", "quantization_config", "vocab_size", "auto_map")
# The family of a text part, where its checkpoints call it otherwise alone.
_ALONE = {"gemma3": "gemma3_text"}
# Models whose text part is not what the class of its family computes.
_OTHERWISE = {
    "PaliGemmaForConditionalGeneration": "attention in both directions over its prefix",
}


def text_part(values: JsonValues, families: Collection[str]) -> tuple[JsonValues, str]:
    """Return what describes the decoder, and the class whose text part it is.

    Args:
        values: a whole config.json.
        families: that are built.

    Returns:
        `values` itself and no class, where config.json describes a decoder alone; else the text
        part, with the keys that only the whole model states, under the family's own name.

    Raises:
        ModelError: a class that reads more than text without a text part, or with one that is
            not built.
    """
    names = values.texts("architectures")
    whole = names[0] if len(names) == 1 else values.text("model_type", "a model")
    inner = values.table(TEXT)
    if inner is None:
        if whole.endswith("ForConditionalGeneration") and whole in NEEDS:
            _refuse_without_text(values, whole)
        return values, ""
    family = inner.text("model_type", "")
    family = _ALONE.get(family, family)
    if whole in _OTHERWISE:
        raise values.unsupported(
            f"the text part of {whole} needs {_OTHERWISE[whole]}", "text parts that only look back"
        )
    if family not in families:
        need = NEEDS.get(whole, f"a text part of model_type {family!r}, which is not known")
        raise values.unsupported(f"{whole} needs {need}", f"text parts of {', '.join(families)}")
    shared = {key: values.values[key] for key in _SHARED if values.has(key)}
    given = {key: value for key, value in inner.values.items() if value is not None}
    part = {**inner.values, **shared, **given, "architectures": None, "model_type": family}
    return JsonValues(part, f"{values.where} {TEXT}"), whole


def with_head(config: Mapping[str, Any], stored: Callable[[], Collection[str]]) -> dict[str, Any]:
    """Return a config.json whose text part says what the whole model says of its head.

    Where they contradict each other, transformers 5 believes the whole and stores no head, while
    transformers 4 believes the text part: what is stored decides.

    Args:
        config: a decoded config.json.
        stored: the names of the tensors beside it, asked only then.
    """
    part = config.get(TEXT)
    if config.get(TIED) is not True or not isinstance(part, Mapping):
        return dict(config)
    if part.get(TIED) is not False:
        return dict(config)
    if any(name.endswith("lm_head.weight") for name in stored()):
        return dict(config)
    return {**config, TEXT: {**part, TIED: True}}


def _refuse_without_text(values: JsonValues, whole: str) -> NoReturn:
    """Refuse a model that reads more than text, and whose config.json has no part for text."""
    raise ModelError(
        f"{values.where}: {whole} needs {NEEDS[whole]}, and there is no {TEXT} of a part that reads"
        " text alone",
        fix=f"copy the whole config.json with its {TEXT}, or take the text model of the family",
    )
