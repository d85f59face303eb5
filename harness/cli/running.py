"""What every command that measures a plan does: progress, signals, and where the results lie."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import tell, tell_problem
from harness.cli.progress import open_progress
from harness.cli.signals import end_as_with_ctrl_c
from harness.core.ranges import parse_seconds

if TYPE_CHECKING:
    from harness.core.errors import HarnessError
    from harness.results.schema import Document
    from harness.runner.loop.run import Outcome
    from harness.runner.plan import Plan, SessionGroup
    from harness.runner.settings import Settings

GO_ON = {"interrupted": "go on", "failed": "try what failed again"}


def fetch_into(
    settings: "Settings", cache: Path | None, offline: bool = False, quiet: bool = False
) -> "Settings":
    """Fetch the models of the hub that settings name, and say on stderr what is fetched."""
    from harness.runner.loop.fetched import hub_names, with_fetched
    from harness.store.cache import default_cache
    from harness.store.fetch import Hub

    names = hub_names(settings)
    if not names:
        return settings
    with open_progress(quiet) as view:
        view(f"fetching {', '.join(names)}", 0, 0)
        return with_fetched(settings, cache or default_cache(), Hub(offline=offline), view.say)


def alone(
    groups: "Iterable[SessionGroup]", cache: Path | None, doing: str, wait: str | None
) -> AbstractContextManager[None]:
    """Keep other measurements away in the block, or wait for them; what is waited for is told.

    Args:
        groups: what is measured.
        cache: None: the usual one.
        doing: the command, such as `bench ab`.
        wait: text of `--wait`.
    """
    from harness.machine.watch.sole import sole_measurement
    from harness.store.cache import default_cache

    kinds = {group.device.row.kind for group in groups}
    return sole_measurement(
        cache or default_cache(),
        kinds,
        doing,
        seconds_of(wait),
        tell,
    )


def seconds_of(wait: str | None) -> float | None:
    """Read `--wait`.

    Raises:
        UsageError: it is no time.
    """
    return None if wait is None else parse_seconds(wait, "--wait")


def measure_plan(
    plan: "Plan",
    results: Path,
    cache: Path | None,
    resume: bool = False,
    command: Sequence[str] = (),
    quiet: bool = False,
    wait_s: float | None = None,
) -> "Outcome":
    """Run the plan with progress on stderr, and say there which file holds the results.

    Args:
        plan: what to measure.
        results: folder of the document.
        cache: None: the usual one.
        resume: go on with an unfinished run.
        command: words of the one that would go on with this run, were it interrupted.
        quiet: say nothing but where the results are.
        wait_s: longest wait for another measurement; None: until it ends.
    """
    from harness.results.journal import AGAIN
    from harness.runner.loop.expected import expect, first_words
    from harness.runner.loop.run import run_plan
    from harness.runner.loop.standing import nobody
    from harness.store.cache import default_cache

    end_as_with_ctrl_c()
    built = cache or default_cache()
    for line in () if quiet or resume else first_words(expect(plan, built), built, results):
        tell(line)
    with open_progress(quiet) as view:
        outcome = run_plan(
            plan,
            results=results,
            cache=built,
            progress=view,
            resume=resume,
            command=command,
            wait_s=wait_s,
            board=nobody if quiet else view.board,
        )
    for problem in outcome.damaged:
        tell(f"{problem}; {AGAIN}")
    if outcome.lost is None:
        tell(f"results: {outcome.path}")
    tell_unfinished(outcome.document, command)
    return outcome


def tell_unfinished(document: "Document", command: Sequence[str]) -> None:
    """Say how a run that lacks something goes on, with every path as it was typed.

    Args:
        document: of the run.
        command: words of the one that goes on with it; empty: not known.
    """
    from harness.results.progress import UNFINISHED, command_line, ending_of

    ended = ending_of(document)
    if ended in UNFINISHED and command:
        tell(f"{ended}; {GO_ON[ended]}: {command_line(command)}")


def tell_lost(lost: "HarnessError | None") -> None:
    """Say, behind the table, what became of the results folder or of the connection to it."""
    if lost is not None:
        tell_problem(lost.problem, lost.fix)
