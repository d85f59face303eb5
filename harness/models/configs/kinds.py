"""What config.json says that tells the layers of a decoder apart: windows, periods, positions."""

from collections.abc import Sequence
from typing import Any

from harness.core.errors import ModelError
from harness.core.records import JsonValues
from harness.models.configs.row import Architecture
from harness.models.specs.check import require_positive
from harness.models.specs.layers import shortest_pattern

_FULL, _WINDOWED = "full_attention", "sliding_attention"
# What config.json calls a kind of layer, and its letter in a pattern.
_LETTERS = {_FULL: "F", "attention": "F", _WINDOWED: "S"}
_UNROTATED = {"F": "G", "S": "N"}


def layers_of(values: JsonValues, architecture: Architecture) -> dict[str, Any]:
    """Return what of a ModelSpec tells the layers apart: window, period or pattern.

    Raises:
        ModelError: a kind of layer that is not built, or a list that is not as long as the model.
    """
    window, kinds = _stated_window(values, architecture), _kinds(values, architecture)
    letters = [_letter(values, kind) for kind in kinds]
    if window is None:
        letters = ["F" if letter == "S" else letter for letter in letters]
    letters = _without_rotary(values, architecture, letters)
    if not letters:
        return {"sliding_window_tokens": window}
    if set(letters) <= {"F", "S"}:
        period = letters.index("F") + 1 if "F" in letters else 0
        if "S" not in letters:
            return {}
        if not period:
            return {"sliding_window_tokens": window}
        if letters == [_LETTERS[kind] for kind in periodic(len(letters), period)]:
            return {"sliding_window_tokens": window, "full_attention_every": period}
    pattern = shortest_pattern("".join(letters))
    return {
        "sliding_window_tokens": window if set(letters) & {"S", "N"} else None,
        "layer_pattern": pattern,
    }


def periodic(layers: int, every: int, *, first: bool = False) -> list[str]:
    """Return the kind of each layer where one of `every` sees everything: the last or the first."""
    start = 0 if first else 1
    return [_WINDOWED if (layer + start) % every else _FULL for layer in range(layers)]


def _letter(values: JsonValues, kind: str) -> str:
    """Return the letter of a kind of layer."""
    if kind not in _LETTERS:
        raise values.unsupported(
            f"its layers attend in different ways (layer types: {kind})", ", ".join(_LETTERS)
        )
    return _LETTERS[kind]


def _without_rotary(
    values: JsonValues, architecture: Architecture, letters: list[str]
) -> list[str]:
    """Return the letters, those of layers without rotary positions changed."""
    layers = _count(values, architecture)
    if architecture.unrotated == "listed":
        flat = _listed_without_rotary(values, layers)
    elif architecture.unrotated == "full" and "S" in letters:
        flat = [letter == "F" for letter in letters]
    elif architecture.unrotated == "unless rope":
        flat = [values.text("position_embedding_type", "") != "rope"] * layers
    else:
        return letters
    return [
        _UNROTATED[letter] if bare else letter
        for letter, bare in zip(letters or ["F"] * layers, flat, strict=True)
    ]


def _listed_without_rotary(values: JsonValues, layers: int) -> list[bool]:
    """Return which layers have no rotary positions: of every fourth, or as a list of 0 and 1 says.

    The list is called `no_rope_layers`, and has a 1 for each layer that has them.
    """
    if not values.has("no_rope_layers"):
        every = values.integer("no_rope_layer_interval", 4)
        require_positive(values.where, "no_rope_layer_interval", every)
        return [(layer + 1) % every == 0 for layer in range(layers)]
    listed = values.numbers("no_rope_layers")
    if len(listed) < layers:
        raise ModelError(
            f"{values.where}: no_rope_layers has {len(listed)} entries for {layers} layers",
            fix="one for each layer: copy the whole config.json of the model",
        )
    return [not one for one in listed[:layers]]


def _count(values: JsonValues, architecture: Architecture) -> int:
    """Return how many layers there are."""
    return values.integer(architecture.keys.get("num_layers", "num_hidden_layers"))


def _kinds(values: JsonValues, architecture: Architecture) -> Sequence[str]:
    """Return the kind of each layer; empty: config.json does not tell them apart."""
    layers = _count(values, architecture)
    if values.has("layer_types"):
        kinds = values.texts("layer_types")
        if len(kinds) != layers:
            raise ModelError(
                f"{values.where}: layer_types names {len(kinds)} layers, num_hidden_layers is"
                f" {layers}",
                fix="one for each layer: copy the whole config.json of the model",
            )
        return kinds
    if architecture.unrotated == "listed":
        windowed = _stated_window(values, architecture) is not None
        flat = _listed_without_rotary(values, layers) if windowed else ()
        return [_WINDOWED if bare else _FULL for bare in flat]
    if architecture.window_behind_flag and _stated_window(values, architecture) is not None:
        first = min(values.integer("max_window_layers", 28), layers)
        return [_FULL] * first + [_WINDOWED] * (layers - first)
    if architecture.default_full_every is None:
        return ()
    if isinstance(values.values.get("sliding_window_pattern"), str):
        return _spelled(values, layers)
    every = values.integer(architecture.full_key, architecture.default_full_every)
    require_positive(values.where, architecture.full_key, every)
    return periodic(layers, every, first=architecture.full_first)


def _spelled(values: JsonValues, layers: int) -> Sequence[str]:
    """Return the kinds of a pattern in letters, L a window and G everything (EXAONE 4).

    The last layer sees everything whatever the pattern says.
    """
    pattern, kinds = values.text("sliding_window_pattern"), {"L": _WINDOWED, "G": _FULL}
    if not pattern or set(pattern) - set(kinds):
        raise values.unsupported(f"sliding_window_pattern is {pattern!r}", "letters L and G")
    return [*(kinds[pattern[layer % len(pattern)]] for layer in range(layers - 1)), _FULL]


def _stated_window(values: JsonValues, architecture: Architecture) -> int | None:
    """Return sliding_window where the class reads it, else None."""
    if not architecture.reads_window:
        return None
    if architecture.window_behind_flag and not values.flag("use_sliding_window"):
        return None
    key = architecture.window_key
    if key not in values.values:
        return architecture.default_window_tokens
    return values.integer(key) if values.has(key) else None
