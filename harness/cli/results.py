"""`bench results`: which runs lie in a folder, the latest first."""

from collections.abc import Iterator
from pathlib import Path

import click

from harness.cli.options import FORMATS, format_option
from harness.cli.output import show
from harness.cli.results_files import FOLDER, lone_journals, read_results
from harness.core.errors import HarnessError, StorageError, UsageError
from harness.results.document import is_document
from harness.results.journal import PAIRS_PREFIX, SUFFIX, TUNE_PREFIX

PREFIXES = (PAIRS_PREFIX, TUNE_PREFIX)


@click.command("results", epilog="Example:  bench results results/nightly --format json")
@click.argument("folder", type=click.Path(path_type=Path, readable=False), default=FOLDER)
@format_option(FORMATS)
def command(folder: Path, style: str) -> None:
    """List the runs in FOLDER, the latest first: when, of what, how many rows, how many failed.

    FOLDER is results where none is named. Runs that were killed are there by their journals, A/B
    tests by their pairs, searches of bench tune by their heats. A file that cannot be
    read is named with what is wrong; the others are listed all the same.
    """
    from harness.report.results_table import (
        StoredRun,
        draw_results,
        stored_pairs,
        stored_run,
        stored_search,
    )
    from harness.results.journal import read_sound

    if not folder.is_dir():
        if folder != FOLDER:
            raise UsageError(f"{folder} is no folder", fix="the folder of results files")
        show(draw_results((), (), str(folder), style))
        return
    runs: list[StoredRun] = []
    damaged = [(path.name, "no regular file: it is not read") for path in _special(folder)]
    for path in _files(folder):
        try:
            if _is_of(path, PAIRS_PREFIX) or _is_of(path, TUNE_PREFIX):
                stored = stored_pairs if _is_of(path, PAIRS_PREFIX) else stored_search
                sound = read_sound(path)
                runs.append(stored(path.name, sound.entries))
                lines = () if sound.is_mended else sound.damaged
                damaged += [(path.name, line.removeprefix(f"journal {path}, ")) for line in lines]
            else:
                runs.append(stored_run(path.name, read_results(path)))
        except HarnessError as error:
            problem = error.problem.removeprefix(f"results file {path}: ")
            damaged.append((path.name, " ".join(problem.split())))
    runs.sort(key=lambda run: (run.created_utc, run.file), reverse=True)
    show(draw_results(runs, damaged, str(folder), style))


def _special(folder: Path) -> list[Path]:
    """What is called like a run and is a pipe, a socket or a device: reading it may never end.

    Raises:
        StorageError: the folder may not be read.
    """
    try:
        names = sorted(folder.iterdir())
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be read: {error.strerror}", fix="check the rights of the folder"
        ) from error
    called = [path for path in names if path.suffix in (".json", ".jsonl")]
    return [path for path in called if path.exists() and not path.is_file() and not path.is_dir()]


def _files(folder: Path) -> Iterator[Path]:
    """Yield what is a run, pairs or a search, or could be a damaged one; other JSON is none."""
    documents = (path for path in sorted(folder.glob("*.json")) if _may_be_read(path))
    yield from (path for path in documents if is_document(path))
    yield from lone_journals(folder)
    named = [path for path in sorted(folder.glob("*.jsonl")) if _may_be_read(path)]
    yield from (path for path in named if any(_is_of(path, prefix) for prefix in PREFIXES))


def _may_be_read(path: Path) -> bool:
    """Whether it is a file, or a link to nothing, which is named with what is wrong."""
    return path.is_file() or not path.exists()


def _is_of(path: Path, prefix: str) -> bool:
    """Whether a file is called as `bench ab`, or `bench tune`, calls its own."""
    return path.name.startswith(prefix) and not path.name.endswith(SUFFIX)
