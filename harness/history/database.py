"""The file of the index: opened, recognised, and closed to everything but what it is for.

DuckDB lets one process write, or any number read. A file that is none of ours is never changed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import (
    DeviceError,
    HarnessError,
    ResultFormatError,
    StorageError,
    UsageError,
)
from harness.history.tables import INDEX_VERSION, STORED, TABLES, VIEWS, columns_of

if TYPE_CHECKING:
    from types import ModuleType

    from duckdb import DuckDBPyConnection

INSTALL = "pip install 'ondevice-bench[history]'"
SCHEMA = "bench.history"
MAGIC, MAGIC_AT = b"DUCK", 8  # of every DuckDB file, behind the checksum of its first block
MEMORY = "512MB"  # of a gibibyte that the process may have
REBUILD = "build it anew: bench history add --rebuild; what was blessed stays"
REMOVE = "remove the file and build it anew: bench history add results; what was blessed stays"
OTHER_FILE = "--db with another file; bench history makes its own"
# DuckDB's words for a file that another process has; "block" is what a damaged one has.
IN_USE = ("set lock on file", "conflicting lock", "used by another process")
FULL = ("no space left", "out of memory", "disk quota")  # what a file is not to blame for


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit that was measured.

    Attributes:
        name: its hash, or whatever names it; empty: nobody said.
        made_utc: when it was made, ISO 8601; empty: not known.
    """

    name: str = ""
    made_utc: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """What an index knew that no document says.

    Attributes:
        paths: files that it had, from its folder.
        commits: of runs, by the digest of their files.
    """

    paths: tuple[str, ...]
    commits: dict[str, Commit]


