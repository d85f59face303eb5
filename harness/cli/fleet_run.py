"""`bench fleet run`: the cells of a plan to every device of a fleet, their results as one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import FlagsCommand, flag_options
from harness.cli.fleet_options import scheduler_options
from harness.cli.options import (
    DOCUMENT_FORMATS,
    Word,
    cache_option,
    format_option,
    inconclusive_option,
    offline_option,
    quiet_option,
    wide_option,
)
from harness.cli.output import tell, tell_problem
from harness.runner.settings import flag_values, load_settings

if TYPE_CHECKING:
    from harness.fleet.cells import CellFile
    from harness.fleet.scheduling.gathering import Asked, Gathered
    from harness.fleet.scheduling.security import SchedulerAddress


@click.command(
    "run",
    cls=FlagsCommand,
    epilog="Example:  bench fleet run --scheduler tcp://127.0.0.1:8786 --model bytelm --place each",
)
@scheduler_options()
@click.option(
    "--place",
    type=Word(("each", "any")),
    default="each",
    show_default=True,
    help="each: every cell on every machine that has its device. any: on one of them.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fleet-results"),
    show_default=True,
    help="Folder of the results: a file for each cell and machine, and all of them as one.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Wait for so many workers before the first cell goes out.",
)
@click.option(
    "--wait-for-workers",
    "wait_for",
    metavar="TIME",
    default="60s",
    show_default=True,
    help="How long they are waited for; then it begins with those that are there.",
)
@click.option(
    "--grace",
    metavar="TIME",
    default="60s",
    show_default=True,
    help="How long a cell waits for a worker that can take it, once there is none.",
)
@offline_option()
@quiet_option()
@inconclusive_option()
@format_option(DOCUMENT_FORMATS, has_wide=True)
@wide_option()
@cache_option()
def run(
    scheduler: str,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    place: str,
    out: Path,
    workers: int,
    wait_for: str,
    grace: str,
    plan: str | None,
    style: str,
    wide: bool,
    offline: bool,
    quiet: bool,
    inconclusive: str,
    cache: Path | None,
    preset: str | None,
    like: str | None,
    **flags: Any,
) -> int:
    """Measure a plan on the workers of a scheduler, and draw one table of all machines.

    Each result is written into --out as it comes; the same command again asks only for what is not
    there. A worker that is lost costs the cell it measured, which another one with the device
    measures (any), or the same machine once it is back (each); else its row says why it is empty.
    It ends with 3 where a row lacks its numbers, with 4 where no worker is there or the scheduler
    was lost, with 130 on Ctrl-C: cells that are measured then go on, and `bench merge` collects
    what lies with the workers.
    """
    from harness.cli.running import fetch_into
    from harness.cli.signals import end_as_with_ctrl_c
    from harness.core.ranges import parse_seconds
    from harness.fleet.laying import cells_of
    from harness.fleet.scheduling.gathering import Asked
    from harness.fleet.scheduling.security import scheduler_address

    address = scheduler_address(scheduler, tls_ca, tls_cert, tls_key)
    settings = load_settings(plan, preset, like, **flag_values(flags))
    cells = cells_of(fetch_into(settings, cache, offline, quiet), cache)
    wait_s = parse_seconds(wait_for, "--wait-for-workers")
    asked = Asked(cells, place, out, workers, wait_s, parse_seconds(grace, "--grace"))
    end_as_with_ctrl_c()
    return show_gathered(
        gathered_from(address, asked, quiet), cells, out, style, wide, inconclusive
    )


def gathered_from(address: "SchedulerAddress", asked: "Asked", quiet: bool) -> "Gathered":
    """Gather with progress on stderr."""
    from harness.cli.progress import open_progress
    from harness.fleet.scheduling.crew import open_crew
    from harness.fleet.scheduling.gathering import gather

    with open_progress(quiet) as view, open_crew(address) as crew:
        return gather(crew, asked, view, tell if quiet else view.say)


def show_gathered(
    gathered: "Gathered",
    cells: "tuple[CellFile, ...]",
    out: Path,
    style: str,
    wide: bool,
    inconclusive: str,
) -> int:
    """Draw the results as one document, keep it, and say what is missing; returns the exit code."""
    from harness.cli.show import show_document, tell_required
    from harness.fleet.scheduling.outcome import exit_code, merged, merged_name
    from harness.fleet.scheduling.outcome import words_of as words
    from harness.results.elsewhere import write_or_elsewhere
    from harness.runner.loop.run import utc_now

    found = merged(gathered, cells, utc_now())
    path, lost = write_or_elsewhere(found.document, out / merged_name(cells))
    show_document(found.document, style, wide, str(path))
    for sentence in (*found.problems, *words(gathered, out)):
        tell(sentence)
    tell(f"results: {path}")
    if lost is not None:
        tell_problem(lost.problem, lost.fix)
    required = tell_required(found.document, style, inconclusive)
    return max(exit_code(gathered, found, lost is not None), required)


run.params = [*run.params, *flag_options("run")]
