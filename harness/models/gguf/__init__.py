"""GGUF files as their headers tell them; read without numpy and without a package."""
