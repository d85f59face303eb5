"""`bench history backfill`: a plan over versions of a package, and which one brought a change."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    FORMATS,
    cache_option,
    format_option,
    quiet_option,
    results_option,
)
from harness.cli.output import show, tell
from harness.cli.signals import end_as_with_ctrl_c
from harness.core.errors import EXIT_OK, InterruptedRunError, UsageError
from harness.core.ranges import parse_share

if TYPE_CHECKING:
    from harness.history.backfill import Outcome, Request
    from harness.history.environments import Target
    from harness.runner.plan import Plan
    from harness.runner.settings import Settings

ONNXRUNTIME = "onnxruntime"
# Of `bench run`, and of no use to a round of a backfill.
OWN = ("dry_run", "resume", "explain_row", "beside", "wide")


@click.command(
    "backfill",
    context_settings={"ignore_unknown_options": True},
    epilog="Example:  bench history backfill --onnxruntime 1.31.1,1.32.0 --model bytelm --rounds 5",
)
@click.option(
    "--onnxruntime", metavar="LIST", help="Versions, the oldest first: 1.31.0,1.31.1,1.32.0."
)
@click.option(
    "--package",
    metavar="NAME==LIST",
    help="Versions of another package: onnxruntime-genai==0.17.0,0.18.0.",
)
@click.option(
    "--commits",
    metavar="A..B",
    help="Commits of the repository of --package NAME: a range of a branch, or a list.",
)
@click.option(
    "--repository",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The repository that --commits are of.  [the current folder]",
)
@click.option(
    "--with",
    "extra",
    metavar="REQUIREMENT",
    multiple=True,
    help="A package that every environment has besides: onnxruntime-genai==0.18.0.",
)
@click.option(
    "--rounds", type=click.IntRange(1), metavar="N", help="Documents of each version.  [plan: 5]"
)
@click.option("--tolerance", default="3%", show_default=True, help="Within this it is the SAME.")
@click.option("--dry-run", is_flag=True, help="Print what would be made and measured, and stop.")
@quiet_option()
@format_option(FORMATS)
@results_option()
@cache_option("Where built models and environments are kept.")
@click.argument("words", metavar="[FLAGS OF bench run]...", nargs=-1, type=click.UNPROCESSED)
def backfill(
    onnxruntime: str | None,
    package: str | None,
    commits: str | None,
    repository: Path | None,
    extra: tuple[str, ...],
    rounds: int | None,
    tolerance: str,
    dry_run: bool,
    quiet: bool,
    style: str,
    results: Path,
    cache: Path | None,
    words: tuple[str, ...],
) -> int:
    """Run one plan with several versions of a package, and say which brought a change.

    Each version has an environment of its own, made once in the cache by uv, or by venv and pip;
    the other packages are those that are installed here. In each round (--rounds) every version
    measures the plan once, in an order drawn anew. What is done stays: the same command goes on,
    and a version that is added joins the others.

    Every other flag is one of `bench run`: --plan, --model, --quant, --threads, ...
    """
    from harness.history.backfill import BenchRunner, measure_versions
    from harness.history.brought import find_changes
    from harness.history.environments import ensure_code
    from harness.history.installers import usual_installer
    from harness.history.steps import check_library
    from harness.report.history_backfill import draw_backfill

    share = parse_share(tolerance, "--tolerance")
    request, plan = _read(
        _targets(onnxruntime, package, commits, repository),
        words,
        rounds,
        extra,
        results,
        cache,
    )
    if dry_run:
        _tell_plan(request, len(plan.groups))
        return EXIT_OK
    check_library()
    end_as_with_ctrl_c()
    code = ensure_code(request.cache)
    try:
        outcomes = measure_versions(
            request,
            usual_installer(),
            BenchRunner(code, request.cache),
            lambda line: None if quiet else tell(line),
        )
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"interrupted; what was measured lies in {request.folder}",
            fix="the same command goes on",
        ) from error
    measured = [(one.target, one.documents) for one in outcomes if one.documents]
    changes = find_changes(measured, share)
    show(draw_backfill(outcomes, changes, style), in_colour=style == "table")
    tell(f"results: {request.folder}", f"as a history: bench history add {request.folder}")
    return _exit_code(outcomes)


def _targets(
    onnxruntime: str | None, package: str | None, commits: str | None, repository: Path | None
) -> "tuple[Target, ...]":
    """The versions that are asked for.

    Raises:
        UsageError: no list, or two.
    """
    from harness.history.environments import read_targets
    from harness.history.revisions import read_commits

    if (onnxruntime is None) is (package is None):
        given = "both --onnxruntime and --package" if package else "no versions"
        raise UsageError(
            f"a backfill is over one package, and {given} are given",
            fix="--onnxruntime 1.31.1,1.32.0, or --package NAME==1.0,1.1",
        )
    if onnxruntime is not None and (commits or repository):
        raise UsageError(
            "--commits are of the package that --package names, and --onnxruntime is another",
            fix="--package NAME --repository PATH --commits A..B",
        )
    if onnxruntime is not None:
        return read_targets(ONNXRUNTIME, onnxruntime)
    if commits is not None:
        return read_commits(str(package), repository or Path(), commits)
    name, _, versions = str(package).partition("==")
    return read_targets(name, versions)


def _read(
    targets: "tuple[Target, ...]",
    words: tuple[str, ...],
    rounds: int | None,
    extra: tuple[str, ...],
    results: Path,
    cache: Path | None,
) -> "tuple[Request, Plan]":
    """What is measured, checked here before anything is installed.

    Raises:
        UsageError: words that `bench run` does not take, or that a round has no use for.
    """
    from harness.cli.running import fetch_into
    from harness.history.backfill import Request
    from harness.history.environments import requirements_of
    from harness.machine.watch.facts import usable_cores
    from harness.runner.plan import make_plan
    from harness.store.cache import default_cache

    settings = _settings(words)
    requirements_of(targets[0], extra)  # they can be read
    if settings.precision is not None:
        raise UsageError(
            "--precision decides on rounds by one version's intervals, and versions take turns",
            fix="--rounds 10",
        )
    place = cache or default_cache()
    plan = make_plan(fetch_into(settings, cache), usable_cores(), folder=cache)
    count = rounds or settings.rounds
    request = Request(targets, words, count, extra, place, results, settings.seed)
    return request, plan


def _settings(words: tuple[str, ...]) -> "Settings":
    """The plan that the words of `bench run` mean."""
    from harness.cli.run import command as run
    from harness.runner.settings import flag_values, flags_of, load_settings

    given: dict[str, Any] = run.make_context("bench run", list(words)).params
    for name in OWN:
        if given.get(name):
            raise UsageError(
                f"--{name.replace('_', '-')} is of no use to a round of a backfill",
                fix="leave it out; the same command goes on with what is not done",
            )
    flags = {row.key: given.get(row.key) for row in flags_of("run")}
    heads = [flags.pop(name, None) for name in ("plan", "preset", "like")]
    return load_settings(*heads, **flag_values(flags))


def _tell_plan(request: "Request", sessions: int) -> None:
    """Print what would be made and measured."""
    from harness.history.backfill import missing_environments, read_done

    absent = missing_environments(request)
    for target in request.targets:
        places = [request.place(target, index) for index in range(request.rounds)]
        done = sum(read_done(place) is not None for place in places)
        made = "to be made" if target in absent else "in the cache"
        show(
            f"{target.name}: environment {made}, {request.rounds - done} of {request.rounds} rounds"
            f" of {sessions} sessions to be measured"
        )
    show(f"results: {request.folder}")


def _exit_code(outcomes: "tuple[Outcome, ...]") -> int:
    """0 where every version was measured to its end; else that of what went wrong."""
    return max((one.exit_code for one in outcomes), default=EXIT_OK)
