"""`bench report`: draw a stored results file again; several as a page or as pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import RESULTS
from harness.cli.options import (
    DOCUMENT_FORMATS,
    WIDE_TABLE,
    beside_option,
    format_option,
    wide_option,
)
from harness.cli.output import show, tell
from harness.cli.page_files import page_path, read_sources, write_page
from harness.cli.plot import plot_options, show_plot, wants_plot
from harness.cli.results_files import read_one, results_path
from harness.cli.show import PEOPLE, TABLE, is_pairs, show_document, show_pairs
from harness.core.errors import ResultFormatError, StorageError, UsageError
from harness.core.files import write_whole
from harness.results.cut import read_cut
from harness.results.schema import Document

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
@format_option(DOCUMENT_FORMATS, has_wide=True)
@wide_option()
@beside_option()
@click.option(
    "--html",
    metavar="PAGE",
    type=click.Path(path_type=Path),
    help="Write all RESULTS as one page, a file that needs no network, and draw no table.",
)
@click.option(
    "--images",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write every chart as NAME.svg and NAME.png into this folder, and draw no table.",
)
@click.option("--dark", is_flag=True, help="With --images: for dark pages, as NAME-dark.svg.")
@plot_options()
def command(
    results: tuple[Path, ...],
    style: str,
    wide: bool,
    beside: str | None,
    html: Path | None,
    images: Path | None,
    dark: bool,
    plot: bool,
    plotted: str | None,
) -> None:
    """Draw the results file RESULTS for people, for programs or for a build service.

    A file of pairs, results/ab-*.jsonl, is drawn as `bench ab` has drawn it. Of a run that was
    killed, its journal or its folder gives what was finished, and the command that goes on.

    `github` appends Markdown to the job summary and prints annotations; junit, openmetrics,
    bencher, benchmark-action (smaller is better; -bigger: rates), pyperf and benchstat are what
    the tools of these names read.

    --html and --images take several RESULTS, folders and patterns too: of one machine, or of
    several side by side. They need `pip install 'ondevice-bench[report]'`; docs/report.md says what
    is drawn.
    """
    if dark and images is None:
        raise UsageError("--dark says nothing without --images", fix="--images DIR --dark")
    if html is not None or images is not None:
        if style != TABLE or wide or beside:
            raise UsageError(
                "--html and --images draw no table, so that they take no format of one",
                fix="leave --format, --wide and -oe out, or draw the table by itself",
            )
        draw_all([str(path) for path in results], html, images, dark)
        return
    if len(results) > 1:
        raise UsageError(
            f"{len(results)} results are given, and a table is drawn of one",
            fix="name one file; or --html PAGE or --images DIR, which take several",
        )
    _show(results[0], style, wide, beside, wants_plot(plot, plotted, style), plotted)


def _show(
    argument: Path, style: str, wide: bool, beside: str | None, plot: bool, plotted: str | None
) -> None:
    """Draw one run, or one file of pairs, as a table; with `plot` as bars too."""
    path = results_path(argument)
    if is_pairs(path):
        if plotted is not None:
            raise UsageError(f"{path} holds pairs, whose metrics are their own", fix="--plot alone")
        show_pairs(path, WIDE_TABLE if wide and style == TABLE else style, plot)
        return
    document = _read(path, style, beside)
    show_document(document, style, wide, str(argument), beside)
    if plot:
        show_plot(document, plotted, style)


def _read(path: Path, *styles: str | None) -> Document:
    """Read one run; of a file that was cut people get its whole records, and are told so.

    Programs get no part of a file: they would take it for the whole.
    """
    try:
        return read_one(str(path))
    except ResultFormatError:
        are_people = all(style in PEOPLE for style in styles if style)
        cut = read_cut(path) if are_people and path.is_file() else None
        if cut is None:
            raise
        tell(f"{path}: {cut.told}")
        return cut.document


def draw_all(results: Sequence[str], html: Path | None, images: Path | None, dark: bool) -> None:
    """Read every run that the arguments mean, and write the page and the pictures.

    Raises:
        UsageError: an argument means no run, or there is nothing to draw.
        DeviceError: a package of the extra `report` is not installed.
        ResultFormatError: a results file is damaged or newer than this version.
        StorageError: a file cannot be read or written.
    """
    from harness.report.charts.chart import NamedDocument
    from harness.report.page.frame import check_extra

    page = None if html is None else page_path(html)
    check_extra()
    sources, refused = read_sources(results)
    if page is not None:
        from harness.report.numbers import counted, size_text
        from harness.report.page.draw import draw_runs

        drawn = draw_runs(sources, refused)
        write_page(drawn, page)
        show(f"{page}: {counted(len(sources), 'runs')}, {size_text(len(drawn.encode()))}")
    if images is not None:
        named = [NamedDocument(source.name, source.document) for source in sources]
        write_images(named, images, dark)


def write_images(documents: "Sequence[NamedDocument]", folder: Path, dark: bool) -> None:
    """Write every chart of some runs as pictures, and print the names of the files.

    Raises:
        DeviceError: vl-convert-python is not installed.
        UsageError: there is nothing to draw.
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
