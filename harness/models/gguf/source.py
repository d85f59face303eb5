"""A GGUF file that the user has: what it is told apart by, and what a worker must know of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from harness.core.units import MIB
from harness.models.gguf.header import GgufHeader, gguf_name

HASHED_BYTES, HASHED_PARTS, HASH_DIGITS = MIB, 64, 16


@dataclass(frozen=True, slots=True)
class GgufSource:
    """A file of the user and the word that named it.

    Attributes:
        argument: what the user typed.
        header: of the file.
        content_hash: `sha256:<16 hex digits>`, see content_hash_of.
    """

    argument: str
    header: GgufHeader
    content_hash: str

    spec = None
    weights_kind = "trained"

    @property
    def name(self) -> str:
        """What its files are called, without the level in it; never a path."""
        return gguf_name(self.header)

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self.header.files[0].parent


@dataclass(frozen=True, slots=True)
class GgufGeometry:
    """What a caller must know of a GGUF model.

    Attributes:
        vocab_size: one more than the largest token id.
        max_context_tokens: longest sequence that it takes.
        kv_dtype: of cached keys and values: `float16` or `float32`.
    """

    vocab_size: int
    max_context_tokens: int
    kv_dtype: str

    is_static = False


def gguf_geometry_from(told: Mapping[str, Any]) -> GgufGeometry | None:
    """Return the geometry whose fields travelled to another process; None: it is another kind's."""
    names = {one.name for one in fields(GgufGeometry)}
    return GgufGeometry(**told) if told.keys() == names else None


def content_hash_of(header: GgufHeader) -> str:
    """Return what tells files apart: their sizes, and parts spread evenly over their bytes.

    Reading all of a file of many GiB would take as long as measuring it.
    """
    digest = hashlib.sha256()
    for path in header.files:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            digest.update(f"{size_bytes} ".encode())
            for start in range(0, size_bytes, max(HASHED_BYTES, size_bytes // HASHED_PARTS)):
                file.seek(start)
                digest.update(file.read(HASHED_BYTES))
    return f"sha256:{digest.hexdigest()[:HASH_DIGITS]}"
