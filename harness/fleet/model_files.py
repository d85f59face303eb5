"""Models of a fleet by the hash of their files: what a cell says, and where a worker finds it.

The hash is SHA-256 over the name, length and SHA-256 of every file of a folder, in the order of
their names; of a single file over itself, whatever it is called. What begins with a dot is no part
of a model. A worker looks only below folders that its own operator names, and follows no link out
of them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from harness.core.errors import ModelError, StorageError, UsageError
from harness.fleet.cells import CATALOG, CONTENT, HUB, CellFile, ModelRef
from harness.models.weights.source import existing, hub_origin, is_catalog_name

ONNX = ".onnx"  # may keep its tensors in files beside it, so that its folder is the model


def model_ref(word: str) -> ModelRef:
    """Say what a word of a plan means, so that another machine finds the same.

    Args:
        word: of a plan whose models of the hub are fetched: a catalog name, or a path.

    Raises:
        UsageError: it is neither.
        ModelError: its files cannot be read, or a link leads out of its folder.
    """
    if is_catalog_name(word):
        return ModelRef(source=CATALOG, name=word)
    path = existing(word)
    if path is None:
        raise UsageError(
            f"{word!r} is no model that a cell can name",
            fix="a catalog name, hf:org/name, or a folder or file of a model",
        )
    path = path.resolve()
    origin = hub_origin(path if path.is_dir() else path.parent)
    if origin is not None:
        return ModelRef(source=HUB, name=origin)
    whole = whole_model(path)
    digest, size_bytes = hash_files(whole, whole.parent)
    inside = path.name if whole != path else ""
    return ModelRef(
        source=CONTENT, name=whole.name, sha256=digest, size_bytes=size_bytes, inside=inside
    )


def whole_model(path: Path) -> Path:
    """What has to go with a path of a model: itself, or the folder of a graph."""
    return path.parent if path.suffix == ONNX else path


def files_here(words: Iterable[str]) -> dict[str, Path]:
    """Models of a plan that lie in files here: hash -> folder or file, links resolved.

    Args:
        words: of a plan whose models of the hub are fetched.

    Raises:
        UsageError: as model_ref.
        ModelError: likewise.
    """
    found = {}
    for word in dict.fromkeys(words):
        ref, path = model_ref(word), existing(word)
        if ref.source == CONTENT and path is not None:
            found[ref.sha256] = whole_model(path.resolve())
    return found


def hash_files(model: Path, root: Path) -> tuple[str, int]:
    """Return the hash of a model's files, and their bytes together.

    Args:
        model: a folder or a file.
        root: resolved; no file may lie outside it, whatever links lead there.

    Raises:
        ModelError: a file cannot be read, or lies outside.
    """
    try:
        if model.is_file():
            _stay_inside(model, root)
            return _sha256(model).hex(), model.stat().st_size
        total, size_bytes = hashlib.sha256(), 0
        for file in _files(model):
            _stay_inside(file, root)
            length = file.stat().st_size
            total.update(f"{file.relative_to(model).as_posix()}\0{length}\0".encode())
            total.update(_sha256(file))
            size_bytes += length
    except OSError as error:
        raise ModelError(
            f"model {model.name} cannot be read: {error.strerror}", "check its files and rights"
        ) from error
    return total.hexdigest(), size_bytes


def find_word(
    cell: CellFile,
    folders: Sequence[Path],
    fetch: Callable[[str], Path] | None = None,
) -> str:
    """Return the word by which this machine finds the model of a cell.

    Args:
        cell: whose.
        folders: of models that cells may use.
        fetch: gives the folder of a model of the hub; None: cells may fetch nothing.

    Raises:
        UsageError: no folder holds it, or it is on the hub and nothing may be fetched.
        ModelError: it holds a link that leads out of its folder.
        StorageError: a folder of models cannot be read.
    """
    model = cell.model
    if model.source == CATALOG:
        return model.name
    if model.source == CONTENT:
        return str(_found(model, folders))
    if fetch is None:
        raise UsageError(
            f"cell {cell.file_name} names {model.name}, and cells may fetch nothing here",
            fix="--allow-hub",
        )
    return str(fetch(model.name))


def _found(model: ModelRef, folders: Sequence[Path]) -> Path:
    """The files of this hash: looked for under their name first, then under every other one."""
    for folder in folders:
        root = folder.resolve()
        for candidate in _candidates(root, model):
            if hash_files(candidate, root) == (model.sha256, model.size_bytes):
                return candidate / model.inside if model.inside else candidate
    told = ", ".join(folder.name for folder in folders) or "no folder of models is given"
    raise UsageError(
        f"model {model.name} ({model.sha256[:16]}) is not here: {told}",
        fix="--models DIR, a folder that holds it as it was when the cell was planned",
    )


def _candidates(root: Path, model: ModelRef) -> Iterator[Path]:
    """What lies in a folder and is as large as the model; what is called like it first."""
    try:
        paths = sorted(root.iterdir(), key=lambda path: (path.name != model.name, path.name))
        for path in paths:
            if not path.name.startswith(".") and _size_bytes(path, root) == model.size_bytes:
                yield path
    except OSError as error:
        raise StorageError(
            f"the folder of models {root.name} cannot be read: {error.strerror}",
            fix="--models DIR with a folder that is there",
        ) from error


def _size_bytes(path: Path, root: Path) -> int:
    """Bytes of all files; -1 of a link that leads out, which is no candidate."""
    if not path.resolve().is_relative_to(root):
        return -1
    files = [path] if path.is_file() else list(_files(path))
    return sum(file.stat().st_size for file in files if file.resolve().is_relative_to(root))


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in the order of their names; what begins with a dot is none."""
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        inner = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in inner):
            yield path


def _stay_inside(path: Path, root: Path) -> None:
    if not path.resolve().is_relative_to(root):
        raise ModelError(
            f"{path.name} is a link that leads out of its folder", fix="put the file itself there"
        )


def _sha256(file: Path) -> bytes:
    """SHA-256 of a file, read in pieces."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
