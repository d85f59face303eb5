"""`bench levels`: every quantization level, what it stores, and which devices run it."""

import click

from harness.cli.completion import MODEL
from harness.cli.options import FORMATS, format_option
from harness.cli.output import show
from harness.report.levels_table import draw_levels


@click.command("levels", epilog="Example:  bench levels path/to/export --format md")
@click.argument("model", required=False, shell_complete=MODEL)
@format_option(FORMATS)
def command(style: str, model: str | None) -> None:
    """List the levels that --quant takes, in the order of falling size; of MODEL those it has.

    bits/w: stored bits of one weight of a large matrix of the layers, its share of scale and zero
    point included; `bench models` and every result count a whole model exactly. sensitive: what
    some matrices of the layers have instead. by: how integers are chosen.
    """
    from harness.builder.quantize.levels import GGUF_LEVELS, LEVELS, STATIC_LEVELS
    from harness.runner.models import find_model

    every = (*LEVELS.values(), *STATIC_LEVELS.values(), *GGUF_LEVELS.values())
    levels = every if model is None else find_model(model).measured().levels()
    show(draw_levels(levels, style))
