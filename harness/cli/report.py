"""`bench report`: draw a stored results file again."""

from pathlib import Path

import click

from harness.cli.options import FORMATS
from harness.report.render import render
from harness.results.document import read_document


@click.command(
    "report", epilog="Example:  bench report results/run-20261122-101500-1a2b.json --format md"
)
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--format", "style", type=click.Choice(FORMATS), default="table", show_default=True)
def command(results: Path, style: str) -> None:
    """Draw the results file RESULTS as a table, Markdown, CSV, JSON or JSON lines."""
    click.echo(render(read_document(results), style), nl=False)
