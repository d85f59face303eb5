"""Which results files become a page: those that can be read, and those that are named on it."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import tell
from harness.cli.results_files import (
    is_journal,
    lone_journals,
    matching,
    read_results,
    results_path,
)
from harness.cli.show import is_pairs
from harness.core.errors import HarnessError, ResultFormatError, StorageError, UsageError
from harness.results.cut import read_cut
from harness.results.document import is_document
from harness.results.journal import SUFFIX, is_called_pairs
from harness.results.machine_views import as_one_machine, measured_machines

if TYPE_CHECKING:
    from harness.report.page.runs import Refused, Source
    from harness.results.schema import Document

PAGES = (".html", ".htm")
NOT_A_PAGE = "pairs of `bench ab` and searches of `bench tune` have no page"


def read_sources(arguments: Sequence[str]) -> "tuple[list[Source], list[Refused]]":
    """Read every results file that some arguments mean, by time; a file that is cut in part.

    A file that is named must be one. In a folder or a pattern what cannot be read is named on
    stderr and on the page, and the others are drawn.

    Raises:
        UsageError: an argument means no results file.
        ResultFormatError: a file that was named is damaged or newer than this version.
        StorageError: it cannot be read.
    """
    from harness.report.page.runs import Refused

    sources: list[Source] = []
    refused: list[Refused] = []
    for argument in arguments:
        path = results_path(argument)
        if path.is_file() or not (path.is_dir() or glob.has_magic(argument)):
            sources += _read(path)
            continue
        found = list(_files(path, argument))
        for file in found:
            try:
                sources += _read(file)
            except HarnessError as error:
                tell(f"passed over: {error.problem}")
                problem = error.problem.replace(str(file), file.name)
                refused.append(Refused(file.name, problem, error.fix))
        if not found:
            raise UsageError(
                f"{argument} holds no results file",
                fix="a file that `bench run` wrote, or its folder",
            )
    if not sources:
        one = refused[0]
        raise ResultFormatError(
            f"none of {len(refused)} results files can be read; the first is {one.name}:"
            f" {one.problem}",
            fix=one.fix,
        )
    return sorted(_each_once(sources), key=lambda one: one.document.created_utc), refused


def write_page(page: str, path: Path) -> None:
    """Write a page, whole or not at all.

    Raises:
        StorageError: its folder is not there, or it cannot be written.
    """
    from harness.core.files import write_whole

    try:
        write_whole(path, page)
    except OSError as error:
        raise StorageError(
            f"page {path} cannot be written: {error.strerror}",
            fix="a folder that is there and may be written, or free the disk",
        ) from error


def page_path(path: Path) -> Path:
    """The path of a page, which never is that of a results file.

    Raises:
        UsageError: it does not end as pages do.
    """
    if path.suffix.lower() not in PAGES:
        raise UsageError(
            f"--html {path} does not end in {' or '.join(PAGES)}", fix=f"--html {path}{PAGES[0]}"
        )
    return path


def _files(path: Path, argument: str) -> Iterator[Path]:
    """Yield the files of a folder or a pattern that are, or may be, results of runs."""
    is_folder = path.is_dir()
    yield from lone_journals(path) if is_folder else ()
    names = sorted(path.glob("*.json*") if is_folder else matching(argument))
    for name in filter(Path.is_file, names):
        if is_called_pairs(name):
            tell(f"passed over, {NOT_A_PAGE}: {name}")
        elif name.suffix == ".json" and is_document(name):
            yield name
        elif is_journal(name):
            yield from () if is_folder else (name,)
        elif not is_folder or name.suffix == ".json":
            tell(f"passed over, no results file: {name}")


def _read(path: Path) -> "list[Source]":
    """Read a document, a journal, or what is left of a document that was cut, by machine."""
    from harness.report.page.runs import Source

    if is_pairs(path):
        raise UsageError(f"{path}: {NOT_A_PAGE}", fix=f"bench report {path}")
    name = path.name.removesuffix(SUFFIX).removesuffix(".json")
    try:
        return [Source(one_name, one) for one_name, one in _machines(name, read_results(path))]
    except ResultFormatError:
        cut = None if is_journal(path) else read_cut(path)
        if cut is None:
            raise
        tell(f"{path}: {cut.told}")
        told = (cut.told,)
        return [Source(one_name, one, told) for one_name, one in _machines(name, cut.document)]


def _machines(name: str, document: "Document") -> "list[tuple[str, Document]]":
    """What each machine of a document has measured, with the name of the file."""
    views = measured_machines(document)
    if len(views) < 2:
        return [(name, as_one_machine(document))]
    return [(f"{name}, {one.name}", one.document) for one in views]


def _each_once(sources: "Sequence[Source]") -> "list[Source]":
    """The runs, each once though two arguments mean its file."""
    kept: list[Source] = []
    for source in sources:
        if any(source.document == other.document for other in kept):
            run_id = source.document.run_id
            tell(f"passed over, the run {run_id} is there already: {source.name}")
        else:
            kept.append(source)
    return [rest for source in kept if (rest := _without_copies(source, kept)) is not None]


def _without_copies(source: "Source", every: "Sequence[Source]") -> "Source | None":
    """A source without runs that lie in files of their own as well; None: nothing is left."""
    from msgspec import structs

    from harness.results.merged import joined, runs_of

    others = [one.document for one in every if not one.document.sources]
    runs = runs_of(source.document)
    left = [run for run in runs if run not in others]
    if not source.document.sources or len(left) == len(runs):
        return source
    if not left:
        tell(f"passed over, each of its runs is there already: {source.name}")
        return None
    rest = left[0] if len(left) == 1 else joined(left, source.document.run_id)
    environment = source.document.environment
    return replace(source, document=structs.replace(rest, environment=environment))
