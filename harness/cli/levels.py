"""`bench levels`: every quantization level, what it stores, and which devices run it."""

import click

from harness.cli.options import FORMATS, Word
from harness.report.levels_table import draw_levels


@click.command("levels", epilog="Example:  bench levels --format md")
@click.option("--format", "style", type=Word(FORMATS), default="table", show_default=True)
def command(style: str) -> None:
    """List the levels that --quant takes, in the order of falling size.

    bits/w: stored bits of one weight of a large matrix of the layers, its share of scale and zero
    point included; `bench models` and every result count a whole model exactly. sensitive: what
    some matrices of the layers have instead. by: how integers are chosen.
    """
    click.echo(draw_levels(style))
