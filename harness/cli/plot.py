"""`--plot`: bars below a table, as wide as the terminal is, in signs that its encoding has."""

import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import plotted_names, words
from harness.cli.options import Decorator
from harness.cli.output import show
from harness.core.errors import UsageError

if TYPE_CHECKING:
    from harness.analysis.compare import Comparison
    from harness.report.bars import Signs
    from harness.results.schema import Document

TERMINAL = ("table", "wide")
PLOTTED = (*TERMINAL, "md")  # formats that people read


def plot_option(what: str) -> Decorator:
    """`--plot`: bars below the table.

    Args:
        what: is drawn.
    """
    return click.option("--plot", is_flag=True, help=f"Below the table, {what}.")


def plot_options() -> Decorator:
    """`--plot` and `--metric`, of a run."""

    def decorate(command: Callable[..., Any]) -> Any:
        metric = click.option(
            "--metric",
            "plotted",
            shell_complete=words(plotted_names),
            help="What --plot draws: peak, ttft, prefill, kld.  [the rate of a row]",
        )
        return plot_option("a bar with its interval for each row")(metric(command))

    return decorate


def wants_plot(plot: bool, metric: str | None, style: str) -> bool:
    """Whether bars are drawn; a metric alone asks for them.

    Raises:
        UsageError: the format is for programs, or no metric has this name.
    """
    if metric is not None:
        from harness.report.plot import plotted_metric

        plotted_metric(metric)
    if not plot and metric is None:
        return False
    if style not in PLOTTED:
        raise UsageError(
            f"--plot draws below a table, and --format {style} is none",
            fix="--format table or md",
        )
    return True


def show_plot(document: "Document", metric: str | None, style: str) -> None:
    """Print the bars of a run.

    Raises:
        UsageError: no record of it has the metric.
    """
    from harness.report.plot import draw_plot

    drawn = draw_plot(document, metric, _signs(), _width(), style)
    show(f"\n{drawn}" if drawn else "", nl=False)


def show_ratios(comparison: "Comparison", style: str) -> None:
    """Print the points of a comparison."""
    from harness.report.ratio_plot import draw_ratio_plot

    drawn = draw_ratio_plot(comparison, _signs(), _width(), style)
    show(f"\n{drawn}" if drawn else "", nl=False, in_colour=style in TERMINAL)


def _signs() -> "Signs":
    """What stdout's encoding has."""
    from harness.report.bars import signs_for

    return signs_for(getattr(sys.stdout, "encoding", None))


def _width() -> int:
    """Of a line: that of a table, or of a terminal that is narrower."""
    from harness.report.bars import WIDTH

    if sys.stdout is None or not sys.stdout.isatty():
        return WIDTH
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
