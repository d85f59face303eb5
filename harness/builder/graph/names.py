"""Names of tensors in the graphs of a decoder."""


def layer_name(layer: int) -> str:
    """Return the prefix of a layer's tensors, as in a Hugging Face checkpoint."""
    return f"model.layers.{layer}"


def scale_name(layer: int, half: str) -> str:
    """Return the name of the scales [1, kv_heads, 1, head_dim] of a layer's `key` or `value`."""
    return f"past_key_values.{layer}.{half}_scale"
