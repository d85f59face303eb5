"""Locks in a cache: who makes a thing holds one, and all who want the same wait for it.

The system lets go of a lock when its process ends, however it ends: none outlives who held it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core.environment import CACHE
from harness.core.errors import StorageError
from harness.core.files import LOCKS
from harness.core.findings import Log

ELSEWHERE = f"choose another cache: --cache DIR or {CACHE.name}=DIR"


@contextmanager
def sole_maker(
    cache: Path, name: str, timeout_s: float, doing: str, log: Log | None = None
) -> Iterator[None]:
    """Hold the lock of what is called `name`.

    Args:
        cache: folder whose locks are meant; made where it is missing.
        name: of what is made, as a file may be called.
        timeout_s: limit of waiting for another process.
        doing: what such a process does with it, such as `building tiny`.
        log: is told once when there is somebody to wait for.

    Raises:
        StorageError: the cache cannot be written, or the lock was not free within `timeout_s`.
    """
    import filelock

    locks = cache / LOCKS
    try:
        locks.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(locks / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if log is not None:
                log(f"another process has been {doing}: waiting for it")
            lock.acquire(timeout=timeout_s)
    except filelock.Timeout as error:
        raise StorageError(
            f"another process has been {doing} for {timeout_s:g} s", fix="wait for it, or end it"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise unwritable(cache, error) from error
    try:
        yield
    finally:
        lock.release()


def unwritable(cache: Path, error: Exception) -> StorageError:
    """Return the error for a cache that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return StorageError(f"the cache {str(cache)!r} cannot be written: {reason}", fix=ELSEWHERE)
