"""Which results files an argument means: a file, a folder, or a pattern such as `base/*.json`."""

import glob
from pathlib import Path

import click

from harness.core.errors import UsageError
from harness.results.document import is_document, read_document
from harness.results.schema import Document

LATEST, PREVIOUS = "latest", "prev"
FOLDER = Path("results")  # the usual --results


def results_path(argument: str | Path) -> Path:
    """The results file that an argument means: a path, or the newest or the one before it.

    Raises:
        UsageError: there are not so many runs in the usual folder.
    """
    path = Path(argument)
    words = (LATEST, PREVIOUS)
    if str(argument) not in words or path.exists():
        return path
    runs = sorted(FOLDER.glob("run-*.json"), reverse=True)  # names sort by time
    place = words.index(str(argument))
    if len(runs) <= place:
        raise UsageError(
            f"{argument} means a run in {FOLDER}, which holds {len(runs)}",
            fix="the path of a results file, or measure first: bench run",
        )
    return runs[place]


def read_side(argument: str) -> list[Document]:
    """Read every results file that an argument means, by time.

    A file must be one; in a folder or a pattern other JSON is passed over, and told on stderr.

    Raises:
        UsageError: it means no results file.
        ResultFormatError: a results file is damaged or newer than this version.
        StorageError: a file cannot be read.
    """
    path = results_path(argument)
    if path.is_file() or not (path.is_dir() or glob.has_magic(argument)):
        return [read_document(path)]
    found = sorted(path.glob("*.json") if path.is_dir() else _matching(argument))
    results = [name for name in found if name.is_file() and is_document(name)]
    for other in sorted({*found} - {*results}):
        click.echo(f"passed over, no results file: {other}", err=True)
    if not results:
        raise UsageError(
            f"{argument} holds no results file", fix="a file that `bench run` wrote, or its folder"
        )
    return sorted((read_document(name) for name in results), key=lambda one: one.created_utc)


def _matching(pattern: str) -> list[Path]:
    """Files of a pattern, which may begin at the root."""
    anchor = Path(pattern).anchor
    return list(Path(anchor).glob(pattern.removeprefix(anchor)))


def read_one(argument: str) -> Document:
    """Read the only results file that an argument means.

    Raises:
        UsageError: it means several or none.
        HarnessError: as read_side.
    """
    documents = read_side(argument)
    if len(documents) > 1:
        raise UsageError(
            f"{argument} holds {len(documents)} results files; an axis is compared inside one",
            fix="name one file",
        )
    return documents[0]
