"""Which files a word means: a file, or every results file in a folder and in those inside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import StorageError, UsageError
from harness.history.rows import DOCUMENT, JOURNAL
from harness.results.journal import SUFFIX, document_of, is_called_pairs

OTHER = "other"  # pairs and searches, which are no runs


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Attributes:
        path: of it.
        kind: `document`, `journal` of a run whose document was never written, or `other`.
        is_named: it was given itself, so what it is not is told.
    """

    path: Path
    kind: str
    is_named: bool


def find_sources(names: tuple[Path, ...]) -> list[Source]:
    """Every file that the words mean, each once, by path.

    Raises:
        UsageError: a word that is nothing.
        StorageError: a folder that may not be read.
    """
    found: dict[Path, Source] = {}
    for name in names:
        if name.is_file():
            found[name] = Source(name, _kind(name), True)
        elif name.is_dir():
            for one in _inside(name):
                found.setdefault(one.path, one)
        elif name.exists():
            raise UsageError(f"{name} is no regular file: it is not read", fix="a results file")
        else:
            raise UsageError(
                f"{name} is neither a file nor a folder", fix="a results file, or a folder of them"
            )
    return [found[path] for path in sorted(found)]


def _inside(folder: Path) -> Iterator[Source]:
    """Yield what lies in a folder and in those inside it; links to folders are not followed."""
    try:
        next(folder.iterdir(), None)
        paths = sorted(path for path in folder.rglob("*.json*") if path.is_file())
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be read: {error.strerror}", fix="check the rights of the folder"
        ) from error
    for path in paths:
        if _kind(path) == JOURNAL and document_of(path).exists():
            continue  # the document says all that its journal does
        if path.suffix == ".json" or _kind(path) != DOCUMENT:
            yield Source(path, _kind(path), False)


def _kind(path: Path) -> str:
    """What a file is by its name."""
    if path.name.endswith(SUFFIX):
        return JOURNAL
    return OTHER if is_called_pairs(path) else DOCUMENT
