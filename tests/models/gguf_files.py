"""GGUF files for tests, made by the format's description, not by the package that writes ours."""

import struct
from pathlib import Path

F32, Q4_0, Q8_0 = 0, 2, 8
_KINDS = {int: (4, "I"), float: (6, "f"), bool: (7, "B")}


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(one):
    """A value with its type before it."""
    if isinstance(one, str):
        return struct.pack("<I", 8) + text(one)
    if isinstance(one, list):
        head = struct.pack("<I", 9)
        if one and isinstance(one[0], str):
            return head + struct.pack("<IQ", 8, len(one)) + b"".join(map(text, one))
        return head + struct.pack("<IQ", 4, len(one)) + struct.pack(f"<{len(one)}I", *one)
    number, letter = _KINDS[type(one)]
    return struct.pack(f"<I{letter}", number, one)


def header(pairs, tensors, version=3):
    """Header of a file; a tensor is (name, shape with the inputs first, type, offset)."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(pairs))]
    parts += [text(key) + value(one) for key, one in pairs.items()]
    for name, shape, kind, offset in tensors:
        parts += [text(name), struct.pack("<I", len(shape)), struct.pack(f"<{len(shape)}Q", *shape)]
        parts += [struct.pack("<IQ", kind, offset)]
    return b"".join(parts)


# Two layers of width 64 over a vocabulary of 96: parameters by hand in test_gguf_header.py.
PAIRS = {
    "general.architecture": "llama",
    "general.name": "Tiny One",
    "general.file_type": 2,
    "llama.context_length": 128,
    "llama.embedding_length": 64,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": [f"word{n}" for n in range(96)],
}
SHAPES = [
    ("token_embd.weight", (64, 96), Q8_0),
    ("blk.0.attn_q.weight", (64, 64), Q4_0),
    ("blk.0.attn_norm.weight", (64,), F32),
    ("rope_freqs.weight", (8,), F32),
    ("output_norm.weight", (64,), F32),
]
SIZES = {F32: (1, 4), Q4_0: (32, 18), Q8_0: (32, 34)}


def bytes_of(shape, kind):
    count = 1
    for one in shape:
        count *= one
    block, size = SIZES[kind]
    return count // block * size


def tiny_gguf(path: Path, pairs=None, shapes=None, version=3) -> Path:
    """Write a whole file, its data zeros."""
    tensors, offset = [], 0
    for name, shape, kind in shapes or SHAPES:
        tensors.append((name, shape, kind, offset))
        offset += -(-bytes_of(shape, kind) // 32) * 32
    head = header(pairs or PAIRS, tensors, version)
    path.write_bytes(head + bytes(-len(head) % 32) + bytes(offset))
    return path
