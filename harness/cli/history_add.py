"""`bench history add`: results files into the index."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import RESULTS
from harness.cli.history_options import index_option
from harness.cli.options import FORMATS, format_option, quiet_option
from harness.cli.output import show, tell
from harness.cli.results_files import FOLDER
from harness.core.errors import EXIT_OK, EXIT_STORAGE, UsageError

if TYPE_CHECKING:
    from harness.results.schema import Document


@click.command("add", epilog="Example:  bench history add results --commit $GITHUB_SHA")
@click.argument(
    "paths",
    metavar="[PATH]...",
    nargs=-1,
    type=click.Path(path_type=Path, readable=False),
    shell_complete=RESULTS,
)
@index_option()
@click.option("--commit", metavar="NAME", help="The commit that new runs measured.")
@click.option("--rebuild", is_flag=True, help="Build the index anew, of the files it had too.")
@quiet_option()
@format_option(FORMATS)
def add(
    paths: tuple[Path, ...],
    index: Path,
    commit: str | None,
    rebuild: bool,
    quiet: bool,
    style: str,
) -> int:
    """Put results files into the index, each once: files, or folders and those inside them.

    PATH is results where none is named. Documents of older versions are upgraded as they are read;
    of a run that was killed its journal is taken. A file that is damaged is named, the others are
    added all the same, and the command ends with 5. Of a commit that the repository of this folder
    has, the date is kept too: trends by commit follow it.
    """
    from harness.history.adding import add_files
    from harness.history.commits import named_commit
    from harness.history.database import Labels, duckdb_module, remove_index
    from harness.history.sources import find_sources
    from harness.report.history_table import draw_added

    duckdb_module()
    named = None if commit is None else named_commit(commit)
    sources = find_sources(_given(paths, is_needed=not rebuild))
    before = remove_index(index) if rebuild else Labels((), {})
    had = [index.parent / path for path in before.paths]
    kept = {source.path for source in sources}
    sources += find_sources(tuple(path for path in had if path.is_file() and path not in kept))
    done = add_files(
        index, sources, _read_journal, named, before.commits, None if quiet else _tell_progress
    )
    lost = [(str(path), "it is not there any more") for path in had if not path.is_file()]
    show(draw_added(done, lost, str(index), style))
    return EXIT_STORAGE if done.damaged or done.cut else EXIT_OK


def _given(paths: tuple[Path, ...], is_needed: bool) -> tuple[Path, ...]:
    """What is named, else the usual folder.

    Raises:
        UsageError: nothing is named, and there is no such folder.
    """
    if paths or FOLDER.is_dir():
        return paths or (FOLDER,)
    if is_needed:
        raise UsageError(
            f"there is no folder {FOLDER}", fix="bench history add PATH, with files or a folder"
        )
    return ()


def _read_journal(path: Path) -> "Document":
    from harness.runner.loop.partial import read_partial

    return read_partial(path, tell)


def _tell_progress(files: int, records: int) -> None:
    tell(f"{files:,} files read, {records:,} records added")
