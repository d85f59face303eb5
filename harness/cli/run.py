"""`bench run`, which is also bare `bench --device cpu`: plan, measure, draw, keep."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import FlagsCommand, flag_options
from harness.cli.options import (
    DOCUMENT_FORMATS,
    beside_option,
    cache_option,
    details_option,
    format_option,
    inconclusive_option,
    offline_option,
    quiet_option,
    results_option,
    wait_option,
    wide_option,
)
from harness.cli.output import show, tell_problem
from harness.cli.plot import plot_options, show_plot, wants_plot
from harness.cli.results_files import FOLDER
from harness.core.errors import UsageError
from harness.runner.settings import flag_values, load_settings

if TYPE_CHECKING:
    from harness.results.schema import Document


@click.command(
    "run",
    cls=FlagsCommand,
    epilog="Example:  bench --device cpu --model smollm2-135m --quant fp32,int4 --threads 1,2",
)
@offline_option()
@wait_option()
@quiet_option()
@details_option()
@click.option("--dry-run", is_flag=True, help="Print the cells and stop.")
@click.option("--resume", is_flag=True, help="Go on with the unfinished run of the same plan.")
@click.option("--explain-row", is_flag=True, help="Print the sum behind every estimate as well.")
@inconclusive_option()
@format_option(DOCUMENT_FORMATS, has_wide=True)
@wide_option()
@beside_option()
@plot_options()
@results_option()
@cache_option()
def command(
    plan: str | None,
    style: str,
    wide: bool,
    beside: str | None,
    plot: bool,
    plotted: str | None,
    results: Path,
    cache: Path | None,
    dry_run: bool,
    explain_row: bool,
    resume: bool,
    offline: bool,
    wait: str | None,
    quiet: bool,
    preset: str | None,
    like: str | None,
    inconclusive: str,
    **flags: Any,
) -> int:
    """Measure every cell of the plan and draw one row per session.

    Results go to stdout, progress to stderr, every raw sample to one file under --results. Where
    stderr is no terminal, a line tells of every finished row; -q leaves that out. With --require it
    ends with 1 where a limit is not kept.
    """
    from harness.cli.running import fetch_into, measure_plan, seconds_of, tell_lost
    from harness.cli.show import show_document, tell_required
    from harness.machine.watch.facts import usable_cores
    from harness.results.progress import resume_command
    from harness.runner.plan import make_plan

    wait_s = seconds_of(wait)
    plot = wants_plot(plot, plotted, style)
    settings = load_settings(plan, preset, like, **flag_values(flags))
    chosen = make_plan(fetch_into(settings, cache, offline, quiet), usable_cores(), folder=cache)
    if dry_run:
        from harness.report.plan_lines import draw_plan

        show(draw_plan(chosen, style))
        return 0
    typed = click.get_current_context().find_root().obj or ()
    again = resume_command(typed)
    outcome = measure_plan(chosen, results, cache, resume, again, quiet, wait_s)
    called = "latest" if results == FOLDER else str(outcome.path)
    show_document(outcome.document, style, wide, called, beside)
    if plot:
        _plot(outcome.document, plotted, style)
    if explain_row and style in ("table", "md"):  # the others hold the sums already
        from harness.report.explained import explain_document

        show("\n" + explain_document(outcome.document, None, style))
    tell_lost(outcome.lost)
    return max(outcome.exit_code, tell_required(outcome.document, style, inconclusive))


def _plot(document: "Document", metric: str | None, style: str) -> None:
    """Draw bars; what was measured stands, also where it has no such metric."""
    try:
        show_plot(document, metric, style)
    except UsageError as error:
        tell_problem(error.problem, error.fix)


command.params = [*command.params, *flag_options("run")]
