"""Which layers of a Hugging Face config.json see only the last tokens."""

from collections.abc import Sequence

from harness.core.records import JsonValues
from harness.models.configs.architectures import Architecture

_FULL, _WINDOWED = "full_attention", "sliding_attention"


def windows_of(values: JsonValues, architecture: Architecture) -> tuple[int | None, int | None]:
    """Return the sliding window, and of how many layers the last sees everything all the same.

    Returns:
        window in tokens, or None; full_attention_every as in ModelSpec, or None.

    Raises:
        ModelError: windowed and full layers alternate in a way that no period describes.
    """
    window, kinds = _stated_window(values, architecture), _kinds(values, architecture)
    if not kinds:
        return window, None
    if set(kinds) == {_FULL}:
        return None, None
    if set(kinds) == {_WINDOWED}:
        return window, None
    every = kinds.index(_FULL) + 1 if _FULL in kinds else 0
    if every and list(kinds) == periodic(len(kinds), every):
        return window, (None if window is None else every)
    raise values.unsupported(
        f"its layers attend in different ways (layer types: {', '.join(sorted(set(kinds)))})",
        "the same attention in every layer, or one full layer after every n with a window",
    )


def periodic(layers: int, every: int) -> list[str]:
    """Return the kind of each layer where the last of `every` sees everything."""
    return [_WINDOWED if (layer + 1) % every else _FULL for layer in range(layers)]


def _kinds(values: JsonValues, architecture: Architecture) -> Sequence[str]:
    """Return the kind of each layer; empty: config.json does not tell them apart."""
    layers = values.integer(architecture.keys.get("num_layers", "num_hidden_layers"))
    if values.has("layer_types"):
        return values.texts("layer_types")
    if architecture.window_behind_flag and _stated_window(values, architecture) is not None:
        first = min(values.integer("max_window_layers", 28), layers)
        return [_FULL] * first + [_WINDOWED] * (layers - first)
    if architecture.default_full_every is None:
        return ()
    every = values.integer("sliding_window_pattern", architecture.default_full_every)
    return periodic(layers, every)


def _stated_window(values: JsonValues, architecture: Architecture) -> int | None:
    """Return sliding_window where the class reads it, else None."""
    if not architecture.reads_window:
        return None
    if architecture.window_behind_flag and not values.flag("use_sliding_window"):
        return None
    if "sliding_window" not in values.values:
        return architecture.default_window_tokens
    return values.integer("sliding_window") if values.has("sliding_window") else None
