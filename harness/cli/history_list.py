"""`bench history ls`: what the index holds."""

from pathlib import Path

import click

from harness.cli.history_options import index_option
from harness.cli.options import FORMATS, Word, format_option
from harness.cli.output import show

LISTS = ("models", "machines", "cells", "runs")


@click.command("ls", epilog="Example:  bench history ls cells")
@click.argument("what", type=Word(LISTS), default=LISTS[0])
@index_option()
@format_option(FORMATS)
def ls(what: str, index: Path, style: str) -> None:
    """List what the index holds: models, machines, cells or runs."""
    from harness.history.listing import list_index
    from harness.report.history_table import draw_listed

    show(draw_listed(list_index(index, what), what, str(index), style))
