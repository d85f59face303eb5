"""Files and folders written atomically: complete or absent, whatever ends the process meanwhile.

What is written lies under a name of its own until it is finished; then one rename, which a crash
cannot split, gives it the name that others read.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCKS = "locks"  # folder of a cache: the locks of what is made there, and of what is measured
ENVIRONMENTS = "environments"  # likewise: those of `bench history backfill`
ENVIRONMENT_MARK = "bench-environment.json"  # only a whole one has it
ABANDONED_S = 3600.0
UNFINISHED = re.compile(r"\.probe-\d+|\..+\.\d+-[0-9a-f]{8}\.tmp")
JOURNAL = re.compile(r"(run|ab|tune)-\d{8}-.+\.jsonl")
LOCK = re.compile(r"\.(.+\.jsonl)\.lock")  # beside its file, which is named in it


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content`; an older file stays as it was until the new one is on the disk.

    Args:
        path: a file, or where one will be; its folder exists.
        content: text is written as UTF-8.

    Raises:
        OSError: the disk is full or may not be written; nothing is left beside `path` then.
    """
    data = content.encode() if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.{_own_word()}.tmp")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


@contextmanager
def whole_folder(folder: Path, complete: str | None = None) -> Iterator[Path]:
    """Give an empty folder beside `folder`; it takes that name when the block ends without error.

    Whatever is left of it otherwise is removed.

    Args:
        folder: where the files will be; its parents are made. What lies there is replaced.
        complete: name of a file that only a finished folder has: with it, a folder that somebody
            else finished meanwhile stays, and ours is removed. `.` is any folder.

    Raises:
        OSError: the disk is full or may not be written.
    """
    import shutil  # here: the measuring child never writes a folder, and it costs its start

    partial = folder.with_name(f".{folder.name}.{_own_word()}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        if complete is None or not (folder / complete).exists():
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
            sync_folder(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_partial_folders(folder: Path) -> None:
    """Remove what killed processes left of `folder`; only for who holds the lock on it."""
    import shutil

    for stale in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(stale, ignore_errors=True)


def sweep_folder(folder: Path, now_s: float | None = None) -> None:
    """Remove names that killed processes left of files in a folder; those of the last hour stay.

    Nobody takes an hour between the first byte of a file and its name, wherever it runs: ids of
    processes say nothing of other machines and containers that share a disk.

    Args:
        folder: of files; what cannot be read or removed stays.
        now_s: the time as files have it; None: now.
    """
    latest_s = (time.time() if now_s is None else now_s) - ABANDONED_S
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):
                if _is_left(path) and path.stat().st_mtime < latest_s:
                    path.unlink()


def _is_left(path: Path) -> bool:
    """Whether a name is of a file in the making, of a lock on nothing, or of an empty journal."""
    locked = LOCK.fullmatch(path.name)
    if locked is not None:
        return not path.with_name(locked[1]).exists()
    if JOURNAL.fullmatch(path.name):  # of a run that was killed before it wrote a line
        return path.stat().st_size == 0
    return UNFINISHED.fullmatch(path.name) is not None


def settle_folder(folder: Path) -> None:
    """Put every file of a folder on the disk, and let the system's page cache forget it.

    What was just written lies there in pieces as large as its writes, and to map one row of a table
    then maps its whole piece: memory that is gone after a restart. Read again by
    `harness.engine.reading`, it lies in single pages. Systems without such a call (macOS, Windows)
    are left as they are.

    Raises:
        OSError: the disk is full or may not be written.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # only clean pages are forgotten
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Put a folder's list of names on the disk, where the system has such a call."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _own_word() -> str:
    """A word that no other writer has, not even one of a container that shares the disk."""
    return f"{os.getpid()}-{os.urandom(4).hex()}"
