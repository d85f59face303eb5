"""Exported models whose files are links, as a folder of files that a runtime loads."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

from harness.core.errors import StorageError
from harness.core.files import whole_folder
from harness.models.exported.files import FoundFiles
from harness.models.exported.links import is_blob, link_target
from harness.models.exported.loading import load_graph
from harness.models.exported.safety import check_regular, data_locations
from harness.store.links import link_file

HASH_DIGITS = 16


def without_links(found: FoundFiles, cache: Path) -> FoundFiles:
    """Return a model's files with no symbolic link among graphs and data.

    ONNX Runtime follows none. A link into the model's own folder is replaced by a copy, one into
    the blobs of its Hugging Face cache by a second name of the blob (a copy where the disk knows
    none), all in a folder of the cache. Without links the files stay where they are.

    Args:
        found: the files.
        cache: folder of built models.

    Raises:
        ModelError: a link that leads elsewhere, or a graph that cannot be read.
        StorageError: the cache cannot be written.
    """
    graphs = list(found.graphs.values())
    sources = {name: _source(found, name) for name in graphs}
    for name in graphs:
        where = f"{found.name}/{name}"
        graph = load_graph(sources[name], where)
        for location in data_locations(graph, where, sources[name].name):
            data = str(PurePosixPath(name).parent / location)
            sources[data] = _source(found, data)
    if not any((found.folder / name).is_symlink() for name in sources):
        return found
    folder = cache / "exported" / _folder_name(sources)
    if not folder.is_dir():
        _fill(folder, found, sources)
    return replace(
        found,
        folder=folder,
        config_folders=(folder, *found.config_folders),
        is_own_copy=True,
    )


def _source(found: FoundFiles, name: str) -> Path:
    """Return the regular file that a name of a model's folder stands for."""
    path, where = found.folder / name, f"{found.name}/{name}"
    if path.is_symlink():
        return link_target(path, found.folder, where)
    check_regular(path, where)
    return path


def _folder_name(sources: dict[str, Path]) -> str:
    """Return a name that changes with the files: their places, sizes and times."""
    total = hashlib.sha256()
    for name, source in sorted(sources.items()):
        facts = source.stat()
        total.update(f"{name}\0{source}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    return total.hexdigest()[:HASH_DIGITS]


def _fill(folder: Path, found: FoundFiles, sources: dict[str, Path]) -> None:
    """Put the files into `folder` atomically."""
    try:
        with whole_folder(folder, complete=".") as partial:
            for name, source in sources.items():
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if is_blob(source, found.folder):
                    link_file(source, path)
                else:
                    shutil.copyfile(source, path)
    except OSError as error:
        raise StorageError(
            f"the links of {found.name} could not be replaced: {error.strerror}",
            fix="free some space, or choose another cache: --cache DIR",
        ) from error
