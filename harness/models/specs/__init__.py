"""Architectures as numbers: shapes, exact parameter counts, names of tensors."""
