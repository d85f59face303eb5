"""The word that names a set of weights in caches and results: a seed, or a hash of the bytes."""

import hashlib
from pathlib import Path

from harness.core.errors import ModelError, UsageError
from harness.models.weights.shards import checkpoint_files
from harness.models.weights.source import CONFIG, ModelSource

# Raised when the same seed gives other values: v1 = 16 bits of SFC64 through a normal table.
STREAM_VERSION = 1


def weights_identity(source: ModelSource, seed: int) -> str:
    """Return what tells these weights from all others, without numpy.

    Returns:
        `seeded-v1-<seed>`; or `sha256:<16 hex digits>` over the config.json and every weight
        file, each with its name and length. The files are streamed; a folder is hashed anew
        at every call, because its files may have changed.

    Raises:
        UsageError: a negative seed.
        ModelError: the folder's files cannot be read or are not those its index names.
    """
    if source.folder is None:
        return seeded_identity(seed)
    return checkpoint_identity(source.folder, source.name)


def seeded_identity(seed: int) -> str:
    """Return `seeded-v1-<seed>`, or raise UsageError for a negative seed."""
    if seed < 0:
        raise UsageError(f"the seed is {seed}", fix="a seed is a whole number from 0 on")
    return f"seeded-v{STREAM_VERSION}-{seed}"


def checkpoint_identity(folder: Path, model: str) -> str:
    """Return `sha256:<16 hex digits>` of a Hugging Face folder; `model` is named in errors."""
    total = hashlib.sha256()
    for name in (CONFIG, *checkpoint_files(folder, model)):
        path = folder / name
        total.update(f"{name}\0{_size_bytes(path, model)}\0".encode())
        total.update(_digest(path, model))
    return f"sha256:{total.hexdigest()[:16]}"


def _digest(path: Path, model: str) -> bytes:
    """Return the SHA-256 of one file, read in pieces."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise _unreadable(path, model, error) from error


def _size_bytes(path: Path, model: str) -> int:
    """Return the length of one file."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path, model, error) from error


def _unreadable(path: Path, model: str, error: OSError) -> ModelError:
    """Return the error for a file that vanished or may not be read."""
    return ModelError(
        f"{model}/{path.name} cannot be read: {error.strerror}", fix="check the file and its rights"
    )
