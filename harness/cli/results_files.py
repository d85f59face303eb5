"""Which results files an argument means: a file, a folder, or a pattern such as `base/*.json`.

The journal of a run that was killed is one too, where no document was written of it.
"""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.cli.output import tell
from harness.core.errors import HarnessError, UsageError
from harness.results.document import is_document, read_document
from harness.results.journal import SUFFIX, document_of
from harness.results.merged import each_run_once
from harness.results.schema import Document

LATEST, PREVIOUS = "latest", "prev"
_MEANINGS = ("the newest run", "the run before the newest")
FOLDER = Path("results")  # the usual --results


def results_path(argument: str | Path) -> Path:
    """The results file that an argument means: a path, or the newest or the one before it.

    Of a run whose document was never written it is the journal.

    Raises:
        UsageError: there are not so many runs in the usual folder.
    """
    path = Path(argument)
    words = (LATEST, PREVIOUS)
    if str(argument) not in words or path.exists():
        journal = path.with_name(f"{path.stem}{SUFFIX}")
        return journal if not path.exists() and journal.is_file() else path
    documents = filter(Path.is_file, FOLDER.glob("run-*.json"))  # a pipe is never read to its end
    found = [*documents, *lone_journals(FOLDER)]
    runs = sorted(found, key=_document, reverse=True)
    place = words.index(str(argument))
    if len(runs) <= place:
        raise UsageError(
            f"{argument} means {_MEANINGS[place]} in {FOLDER}, which holds "
            f"{'one run' if runs else 'no run'}",
            fix="the path of a results file, or measure first: bench run",
        )
    return runs[place]


def read_results(path: Path) -> Document:
    """Read a results document, or draw one up of the journal of a run that was killed.

    Raises:
        StorageError: it cannot be read.
        ResultFormatError: it is damaged, no results file, or newer than this harness.
    """
    if not is_journal(path):
        return read_document(path)
    from harness.runner.loop.partial import read_partial

    return read_partial(path, tell)


def is_journal(path: Path) -> bool:
    """Whether a file is the journal of a run."""
    return path.name.endswith(SUFFIX)


def lone_journals(folder: Path) -> list[Path]:
    """Journals of a folder beside which no document lies: what killed runs leave."""
    found = sorted(folder.glob(f"run-*{SUFFIX}"))
    return [path for path in found if path.is_file() and not _document(path).exists()]


def read_side(argument: str) -> list[Document]:
    """Read every run of the results files that an argument means, by time.

    A merged document is as many runs, each of which counts once. A file must be one; in a folder or
    a pattern other JSON is passed over, and told on stderr. So is the journal of a killed run that
    cannot be read: it is one of many.

    Raises:
        UsageError: it means no results file.
        ResultFormatError: a results file is damaged or newer than this version.
        StorageError: a file cannot be read.
    """
    return sorted(each_run_once(_documents(argument)), key=lambda one: one.created_utc)


def _documents(argument: str) -> list[Document]:
    """Read every results file that an argument means, by time; see read_side."""
    path = results_path(argument)
    if path.is_file() or not (path.is_dir() or glob.has_magic(argument)):
        return [read_results(path)]
    journals = list(_read_journals(path)) if path.is_dir() else []
    found = sorted(path.glob("*.json") if path.is_dir() else matching(argument))
    results = [name for name in found if name.is_file() and _is_results(name)]
    _tell_passed_over({*found} - {*results})
    if not results and not journals:
        raise UsageError(
            f"{argument} holds no results file", fix="a file that `bench run` wrote, or its folder"
        )
    read = [*journals, *(read_results(name) for name in results)]
    return sorted(read, key=lambda one: one.created_utc)


def _read_journals(folder: Path) -> Iterator[Document]:
    """Yield what killed runs left in a folder; say on stderr what of it cannot be read."""
    for path in lone_journals(folder):
        try:
            yield read_results(path)
        except HarnessError as error:
            tell(f"passed over: {error.problem}")


def _is_results(path: Path) -> bool:
    """Whether a file holds a run, whole or not."""
    return is_journal(path) or is_document(path)


def _tell_passed_over(others: Iterable[Path]) -> None:
    """Say on stderr which files are none."""
    for other in sorted(others):
        tell(f"passed over, no results file: {other}")


def _document(path: Path) -> Path:
    """The document of the run that a file is of; names sort by time."""
    return document_of(path) if is_journal(path) else path


def matching(pattern: str) -> list[Path]:
    """Files of a pattern, which may begin at the root."""
    anchor = Path(pattern).anchor
    return list(Path(anchor).glob(pattern.removeprefix(anchor)))


def read_one(argument: str, why: str = "one is read at a time") -> Document:
    """Read the only results file that an argument means.

    Args:
        argument: a file, a folder or a pattern.
        why: only one can be taken.

    Raises:
        UsageError: it means several or none.
        HarnessError: as read_side.
    """
    documents = _documents(argument)
    if len(documents) > 1:
        raise UsageError(
            f"{argument} holds {len(documents)} results files; {why}", fix="name one file"
        )
    return documents[0]
