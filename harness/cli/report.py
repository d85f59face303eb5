"""`bench report`: draw a stored results file again."""

from pathlib import Path

import click

from harness.cli.completion import RESULTS
from harness.cli.options import DOCUMENT_FORMATS, beside_option, format_option, wide_option
from harness.cli.results_files import read_one, results_path
from harness.cli.show import is_pairs, show_document, show_pairs


@click.command(
    "report", epilog="Example:  bench report results/run-20261122-101500-1a2b.json --format md"
)
@click.argument("results", type=click.Path(path_type=Path), shell_complete=RESULTS)
@format_option(DOCUMENT_FORMATS)
@wide_option()
@beside_option()
def command(results: Path, style: str, wide: bool, beside: str | None) -> None:
    """Draw the results file RESULTS for people, for programs or for a build service.

    A file of pairs, results/ab-*.jsonl, is drawn as `bench ab` has drawn it. Of a run that was
    killed, its journal or its folder gives what was finished, and the command that goes on.

    `github` appends Markdown to the job summary and prints annotations; junit, openmetrics,
    bencher, benchmark-action (smaller is better; -bigger: rates), pyperf and benchstat are what
    the tools of these names read.
    """
    path = results_path(results)
    if is_pairs(path):
        show_pairs(path, style)
    else:
        show_document(read_one(str(path)), style, wide, str(results), beside)
