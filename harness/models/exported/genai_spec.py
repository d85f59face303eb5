"""The architecture of a genai folder without config.json: from its numbers and the exact count.

genai_config.json says everything that counts parameters but the width of the feed-forward block.
Parameters grow evenly with that width, so two trials tell how much, and the count in the file tells
the width. Only a width that gives exactly this count is taken, and that a stored matrix has. Where
the family that is named has none, the one family that has is taken.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from harness.core.errors import ModelError
from harness.models.configs.architectures import ARCHITECTURES
from harness.models.configs.config import spec_from_config
from harness.models.specs.model import ModelSpec
from harness.models.specs.tensors import parameters

# What config.json calls the numbers of genai_config.json, of the model and of its decoder.
_MODEL_KEYS = {
    "type": "model_type",
    "vocab_size": "vocab_size",
    "context_length": "max_position_embeddings",
}
_DECODER_KEYS = {
    "head_size": "head_dim",
    "hidden_size": "hidden_size",
    "num_attention_heads": "num_attention_heads",
    "num_hidden_layers": "num_hidden_layers",
    "num_key_value_heads": "num_key_value_heads",
}
_NO_COUNT = {"rms_norm_eps": 1e-5, "layer_norm_eps": 1e-5}  # asked for, but they count nothing
_TRIAL_WIDTH = 64


def spec_by_count(
    genai: Any,
    counted: int,
    *,
    tied: bool,
    name: str,
    sizes: Collection[tuple[int, ...]] = (),
) -> ModelSpec | None:
    """Return the architecture of a known family that has exactly the counted parameters, or None.

    Args:
        genai: decoded genai_config.json.
        counted: trained values in the files.
        tied: whether the head is the table of embeddings.
        name: of the model.
        sizes: of the stored matrices; empty: not known, so nothing is held against them.
    """
    config = _config(genai, tied=tied)
    if config is None:
        return None
    named = _of_family(config, counted, name, sizes)
    if named is not None or not sizes:
        return named
    families = {row.family for row in ARCHITECTURES.values()} - {config["model_type"]}
    found = [
        spec
        for family in sorted(families)
        if (spec := _of_family({**config, "model_type": family}, counted, name, sizes)) is not None
    ]
    return found[0] if len(found) == 1 else None


def _of_family(
    config: dict[str, Any], counted: int, name: str, sizes: Collection[tuple[int, ...]]
) -> ModelSpec | None:
    """Return the architecture of one family with this count and these matrices, or None."""
    try:
        spec = spec_from_config({**config, "intermediate_size": _TRIAL_WIDTH}, name)
    except ModelError:  # a family that we do not know, or a number that is missing
        return None
    if not isinstance(spec, ModelSpec) or spec.experts is not None:
        return None
    base = parameters(spec)
    per_width = parameters(replace(spec, intermediate_size=_TRIAL_WIDTH + 1)) - base
    width, rest = divmod(counted - base + per_width * _TRIAL_WIDTH, per_width)
    if rest or width < 1:
        return None
    alike = {tuple(sorted((times * width, spec.hidden_size))) for times in (1, 2)}
    if sizes and alike.isdisjoint(tuple(sorted(size)) for size in sizes):
        return None
    return replace(spec, intermediate_size=width)


def _config(genai: Any, *, tied: bool) -> dict[str, Any] | None:
    """Return the numbers under the names of config.json; None where one is missing."""
    model = genai.get("model") if isinstance(genai, Mapping) else None
    decoder = model.get("decoder") if isinstance(model, Mapping) else None
    if not isinstance(model, Mapping) or not isinstance(decoder, Mapping):
        return None
    found = {key: model.get(key) for key in _MODEL_KEYS}
    found |= {key: decoder.get(key) for key in _DECODER_KEYS}
    if any(value is None for value in found.values()):
        return None
    names = {**_MODEL_KEYS, **_DECODER_KEYS}
    window = decoder.get("sliding_window")
    size = window.get("window_size") if isinstance(window, Mapping) else None
    return {
        **_NO_COUNT,
        **{names[key]: value for key, value in found.items()},
        **({} if size is None else {"sliding_window": size}),
        "tie_word_embeddings": tied,
    }
