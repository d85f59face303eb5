"""`bench merge`: results of many cells and machines as one document."""

from pathlib import Path

import click

from harness.cli.options import DOCUMENT_FORMATS, format_option, wide_option
from harness.cli.output import tell
from harness.core.errors import StorageError


@click.command(
    "merge", epilog="Example:  bench merge results --plan cells --output fleet.json --format md"
)
@click.argument(
    "results", metavar="RESULTS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--plan",
    "cells",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="The cells of the plan: those without a result become rows that say so.",
)
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the document here.",
)
@format_option(DOCUMENT_FORMATS, has_wide=True)
@wide_option()
def command(
    results: tuple[Path, ...], cells: Path | None, output: Path | None, style: str, wide: bool
) -> int:
    """Make one document of RESULTS: files, and folders with all that lies below them.

    Each result counts once, in whatever order and however often it comes, and a merged document
    may be merged again. It ends with 3 where a file cannot be read, two results of one cell,
    machine and method differ (the newer is taken), or a cell of the plan has none.
    """
    from harness.cli.show import show_document
    from harness.fleet.cells import read_cells
    from harness.fleet.merge import merge_paths
    from harness.report.numbers import counted
    from harness.results.document import write_document

    merged = merge_paths(results, () if cells is None else read_cells(cells))
    if output is not None:
        try:
            write_document(merged.document, output)
        except StorageError as error:
            fix = "another --output, or free the disk; the results are left as they are"
            raise StorageError(error.problem, fix) from error
    show_document(merged.document, style, wide, str(output or "FILE"))
    for problem in merged.problems:
        tell(f"bench: {problem}")
    for note in merged.notes:
        tell(note)
    runs = len(merged.document.sources)
    tell(f"{counted(runs, 'runs')}, {counted(len(merged.missing), 'cells')} without a result")
    if merged.unfinished:
        tell(f"{counted(merged.unfinished, 'cells')} begun and not finished: `bench cell` goes on")
    if output is not None:
        tell(f"results: {output}")
    return merged.exit_code
