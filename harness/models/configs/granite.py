"""What config.json says of models with Granite's multipliers, beyond the multipliers themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.errors import ModelError
from harness.core.records import JsonValues
from harness.models.configs.rope import Rotary, turns_of
from harness.models.specs.layers import shortest_pattern

Fields = Mapping[str, Any]
_FULL, _WINDOWED = "full_attention", "sliding_attention"


def hyperclovax(values: JsonValues) -> Fields:
    """Read the class HyperCLOVAXConfig: norms around each part, or before it alone.

    Scores are multiplied as usual where `attention_multiplier` is missing, not by 1.
    """
    norms = "around" if values.flag("use_post_norm", True) else "before"
    missing = not values.has("attention_multiplier")
    return {"norm_order": norms} | ({"attention_scale": None} if missing else {})


def granite_swa(values: JsonValues) -> Fields:
    """Read the class GraniteSWAConfig: windows in three of four layers, rotary positions by layer.

    `layer_rope_theta` has a base for each layer, 0 for none.

    Raises:
        ModelError: lists of another length than the model, or a base below 0.
    """
    layers = values.integer("num_hidden_layers")
    kinds: Sequence[str] = values.texts("layer_types")
    kinds = kinds or [_WINDOWED if layer % 4 else _FULL for layer in range(layers)]
    everywhere = turns_of(values, Rotary()).theta
    listed = values.values.get("layer_rope_theta") is not None
    bases = values.numbers("layer_rope_theta") if listed else (everywhere,) * layers
    for name, found in (("layer_types", kinds), ("layer_rope_theta", bases)):
        if len(found) != layers:
            raise ModelError(
                f"{values.where}: {name} has {len(found)} entries for {layers} layers",
                fix="one for each layer: copy the whole config.json of the model",
            )
    unknown = sorted(set(kinds) - {_FULL, _WINDOWED})
    if unknown:
        raise values.unsupported(
            f"a layer of type {unknown[0]!r} is not built", f"layer types {_FULL}, {_WINDOWED}"
        )
    if any(base < 0 for base in bases):
        raise values.unsupported("layer_rope_theta has a base below 0", "bases of 0 or more")
    stated = "sliding_window" not in values.values or values.has("sliding_window")
    window = values.integer("sliding_window", 128) if stated else None
    seen = [kind == _FULL or window is None for kind in kinds]
    letters = "".join(
        ("F" if full else "S") if base else ("G" if full else "N")
        for full, base in zip(seen, bases, strict=True)
    )
    turned = sorted({base for base in bases if base})
    return {
        "layer_pattern": shortest_pattern(letters),
        "sliding_window_tokens": window if set(letters) & set("SN") else None,
        "rope_theta": turned[0] if len(turned) == 1 else everywhere,
        "layer_thetas": bases if len(turned) > 1 else (),
    }
