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
    on_options,
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
    from harness.fleet.remote.gather import Gathered
    from harness.results.schema import Document
    from harness.runner.loop.run import Outcome
    from harness.runner.settings import Settings


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
@on_options()
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
    on: str | None,
    remote_python: str | None,
    machine: str | None,
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
    from harness.cli.run_on import errand_of, refuse_elsewhere, run_elsewhere
    from harness.cli.running import fetch_into, seconds_of, tell_lost
    from harness.cli.show import show_document, tell_required

    errand = errand_of(on, remote_python, machine, wait, offline)
    wait_s, plot = seconds_of(wait), wants_plot(plot, plotted, style)
    settings = load_settings(plan, preset, like, **flag_values(flags))
    outcome: Outcome | Gathered | None
    if errand is not None:
        refuse_elsewhere(resume=resume, explain_row=explain_row)
        settings = fetch_into(settings, cache, offline, quiet)
        outcome = run_elsewhere(settings, errand, results, cache, style, dry_run, quiet)
    else:
        settings = fetch_into(settings, cache, offline, quiet)
        outcome = _run_here(settings, results, cache, style, dry_run, resume, quiet, wait_s)
    if outcome is None:
        return 0
    called = "latest" if results == FOLDER else str(outcome.path)
    show_document(outcome.document, style, wide, called, beside)
    if plot:
        _plot(outcome.document, plotted, style)
    if explain_row and style in ("table", "md"):  # the others hold the sums already
        from harness.report.explained import explain_document

        show("\n" + explain_document(outcome.document, None, style))
    tell_lost(outcome.lost)
    return max(outcome.exit_code, tell_required(outcome.document, style, inconclusive))


def _run_here(
    settings: "Settings",
    results: Path,
    cache: Path | None,
    style: str,
    dry_run: bool,
    resume: bool,
    quiet: bool,
    wait_s: float | None,
) -> "Outcome | None":
    """Measure a plan on this machine; None: its cells were only listed."""
    from harness.cli.running import measure_plan
    from harness.machine.watch.facts import usable_cores
    from harness.results.progress import resume_command
    from harness.runner.plan import make_plan

    chosen = make_plan(settings, usable_cores(), folder=cache)
    if dry_run:
        from harness.report.plan_lines import draw_plan

        show(draw_plan(chosen, style))
        return None
    typed = click.get_current_context().find_root().obj or ()
    return measure_plan(chosen, results, cache, resume, resume_command(typed), quiet, wait_s)


def _plot(document: "Document", metric: str | None, style: str) -> None:
    """Draw bars; what was measured stands, also where it has no such metric."""
    try:
        show_plot(document, metric, style)
    except UsageError as error:
        tell_problem(error.problem, error.fix)


command.params = [*command.params, *flag_options("run")]
