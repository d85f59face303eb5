"""What the config.json of Gemma 4 says beyond that of Gemma 3: shared caches, wider heads."""

from collections.abc import Mapping
from typing import Any

from harness.core.records import JsonValues

Fields = Mapping[str, Any]
_TEXT_ALONE = "a dense decoder of the Gemma 4 kind that looks back only"


def gemma4(values: JsonValues) -> Fields:
    """Return what tells Gemma 4's layers from those of Gemma 3.

    The width of heads in layers that see everything is `global_head_dim`, or stands in
    `per_layer_config`, one object for each such layer.

    Raises:
        ModelError: experts, keys that are values too, attention in both directions, or a second
            embedding of another vocabulary.
    """
    for flag in ("enable_moe_block", "attention_k_eq_v"):
        if values.flag(flag):
            raise values.unsupported(f"{flag} is true", _TEXT_ALONE)
    if values.text("use_bidirectional_attention", "") == "all":
        raise values.unsupported("it attends in both directions", _TEXT_ALONE)
    width = values.integer("hidden_size_per_layer_input", 256)
    rows = values.integer("vocab_size_per_layer_input", values.integer("vocab_size"))
    if width and rows != values.integer("vocab_size"):
        raise values.unsupported(f"its second embedding has {rows} rows", "one for each token")
    full, own = _full_head_dim(values), values.integer("head_dim", 256)
    return {
        "full_head_dim": None if full == own else full,
        "shared_cache_layers": values.integer("num_kv_shared_layers", 0),
        "shared_block_factor": 2 if values.flag("use_double_wide_mlp") else 1,
        "per_layer_width": width,
    }


def _full_head_dim(values: JsonValues) -> int:
    """Return the width of heads in layers that see everything."""
    table = values.table("per_layer_config")
    if table is None:
        return values.integer("global_head_dim", 512)
    found = set()
    for layer in table.values:
        one = table.table(layer)
        if one is None or set(one.values) - {"head_dim"}:
            raise table.unsupported(f"layer {layer} differs in more than its heads", "head_dim")
        found.add(one.integer("head_dim"))
    if len(found) > 1:
        raise table.unsupported(f"heads of {len(found)} widths", "one width beside head_dim")
    return found.pop() if found else values.integer("head_dim", 256)
