"""`bench plan`: the cells of a plan, listed, and written as files that any queue can carry."""

from pathlib import Path
from typing import Any

import click

from harness.cli.flags import FlagsCommand, flag_options
from harness.cli.options import (
    FORMATS,
    GITHUB,
    cache_option,
    format_option,
    offline_option,
    quiet_option,
)
from harness.cli.output import show, tell
from harness.runner.settings import flag_values, load_settings


@click.command(
    "plan",
    cls=FlagsCommand,
    epilog="Example:  bench plan --cells cells --model bytelm --quant fp32,int4 --threads 1,all",
)
@click.option(
    "--cells",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a file for each cell into this folder.",
)
@offline_option()
@quiet_option()
@format_option((*FORMATS, GITHUB))
@cache_option()
def command(
    cells: Path | None,
    plan: str | None,
    style: str,
    cache: Path | None,
    offline: bool,
    quiet: bool,
    preset: str | None,
    like: str | None,
    **flags: Any,
) -> int:
    """List the cells of a plan, one per session group: what a machine measures in one go.

    Nothing is asked of this machine: a class of devices and `--threads all` are decided by the one
    that gets the cell. The same plan gives the same files. `github` prints the files as a line for
    $GITHUB_OUTPUT, from which a matrix is made.
    """
    from harness.cli.running import fetch_into
    from harness.fleet.cells import cell_paths, write_cells
    from harness.fleet.laying import cells_of
    from harness.report.cells_table import draw_cells

    settings = load_settings(plan, preset, like, **flag_values(flags))
    laid = cells_of(fetch_into(settings, cache, offline, quiet), cache)
    if cells is not None:
        written = write_cells(laid, cells)
        for other in sorted({*cell_paths(cells)} - {*written}):
            tell(f"of another plan, and left where it is: {other}")
    show(draw_cells(laid, style))
    return 0


command.params = [*command.params, *flag_options("run")]
