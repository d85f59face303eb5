"""Which matrices a mixed level keeps at more bits: those whose rounding costs the most."""

import re

_DOWN = r"mlp\.(?:down_proj|shared_expert\.down_proj|experts\.\d+\.down_proj|experts_down)"
_MATRIX = re.compile(rf"model\.layers\.(\d+)\.(?:self_attn\.(?:q|k|v|qkv)_proj|{_DOWN})\b")


def sensitive_layers(num_layers: int) -> frozenset[int]:
    """Return the layers whose query, key, value and down matrices are sensitive.

        i < n/8,  i >= 7n/8,  or (i - n/8) mod 3 = 2, divisions rounded down

    The first and the last eighth and every third layer in between: about half of them.
    Source: `use_more_bits` of llama.cpp (src/llama-quant.cpp), by which Q4_K_M stores attention
    value and down matrices at 6 bits; onnxruntime-genai's builder (`mixed_layers`) takes 8 bits
    and, as here, the whole of a packed query, key and value.
    """
    eighth = num_layers // 8
    return frozenset(
        layer
        for layer in range(num_layers)
        if layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2
    )


def is_sensitive(name: str, num_layers: int) -> bool:
    """Tell whether a matrix is sensitive, by its name in a checkpoint or in a built graph."""
    found = _MATRIX.match(name)
    return found is not None and int(found[1]) in sensitive_layers(num_layers)
