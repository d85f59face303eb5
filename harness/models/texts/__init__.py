"""The bundled texts, and tokens of them by a model's own tokenizer."""
