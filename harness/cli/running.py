"""What every command that measures a plan does: progress, signals, and where the results lie."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import tell
from harness.cli.progress import open_progress

if TYPE_CHECKING:
    from harness.runner.loop.run import Outcome
    from harness.runner.plan import Plan
    from harness.runner.settings import Settings


def fetch_into(
    settings: "Settings", cache: Path | None, offline: bool = False, quiet: bool = False
) -> "Settings":
    """Fetch the models of the hub that settings name, and say on stderr what is fetched."""
    from harness.runner.loop.fetched import with_fetched
    from harness.store.cache import default_cache
    from harness.store.fetch import Hub

    return with_fetched(
        settings,
        cache or default_cache(),
        Hub(offline=offline),
        lambda line: None if quiet else tell(line),
    )


def measure_plan(
    plan: "Plan",
    results: Path,
    cache: Path | None,
    resume: bool = False,
    command: Sequence[str] = (),
    quiet: bool = False,
) -> "Outcome":
    """Run the plan with progress on stderr, and say there which file holds the results.

    Args:
        plan: what to measure.
        results: folder of the document.
        cache: None: the usual one.
        resume: go on with an unfinished run.
        command: words of the one that would go on with this run, were it interrupted.
        quiet: say nothing but where the results are.
    """
    from harness.results.progress import command_line, ending_of
    from harness.runner.loop.expected import expect, first_words
    from harness.runner.loop.run import run_plan
    from harness.store.cache import default_cache

    # A job that is cancelled gets SIGTERM: it keeps what it has, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    built = cache or default_cache()
    for line in () if quiet or resume else first_words(expect(plan, built), built, results):
        tell(line)
    with open_progress(quiet) as progress:
        outcome = run_plan(
            plan,
            results=results,
            cache=built,
            progress=progress,
            resume=resume,
            command=command,
        )
    tell(f"results: {outcome.path}")
    if ending_of(outcome.document) == "interrupted" and command:  # with every path as it was typed
        tell(f"interrupted; go on: {command_line(command)}")
    return outcome
