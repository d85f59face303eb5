"""A model becomes a graph at a quantization level."""
