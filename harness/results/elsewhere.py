"""Results whose folder is lost: they are kept somewhere else, and that is said."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.core.errors import StorageError
from harness.results.document import write_document
from harness.results.schema import Document

PREFIX = "bench-results-"  # of the folder that is made for them


def write_or_elsewhere(document: Document, path: Path) -> tuple[Path, StorageError | None]:
    """Write a document; where that cannot be, into a new folder of the system's temporary one.

    Returns:
        Where it lies, or should have; and what was wrong: None where it lies at `path`.

    Raises:
        ResultFormatError: a value is NaN or infinite; says which.
    """
    try:
        write_document(document, path)
    except StorageError as error:
        return keep_elsewhere(path, error, lambda other: write_document(document, other))
    return path, None


def keep_elsewhere(
    path: Path, error: StorageError, write: Callable[[Path], object]
) -> tuple[Path, StorageError]:
    """Keep a file in a new folder that only this user can read.

    A disk that is full may be the same one: then what is drawn is all there is.

    Args:
        path: where it should have been.
        error: why it cannot be there.
        write: writes it to another place.

    Returns:
        Where it lies, or should have; and the error with where, or that nothing takes it.
    """
    try:
        other = Path(tempfile.mkdtemp(prefix=PREFIX)) / path.name
        write(other)
    except (OSError, StorageError):
        return path, StorageError(
            f"{error.problem}, and neither can the temporary folder",
            fix="keep what is drawn, free the disk, and go on with --resume if the journal is left",
        )
    return other, StorageError(
        f"{error.problem}; the results lie in {other}",
        fix=f"move them: mv {other} FOLDER, or draw them again: bench report {other}",
    )
