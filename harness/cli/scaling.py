"""`bench scaling`: whether the parameter count predicts what was measured."""

from pathlib import Path

import click

from harness.analysis.scaling import study_scaling
from harness.cli.completion import RESULTS
from harness.cli.options import FORMATS, format_option
from harness.cli.output import show, tell
from harness.cli.results_files import read_results, results_path
from harness.report.scaling_table import draw_study

EXAMPLE = "Example:  bench scaling results/run-20261122-101500-1a2b.json --format md"


@click.command("scaling", epilog=EXAMPLE)
@click.argument(
    "results",
    metavar="RESULTS...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    shell_complete=RESULTS,
)
@format_option(FORMATS)
def command(results: tuple[Path, ...], style: str) -> None:
    """Put to the test that a model's parameter count predicts its speed and its memory.

    Over all models of the results files RESULTS, fits metric = factor x parameters ^ exponent for
    every metric, level and test that three models or more share, and sets the exponent beside the
    one that people expect. The model farthest from its law is named, with a cause where its
    structure tells one. Fitting results: `bench run --config scaling`.
    """
    text, notes = draw_study(
        study_scaling([read_results(results_path(path)) for path in results]), style
    )
    show(text)
    for note in notes:
        tell(note)
