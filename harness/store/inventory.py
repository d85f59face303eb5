"""What lies in the cache: every folder that this package made, how large it is, when it was used.

A folder is ours by its name and by the file that only a whole one has. Whatever else lies there,
links too, is neither told nor touched.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import StorageError
from harness.core.files import ENVIRONMENT_MARK, ENVIRONMENTS, LOCKS
from harness.devices.compiled import FOLDER as COMPILED
from harness.devices.compiled import META_FILE
from harness.models.weights.source import HUB_FILE
from harness.store.artifact import RECORD_FILE
from harness.store.cache import sole_builder
from harness.store.gguf import MODEL_FILE
from harness.store.hashes import HASH_DIGITS

S_PER_DAY = 86_400.0
LEFT_OVER_S = (
    3_600.0  # a folder of a build that wrote nothing for so long is of one that was killed
)
_HASHED = re.compile(rf".+-[0-9a-f]{{{HASH_DIGITS}}}$")
_COPIED = re.compile(rf"[0-9a-f]{{{HASH_DIGITS}}}$")
_ENVIRONMENT = re.compile(r".+-[0-9a-f]{12}$")
_PARTIAL = re.compile(r"\.(?P<of>.+)\.\d+-[0-9a-f]{8}\.partial$")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of folder.

    Attributes:
        what: it is, for people.
        places: where such folders lie, a pattern below the cache.
        name: of such a folder.
        mark: a file that only a whole one has; empty: its name says it.
        is_locked: it is made under a lock of its own.
    """

    what: str
    places: str
    name: re.Pattern[str]
    mark: str = ""
    is_locked: bool = True


LEFT = "left by a build that was killed"
KINDS = (
    Kind("built model", "*", _HASHED, RECORD_FILE),
    Kind("GGUF model", "*", _HASHED, MODEL_FILE),
    Kind("level of an export", "*-exported-*", _HASHED),
    Kind("export without links", "exported/*", _COPIED, is_locked=False),
    Kind("model of the hub", "hub/*/*/*", re.compile(r"[^.].*"), HUB_FILE, is_locked=False),
    Kind("compiled graphs", f"{COMPILED}/*", re.compile(r"[^.].*-.+"), META_FILE, is_locked=False),
    Kind(
        "environment of a backfill",
        f"{ENVIRONMENTS}/*",
        _ENVIRONMENT,
        ENVIRONMENT_MARK,
        is_locked=False,
    ),
    Kind(LEFT, ".*.partial", _PARTIAL),
    *(
        Kind(LEFT, f"{place}/.*.partial", _PARTIAL, is_locked=False)
        for place in ("exported", "hub/*/*", COMPILED, ENVIRONMENTS)
    ),
)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One folder of the cache.

    Attributes:
        name: its place below the cache, with `/`.
        what: kind of it, for people.
        size_bytes: of its files; one that lies in two folders under two names counts in both.
        used_s: when it was last taken, or written to; seconds since 1970.
        folder: its path.
        is_busy: somebody builds it now.
        is_locked: it is made under a lock.
    """

    name: str
    what: str
    size_bytes: int
    used_s: float
    folder: Path
    is_busy: bool
    is_locked: bool


def list_cache(cache: Path) -> tuple[CacheEntry, ...]:
    """Return every folder of ours below `cache`, the largest first; of no cache nothing.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        if cache.exists():
            any(cache.iterdir())  # a pattern finds nothing in what may not be read, without a word
        found = {folder: kind for kind, folder in _folders(cache)}
        entries = [_entry(cache, folder, kind) for folder, kind in found.items()]
    except OSError as error:
        raise StorageError(
            f"the cache {str(cache)!r} cannot be read: {error.strerror}: {error.filename}",
            fix=f"check the rights of {error.filename}",
        ) from error
    return tuple(sorted(entries, key=lambda entry: (-entry.size_bytes, entry.name)))


