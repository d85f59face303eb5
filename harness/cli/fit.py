"""`bench fit`: which model, level and thread count meets the requirements here."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import MODEL
from harness.cli.flags import FlagsCommand, flag_options
from harness.cli.options import (
    FORMATS,
    Word,
    cache_option,
    details_option,
    format_option,
    offline_option,
    quiet_option,
    results_option,
    wait_option,
)
from harness.cli.output import show, tell
from harness.core.errors import EXIT_OK, UsageError
from harness.runner.settings import flag_values, load_settings

if TYPE_CHECKING:
    from harness.results.requirement import Requirement
    from harness.runner.fitting.outcome import FitOutcome
    from harness.runner.plan import Plan

PLAN, NAME = "fit", "fit"
PREFER = ("quality", "speed", "memory")
EXAMPLE = 'Example:  bench fit smollm2-135m --require "decode>=20, ttft<=800ms, peak<=2GiB"'


@click.command(NAME, cls=FlagsCommand, epilog=EXAMPLE)
@click.argument("models", metavar="[MODEL...]", nargs=-1, shell_complete=MODEL)
@click.option(
    "--prefer",
    type=Word(PREFER),
    default=PREFER[0],
    show_default=True,
    help="Which of several that meet all: the least loss, the fastest, the smallest.",
)
@click.option("--dry-run", is_flag=True, help="Print the candidates and stop.")
@click.option("--resume", is_flag=True, help="Go on with the unfinished fit of the same plan.")
@offline_option()
@details_option("why each candidate is out, or when it was decided, ", is_told=True)
@quiet_option()
@format_option(FORMATS)
@results_option()
@cache_option()
@wait_option()
def command(
    models: tuple[str, ...],
    prefer: str,
    dry_run: bool,
    resume: bool,
    offline: bool,
    verbose: bool,
    quiet: bool,
    style: str,
    results: Path,
    cache: Path | None,
    wait: str | None,
    plan: str | None,
    **flags: Any,
) -> int:
    """Find what meets every requirement here, of every level and thread count of each MODEL.

    Candidates that by their estimate cannot are never built. The others are measured, with rounds
    for those still undecided, until each requirement is MET, NOT_MET or INCONCLUSIVE by its whole
    interval; the choice is confirmed in fresh processes. Ends with 0 where one meets all, with 1
    where none does.
    """
    from harness.cli.running import fetch_into, seconds_of, tell_lost
    from harness.machine.watch.facts import usable_cores
    from harness.report.fitted import draw_fit
    from harness.results.progress import command_line
    from harness.runner.fitting.asked import check_candidates, fit_settings
    from harness.runner.plan import make_plan

    if models:
        flags["model"] = ",".join(models)
    wait_s = seconds_of(wait)
    settings = load_settings(plan or PLAN, **flag_values(flags))
    if not settings.require:
        raise UsageError("bench fit needs what has to be met", fix=EXAMPLE.partition(":  ")[2])
    settings, requirements = fit_settings(settings)
    settings = fetch_into(settings, cache, offline, quiet)
    chosen = make_plan(settings, usable_cores(), folder=cache)
    check_candidates(chosen, requirements)
    if dry_run:
        from harness.cli.show import PEOPLE
        from harness.report.plan_lines import draw_plan, fit_line

        show(draw_plan(chosen, style))
        if style in PEOPLE:
            show(fit_line(chosen.settings))
        return EXIT_OK
    outcome = _found(
        chosen,
        requirements,
        prefer,
        places=(results, cache),
        resume=resume,
        wait_s=wait_s,
        loud=(verbose, quiet),
    )
    show(draw_fit(outcome.document, style, command_line(outcome.command)))
    tell_lost(outcome.lost)
    return outcome.exit_code


def _found(
    plan: "Plan",
    requirements: "tuple[Requirement, ...]",
    prefer: str,
    *,
    places: tuple[Path, Path | None],
    resume: bool,
    wait_s: float | None,
    loud: tuple[bool, bool],
) -> "FitOutcome":
    """Fit with progress on stderr, and say there where the results are and how it goes on."""
    from harness.cli.progress import open_progress
    from harness.cli.running import tell_unfinished
    from harness.cli.signals import end_as_with_ctrl_c
    from harness.report.decided import decided_line
    from harness.results.progress import resume_command
    from harness.runner.fitting.choice import Candidate
    from harness.runner.fitting.fit import fit_plan
    from harness.store.cache import default_cache

    end_as_with_ctrl_c()
    results, cache = places
    verbose, quiet = loud
    again = resume_command(click.get_current_context().find_root().obj or (), NAME)
    with open_progress(quiet) as progress:

        def watch(one: Candidate) -> None:
            if verbose:
                progress(decided_line(one), 0, 0)

        outcome = fit_plan(
            plan,
            requirements,
            prefer,
            results=results,
            cache=cache or default_cache(),
            progress=progress,
            resume=resume,
            command=again,
            wait_s=wait_s,
            watch=watch,
        )
    if outcome.lost is None:
        tell(f"results: {outcome.path}")
    tell_unfinished(outcome.document, again)
    return outcome


command.params = [*command.params, *flag_options(NAME)]
