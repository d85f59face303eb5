"""A folder that is filled again and again, of which only our own files are ever changed.

A marker file says that it is ours and lists what we wrote. A folder with anything else in it and
no marker is refused, files that are not in the list stay, and what we no longer write is removed.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.core.errors import StorageError, UsageError
from harness.core.files import whole_folder, write_whole

NOT_COUNTED = frozenset({".git"})  # a worktree or a clone that is published has it from the start


@dataclass(frozen=True, slots=True)
class Filled:
    """What filling a folder came to.

    Attributes:
        written: files that are new or changed.
        same: files that already were as they should be.
        removed: files that are written no longer.
    """

    written: int
    same: int
    removed: int


def check_own(folder: Path, marker: str, maker: str) -> tuple[str, ...]:
    """Find out whether a folder may be filled.

    Args:
        folder: that there is, or will be.
        marker: name of the file that says so.
        maker: the command that fills it.

    Returns:
        What the marker lists; empty of a folder that is new.

    Raises:
        UsageError: it is no folder, or has something in it and no marker.
        StorageError: it cannot be read.
    """
    if not folder.exists():
        return ()
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", fix="the name of a folder, new or empty")
    try:
        names = {path.name for path in folder.iterdir()}
        text = (folder / marker).read_text(encoding="utf-8") if marker in names else ""
    except (OSError, ValueError) as error:
        raise StorageError(f"{folder} cannot be read: {error}", fix="check its rights") from error
    if marker in names:
        return _listed(folder / marker, text, maker)
    others = sorted(names - NOT_COUNTED)
    if others:
        raise UsageError(
            f"{folder} is not empty, and {maker} did not make it: it holds {others[0]}",
            fix="another folder, a new or an empty one",
        )
    return ()


def fill_folder(
    folder: Path, files: Mapping[str, Callable[[], bytes]], marker: str, maker: str
) -> Filled:
    """Let a folder hold exactly these files, besides what is not ours.

    A new folder appears with everything in it. In one that is there each file is replaced whole,
    one with the same content is not touched, and what is stale goes last: a reader meanwhile finds
    old pages or new ones, never half a page.

    Args:
        folder: see check_own.
        files: paths with `/`, and what makes their content; one is made at a time.
        marker: likewise.
        maker: likewise.

    Raises:
        UsageError: the folder is not ours.
        StorageError: it cannot be written.
    """
    before = check_own(folder, marker, maker)
    try:
        if before or (folder.exists() and any(folder.iterdir())):
            return _update(folder, files, marker, maker, before)
        with whole_folder(folder) as partial:
            for name, content in files.items():
                _put(partial, name, content())
            _put(partial, marker, _marker(files, maker))
        return Filled(len(files), 0, 0)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}",
            fix="free the disk, or another folder",
        ) from error


def _update(
    folder: Path,
    files: Mapping[str, Callable[[], bytes]],
    marker: str,
    maker: str,
    before: tuple[str, ...],
) -> Filled:
    """Write what differs, then remove what is stale.

    The marker lists old and new names first, so that an update that was interrupted is finished
    by the next one.
    """
    _replace(_inside(folder, marker), _marker([*before, *files], maker))
    written = sum(_replace(_inside(folder, name), content()) for name, content in files.items())
    removed = sum(_remove(folder, name) for name in sorted(set(before) - files.keys()))
    _replace(_inside(folder, marker), _marker(files, maker))
    return Filled(written, len(files) - written, removed)


def _put(folder: Path, name: str, content: bytes) -> None:
    """Write a file of a folder that nobody sees yet."""
    path = _inside(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _replace(path: Path, content: bytes) -> bool:
    """Write a file where it has another content; whether it had."""
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return True


def _remove(folder: Path, name: str) -> bool:
    """Remove a file that is ours no longer, and its folder where nothing is left in it."""
    path = _inside(folder, name)
    if not path.is_file():
        return False
    path.unlink()
    parent = path.parent
    while parent != folder and not any(parent.iterdir()):
        parent.rmdir()
        parent = parent.parent
    return True


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder.

    Raises:
        StorageError: the name leads outside, by itself or by a link that lies there.
    """
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/") or "\\" in name or ":" in name:
        raise StorageError(f"{name!r} is no name of a file in {folder}", fix="another folder")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise StorageError(f"{path} is a link, which is not followed", fix="remove the link")
    return path


def _marker(names: Iterable[str], maker: str) -> bytes:
    table = {"made_by": maker, "files": sorted(set(names))}
    return (json.dumps(table, indent=1) + "\n").encode("ascii")


def _listed(path: Path, text: str, maker: str) -> tuple[str, ...]:
    """The names in a marker.

    Raises:
        UsageError: it is not one of ours.
    """
    try:
        table: Any = json.loads(text)
        names = table["files"] if table["made_by"] == maker else None
    except (ValueError, TypeError, KeyError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f"{path} is not what {maker} writes", fix="another folder, a new or an empty one"
        )
    return tuple(names)
