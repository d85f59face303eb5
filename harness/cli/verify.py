"""`bench verify`: are stored files as they were written?"""

from collections.abc import Iterator
from pathlib import Path

import click

from harness.cli.completion import RESULTS
from harness.cli.options import FORMATS, format_option
from harness.cli.output import show
from harness.cli.results_files import results_path
from harness.core.errors import EXIT_OK, EXIT_STORAGE, UsageError
from harness.results.document import is_document
from harness.results.journal import PAIRS_PREFIX, SUFFIX, TUNE_PREFIX


@click.command("verify", epilog="Example:  bench verify results")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=RESULTS)
@format_option(FORMATS)
def command(files: tuple[str, ...], style: str) -> int:
    """Hold stored FILEs, or all of a folder, against the checks that were written with them.

    A results document has a checksum of what it says; one of an older version has none, and is
    read all the same. Journals, and what `bench ab` and `bench tune` write, have a check in every
    line: a damaged one is named. Ends with 5 where a file is damaged or cannot be read.
    """
    from harness.report.verify_table import draw_verified
    from harness.results.verify import State, verify_file

    found = [verify_file(path) for name in files for path in _stored(name)]
    show(draw_verified(found, style))
    return EXIT_STORAGE if any(one.state == State.DAMAGED for one in found) else EXIT_OK


def _stored(name: str) -> Iterator[Path]:
    """Yield the file that a word means, or everything in a folder that is, or may have been, ours.

    Raises:
        UsageError: a folder without any.
    """
    path = results_path(name)
    if not path.is_dir():
        yield path
        return
    documents = [one for one in path.glob("*.json") if one.is_file() and is_document(one)]
    patterns = (f"*{SUFFIX}", f"{PAIRS_PREFIX}*.jsonl", f"{TUNE_PREFIX}*.jsonl")
    lines = [one for pattern in patterns for one in path.glob(pattern)]
    if not documents and not lines:
        raise UsageError(
            f"{name} holds no results file", fix="a file that `bench run` wrote, or its folder"
        )
    yield from sorted({*documents, *lines})
