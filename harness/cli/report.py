"""`bench report`: draw a stored results file again; several as pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import RESULTS
from harness.cli.options import DOCUMENT_FORMATS, beside_option, format_option, wide_option
from harness.cli.output import show, tell
from harness.cli.results_files import read_one, read_side, results_path
from harness.cli.show import is_pairs, show_document, show_pairs
from harness.core.errors import StorageError, UsageError
from harness.core.files import write_whole

if TYPE_CHECKING:
    from harness.report.charts.chart import NamedDocument


@click.command(
    "report", epilog="Example:  bench report results/run-20261122-101500-1a2b.json --format md"
)
@click.argument(
    "results",
    metavar="RESULTS...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    shell_complete=RESULTS,
)
@format_option(DOCUMENT_FORMATS)
@wide_option()
@beside_option()
@click.option(
    "--images",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write every chart as NAME.svg and NAME.png into this folder, and draw no table.",
)
@click.option("--dark", is_flag=True, help="With --images: for dark pages, as NAME-dark.svg.")
def command(
    results: tuple[Path, ...],
    style: str,
    wide: bool,
    beside: str | None,
    images: Path | None,
    dark: bool,
) -> None:
    """Draw the results file RESULTS for people, for programs or for a build service.

    A file of pairs, results/ab-*.jsonl, is drawn as `bench ab` has drawn it. Of a run that was
    killed, its journal or its folder gives what was finished, and the command that goes on.

    `github` appends Markdown to the job summary and prints annotations; junit, openmetrics,
    bencher, benchmark-action (smaller is better; -bigger: rates), pyperf and benchstat are what
    the tools of these names read.

    --images takes several RESULTS, folders and patterns too: of one machine, or of several side by
    side. It needs `pip install 'ondevice-bench[report]'`; docs/report.md says what is drawn.
    """
    if dark and images is None:
        raise UsageError("--dark says nothing without --images", fix="--images DIR --dark")
    if images is not None:
        write_images(read_named(results), images, dark)
        return
    if len(results) > 1:
        raise UsageError(
            f"{len(results)} results are given, and a table is drawn of one",
            fix="name one file; or --images DIR, which takes several",
        )
    path = results_path(results[0])
    if is_pairs(path):
        show_pairs(path, style)
    else:
        show_document(read_one(str(path)), style, wide, str(results[0]), beside)


def read_named(results: Sequence[Path]) -> "list[NamedDocument]":
    """Read every run that the arguments mean: files, folders, patterns; each run once.

    Raises:
        UsageError: an argument means no results file, or a file of pairs.
        ResultFormatError: a results file is damaged or newer than this version.
        StorageError: a file cannot be read.
    """
    from harness.report.charts.chart import NamedDocument

    found: dict[str, NamedDocument] = {}
    for argument in results:
        path = results_path(argument)
        if is_pairs(path):
            raise UsageError(
                f"{path} holds pairs, and charts are drawn of runs",
                fix="results files of `bench run`, or their folder",
            )
        for document in read_side(str(path)):
            name = path.stem if path.is_file() else document.run_id
            if document.run_id in found:
                tell(f"passed over, the run {document.run_id} is there already: {path}")
            else:
                found[document.run_id] = NamedDocument(name, document)
    return list(found.values())


def write_images(documents: "Sequence[NamedDocument]", folder: Path, dark: bool) -> None:
    """Write every chart of some runs as pictures, and print the names of the files.

    Raises:
        UsageError: vl-convert-python is not installed, or there is nothing to draw.
        StorageError: the folder cannot be written.
    """
    from harness.report.charts.images import pictures
    from harness.report.charts.table import charts_of

    charts = charts_of(documents)
    if not charts:
        raise UsageError(
            "nothing was measured that could be drawn", fix="results with finished cells"
        )
    for name, content in pictures(charts, dark=dark):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, content)
        except OSError as error:
            raise StorageError(
                f"{folder / name} cannot be written: {error.strerror}",
                fix="free the disk, or give another --images",
            ) from error
        show(str(folder / name))
