"""`bench fit`: which model, level and thread count meets the requirements here."""

import signal
from pathlib import Path
from typing import Any

import click

from harness.cli.completion import MODEL
from harness.cli.flags import FlagsCommand, flag_options
from harness.cli.options import (
    FORMATS,
    Word,
    cache_option,
    format_option,
    offline_option,
    quiet_option,
    results_option,
    wait_option,
)
from harness.cli.output import show, tell
from harness.core.errors import EXIT_OK, UsageError
from harness.runner.settings import flag_values, load_settings

PLAN = "fit"
PREFER = ("quality", "speed", "memory")
EXAMPLE = 'Example:  bench fit smollm2-135m --require "decode>=20, ttft<=800ms, peak<=2GiB"'


@click.command("fit", cls=FlagsCommand, epilog=EXAMPLE)
@click.argument("models", metavar="[MODEL...]", nargs=-1, shell_complete=MODEL)
@click.option(
    "--prefer",
    type=Word(PREFER),
    default=PREFER[0],
    show_default=True,
    help="Which of several that meet all: the least loss, the fastest, the smallest.",
)
@click.option("--dry-run", is_flag=True, help="Print the candidates and stop.")
@offline_option()
@quiet_option()
@format_option(FORMATS)
@results_option()
@cache_option()
@wait_option()
def command(
    models: tuple[str, ...],
    prefer: str,
    dry_run: bool,
    offline: bool,
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
    from harness.cli.progress import open_progress
    from harness.cli.running import alone, fetch_into
    from harness.machine.watch.facts import usable_cores
    from harness.report.fitted import draw_fit
    from harness.results.progress import command_line
    from harness.runner.fitting.asked import check_candidates, fit_settings
    from harness.runner.fitting.fit import fit_plan
    from harness.runner.plan import make_plan
    from harness.store.cache import default_cache

    if models:
        flags["model"] = ",".join(models)
    settings = load_settings(plan or PLAN, **flag_values(flags))
    if not settings.require:
        raise UsageError("bench fit needs what has to be met", fix=EXAMPLE.partition(":  ")[2])
    settings, requirements = fit_settings(settings)
    settings = fetch_into(settings, cache, offline, quiet)
    chosen = make_plan(settings, usable_cores(), folder=cache)
    check_candidates(chosen, requirements)
    if dry_run:
        from harness.report.plan_lines import draw_plan

        show(draw_plan(chosen, style))
        return EXIT_OK
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = cache or default_cache()
    with alone(chosen.groups, folder, "bench fit", wait), open_progress(quiet) as progress:
        outcome = fit_plan(
            chosen,
            requirements,
            prefer,
            results=results,
            cache=folder,
            progress=progress,
        )
    tell(f"results: {outcome.path}")
    show(draw_fit(outcome.document, style, command_line(outcome.command)))
    return outcome.exit_code


command.params = [*command.params, *flag_options("fit")]