def duckdb_module() -> "ModuleType":
    """DuckDB, which is an extra.

    Raises:
        DeviceError: it is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise DeviceError(
            "bench history keeps its index with DuckDB, which is not installed", fix=INSTALL
        ) from error
    return duckdb


@contextmanager
def reading(path: Path) -> "Iterator[DuckDBPyConnection]":
    """Open an index to read, several processes at once.

    Raises:
        UsageError: there is none.
        ResultFormatError: it is no index, or of another version.
        StorageError: it is damaged, may not be read, or another process writes it.
        DeviceError: DuckDB is not installed.
    """
    duckdb_module()
    if not path.exists():
        raise UsageError(
            f"there is no history at {path}", fix="bench history add results, or --db with its file"
        )
    _refuse_foreign(path)
    with _opened(path, read_only=True) as connection:
        _check_version(path, connection)
        yield connection


@contextmanager
def writing(path: Path) -> "Iterator[DuckDBPyConnection]":
    """Open an index to write, or make an empty one.

    Raises:
        HarnessError: as reading; also where the file cannot be written.
    """
    duckdb_module()
    is_new = not path.exists()
    if is_new:
        _make_folder(path.parent)
    else:
        _refuse_foreign(path)
    with _opened(path, read_only=False) as connection:
        if is_new or _is_empty(connection):
            _make_tables(connection)
        _check_version(path, connection)
        yield connection


def remove_index(path: Path) -> Labels:
    """Remove an index of whatever version, to build it anew; what no file says of it is kept.

    Returns:
        The files that it had, from its folder, and the commits that were said of them.

    Raises:
        HarnessError: as reading; also where the file cannot be removed.
    """
    duckdb_module()
    if not path.exists():
        return Labels((), {})
    _refuse_foreign(path)
    with _opened(path, read_only=True) as connection:
        _check_ours(path, connection)
        rows = connection.execute(
            f"SELECT path, content, commit, CAST(commit_utc AS VARCHAR) FROM {STORED}.documents"
        ).fetchall()
    try:
        for one in (path, path.with_name(f"{path.name}.wal")):
            one.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be removed: {error.strerror}", fix="end what uses it"
        ) from error
    commits = {content: Commit(commit, made or "") for _, content, commit, made in rows if commit}
    return Labels(tuple(row[0] for row in rows), commits)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be made: {error.strerror}", fix="--db on a disk that may be written"
        ) from error


def _refuse_foreign(path: Path) -> None:
    """Refuse what is no DuckDB file before DuckDB touches it."""
    try:
        with path.open("rb") as file:
            head = file.read(MAGIC_AT + len(MAGIC))
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}", fix="check the path and its rights"
        ) from error
    if head[MAGIC_AT:] != MAGIC:
        raise ResultFormatError(f"{path} is no history of bench, nor any DuckDB file", OTHER_FILE)


@contextmanager
def _opened(path: Path, read_only: bool) -> "Iterator[DuckDBPyConnection]":
    """A connection; whatever DuckDB says of the file becomes one sentence."""
    duckdb = duckdb_module()
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": max(1, min(4, os.cpu_count() or 1)),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        connection = duckdb.connect(str(path), read_only=read_only, config=config)
    except duckdb.Error as error:
        raise _cannot_open(path, str(error)) from error
    try:
        yield connection
    except HarnessError:
        raise
    except duckdb.Error as error:
        said = first_line(str(error))
        is_full = any(word in said.lower() for word in FULL)
        raise StorageError(
            f"the history {path} cannot be used: {said}",
            fix="free the disk, or end other programs" if is_full else REMOVE,
        ) from error
    finally:
        with suppress(duckdb.Error):  # a damaged file may not even be closed
            connection.close()


def _cannot_open(path: Path, said: str) -> HarnessError:
    """The error of a file that DuckDB does not open."""
    words = said.lower()
    if any(one in words for one in IN_USE):
        return StorageError(
            f"the history {path} is in use: another process writes or reads it",
            fix="wait for it to end; any number may read at once, and one may write",
        )
    if "newer version" in words or "older version" in words or "storage version" in words:
        return StorageError(
            f"the history {path} was written by another version of DuckDB", fix=REMOVE
        )
    return StorageError(f"the history {path} cannot be opened: {first_line(said)}", fix=REMOVE)


def first_line(said: str) -> str:
    """What DuckDB says, without its hints and its drawing of the statement."""
    return said.strip().partition("\n")[0]


def _make_tables(connection: "DuckDBPyConnection") -> None:
    """The stored tables, the views, and the row that says whose they are."""
    connection.execute("BEGIN")
    connection.execute(f"CREATE SCHEMA {STORED}")
    for name, row in TABLES.items():
        columns = ", ".join(f"{column} {kind}" for column, kind in columns_of(row).items())
        connection.execute(f"CREATE TABLE {STORED}.{name} ({columns})")
    for view in VIEWS:
        if view.sql:
            connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")
    connection.execute(f"INSERT INTO {STORED}.about VALUES (?, ?)", [SCHEMA, INDEX_VERSION])
    connection.execute("COMMIT")


def _is_empty(connection: "DuckDBPyConnection") -> bool:
    """Whether there is no table: what is left of an index that was killed as it began."""
    return connection.execute("SELECT 1 FROM duckdb_tables() LIMIT 1").fetchone() is None


def _check_version(path: Path, connection: "DuckDBPyConnection") -> None:
    """Refuse another program's database, and an index of another version."""
    found = _check_ours(path, connection)
    if found != INDEX_VERSION:
        raise ResultFormatError(
            f"the history {path} has form {found}, and this version of bench has {INDEX_VERSION}",
            fix=REBUILD,
        )


def _check_ours(path: Path, connection: "DuckDBPyConnection") -> int:
    """The version of an index; another program's database is refused."""
    duckdb = duckdb_module()
    try:
        found = connection.execute(f"SELECT schema, version FROM {STORED}.about").fetchone()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise _not_ours(path) from error
    if found is None or found[0] != SCHEMA:
        raise _not_ours(path)
    return int(found[1])


def _not_ours(path: Path) -> ResultFormatError:
    return ResultFormatError(f"{path} is a DuckDB file, and no history of bench", OTHER_FILE)