def freed_bytes(entries: Sequence[CacheEntry]) -> int:
    """Bytes that the disk has more of without them: what has a name elsewhere stays.

    Of all entries: what the cache takes.
    """
    names: dict[tuple[int, int], int] = {}
    facts = {}
    for entry in entries:
        for stat in _files(entry.folder):
            key = (stat.st_dev, stat.st_ino)
            names[key] = names.get(key, 0) + 1
            facts[key] = stat
    return sum(facts[key].st_size for key, count in names.items() if facts[key].st_nlink <= count)


def remove_entry(entry: CacheEntry) -> None:
    """Remove one folder; what is interrupted is left as a partial one, which nothing takes.

    Raises:
        StorageError: somebody builds it, or it cannot be removed.
    """
    with _lock(entry):
        gone = entry.folder
        try:
            if entry.what != LEFT:
                word = f"{os.getpid()}-{os.urandom(4).hex()}"
                gone = entry.folder.with_name(f".{entry.folder.name}.{word}.partial")
                entry.folder.rename(gone)
            shutil.rmtree(gone)
        except FileNotFoundError:
            return  # another process removed it
        except OSError as error:
            raise StorageError(
                f"{entry.name} cannot be removed: {error.strerror}",
                fix="end the program that uses it, or check the rights of the cache",
            ) from error


def _lock(entry: CacheEntry) -> AbstractContextManager[None]:
    """The lock that its builders hold, if there is one."""
    if not entry.is_locked:
        return nullcontext()
    return sole_builder(entry.folder.parent, _built(entry.folder), timeout_s=0)


def _built(folder: Path) -> Path:
    """The folder that a build makes: of a partial one the one that it would become."""
    match = _PARTIAL.match(folder.name)
    return folder if match is None else folder.with_name(match["of"])


def _folders(cache: Path) -> Iterator[tuple[Kind, Path]]:
    """Yield every folder of ours with its kind; of several kinds the last one."""
    for kind in KINDS:
        for folder in cache.glob(kind.places):
            is_ours = kind.name.fullmatch(folder.name) is not None and not folder.is_symlink()
            if (
                not is_ours
                or not folder.is_dir()
                or any(map(Path.is_symlink, _above(cache, folder)))
            ):
                continue
            if not kind.mark or (folder / kind.mark).is_file():
                yield kind, folder


def _above(cache: Path, folder: Path) -> list[Path]:
    """The folders between the cache and one of its folders."""
    return [place for place in folder.parents if cache in place.parents]


def _entry(cache: Path, folder: Path, kind: Kind) -> CacheEntry:
    """Look at one folder."""
    stats = [*_files(folder)]
    changed = [stat.st_mtime for stat in stats]
    return CacheEntry(
        name=folder.relative_to(cache).as_posix(),
        what=kind.what,
        size_bytes=sum(stat.st_size for stat in stats),
        used_s=max([folder.stat().st_mtime, *changed]),
        folder=folder,
        is_busy=_is_busy(folder, kind, time.time),
        is_locked=kind.is_locked,
    )


def _files(folder: Path) -> Iterator[os.stat_result]:
    """Yield what is known of every file of a folder, at any depth; what vanishes is left out."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            stat = path.lstat()
            if not path.is_dir() or path.is_symlink():
                yield stat


def _is_busy(folder: Path, kind: Kind, now: Callable[[], float]) -> bool:
    """Whether a build holds its lock; of one without a lock, whether it was just written to."""
    if not kind.is_locked:
        written = max([folder.stat().st_mtime, *(stat.st_mtime for stat in _files(folder))])
        return kind.what == LEFT and now() - written < LEFT_OVER_S
    import filelock

    path = folder.parent / LOCKS / f"{_built(folder).name}.lock"
    if not path.is_file():
        return False
    lock = filelock.FileLock(path, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        return True
    except (OSError, NotImplementedError):  # a cache that is read only: nobody builds in it
        return False
    lock.release()
    return False
