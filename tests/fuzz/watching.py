"""What a reader of hostile files must not do: write elsewhere, start something, open a socket."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate")
LEAVES = ("subprocess.Popen", "os.exec", "os.system", "os.posix_spawn", "os.fork", "socket.connect")
_watched: list[tuple[Path, list[str]]] = []  # folders that may be written, and what was done


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Yield a list that fills with what is done outside of `folder`; it should stay empty."""
    done: list[str] = []
    _hook_once()
    _watched.append((folder.resolve(), done))
    try:
        yield done
    finally:
        _watched.pop()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what leaves the folder that is watched; a hook stays for good, so it may be idle."""
    if not _watched:
        return
    folder, done = _watched[-1]
    if event in LEAVES:
        done.append(f"{event} {arguments[:1]!r}")
    elif event in CHANGES or (event == "open" and _is_write(arguments)):
        places = [one for one in arguments[:2] if isinstance(one, str | bytes | os.PathLike)]
        paths = [Path(os.fsdecode(place)).resolve() for place in places[: 1 + (event != "open")]]
        done += [f"{event} {path}" for path in paths if folder not in (path, *path.parents)]


def _is_write(arguments: tuple[Any, ...]) -> bool:
    """Whether a file is opened to be written; descriptors were opened before."""
    path, mode, flags = arguments
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    return bool(flags & WRITES) if flags else any(one in (mode or "") for one in "wax+")


def _hook_once() -> None:
    if not getattr(sys, "_bench_watching", False):
        sys.addaudithook(_hook)
        sys._bench_watching = True  # type: ignore[attr-defined]
