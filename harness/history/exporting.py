"""The documented tables as Parquet files, for pandas, polars, Spark or a lake."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from harness.core.errors import StorageError
from harness.history.blessings import Blessing, put_blessings
from harness.history.database import duckdb_module, first_line, reading
from harness.history.tables import VIEWS


def export_parquet(index: Path, blessings: Iterable[Blessing], folder: Path) -> tuple[Path, ...]:
    """Write one file per table into a folder; files of these names are replaced, others stay.

    Args:
        index: its file.
        blessings: as the table of that name.
        folder: is made where there is none.

    Raises:
        StorageError: the folder cannot be written.
        HarnessError: as harness.history.database.reading.
    """
    duckdb = duckdb_module()
    written = []
    with reading(index) as connection:
        put_blessings(connection, blessings)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for view in VIEWS:
                path = folder / f"{view.name}.parquet"
                partial = folder / f".{view.name}.parquet.tmp"
                try:
                    connection.execute(
                        f"COPY (SELECT * FROM {view.name}) TO '{_quoted(partial)}'"
                        " (FORMAT parquet, COMPRESSION zstd)"
                    )
                    partial.replace(path)
                finally:
                    with suppress(OSError):
                        partial.unlink(missing_ok=True)
                written.append(path)
        except OSError as error:
            raise StorageError(
                f"{folder} cannot be written: {error.strerror}", fix="another --parquet folder"
            ) from error
        except duckdb.IOException as error:
            raise StorageError(
                f"{folder} cannot be written: {first_line(str(error))}",
                fix="another --parquet folder",
            ) from error
    return tuple(written)


def _quoted(path: Path) -> str:
    """A path inside a literal of SQL."""
    return str(path).replace("'", "''")
