"""Decoders as GGUF files, for llama.cpp: what a family is called there, and the writer."""
