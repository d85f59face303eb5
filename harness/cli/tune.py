"""`bench tune`: the fastest settings of a session here, confirmed against the default."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import LEVELS, MODEL
from harness.cli.flags import FlagsCommand, flag_options
from harness.cli.options import (
    FORMATS,
    Word,
    cache_option,
    details_option,
    format_option,
    quiet_option,
    results_option,
    wait_option,
)
from harness.cli.output import show, tell
from harness.cli.signals import end_as_with_ctrl_c
from harness.core.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_STORAGE, StorageError, UsageError
from harness.core.ranges import parse_names, parse_seconds
from harness.runner.settings import Settings, flag_values, load_settings

if TYPE_CHECKING:
    from harness.results.entries import TuneEntry
    from harness.runner.plan import SessionGroup
    from harness.runner.tuning.heats import Groups, Turns
    from harness.runner.tuning.sitting import Found
    from harness.runner.tuning.space import Where

# What is tuned for -> the flag of its test, and the usual one.
AIMS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "decode": ("gen", (8,)),
    "prefill": ("prompt", (128,)),
    "request": ("pg", ((64, 16),)),
}
USUAL_AIM = "request"
TURN_S, WARM_S = 0.1, 0.3
LEAST_BUDGET_S = 10.0
EXAMPLE = "Example:  bench tune smollm2-135m --quant int4 --for decode -o tuned.toml"


@dataclass(frozen=True, slots=True)
class Task:
    """What is tuned.

    Attributes:
        settings: of the default, as a plan.
        group: the default's one session and its one test.
        others: the same at every level that may be taken instead.
        where: what decides which settings there are.
    """

    settings: Settings
    group: "SessionGroup"
    others: "tuple[SessionGroup, ...]"
    where: "Where"


@click.command("tune", cls=FlagsCommand, epilog=EXAMPLE)
@click.argument("model", shell_complete=MODEL)
@click.option("--for", "aim", type=Word(tuple(AIMS)), help="What is to be fast.  [usual: request]")
@click.option(
    "--budget",
    default="3m",
    show_default=True,
    help="Time for all of it: 60s, 5m. What is found is confirmed in five pairs in any case.",
)
@click.option(
    "--levels",
    shell_complete=LEVELS,
    help="Levels that may be taken too: they compute other things.",
)
@click.option(
    "--busy", is_flag=True, help="Advise what is fastest beside other programs that run now, too."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the winner as a plan.")
@click.option("--dry-run", is_flag=True, help="List what would be tried, and why, and stop.")
@click.option("--resume", is_flag=True, help="Go on with a search that was killed.")
@format_option(FORMATS)
@results_option()
@cache_option()
@wait_option()
@quiet_option()
@details_option()
def command(
    model: str,
    aim: str | None,
    budget: str,
    levels: str | None,
    busy: bool,
    output: Path | None,
    dry_run: bool,
    resume: bool,
    style: str,
    results: Path,
    cache: Path | None,
    wait: str | None,
    quiet: bool,
    **flags: Any,
) -> int:
    """Find the fastest settings of MODEL here: threads, waiting, places, provider options.

    One change at a time takes turns with the best so far in live processes; who is shown to be
    slower falls out, the others get more turns. The winner is confirmed in fresh pairs of processes
    against the default, and is kept only where it is faster by its whole 95 % interval. Nothing is
    tried that changes what is computed, but for --levels.
    """
    from harness.cli.running import alone, fetch_into
    from harness.store.cache import default_cache

    seconds = parse_seconds(budget, "--budget")
    if seconds < LEAST_BUDGET_S:
        raise UsageError(
            f"--budget {budget} is too short for five pairs of processes",
            fix=f"--budget {LEAST_BUDGET_S:g}s or more; 3m is usual",
        )
    settings = fetch_into(_settings(model, aim, flags, cache), cache, quiet=quiet)
    others = parse_names(levels, "--levels") if levels else ()
    task = _task(settings, others, cache)
    if dry_run:
        from harness.report.tuned_space import draw_space

        show(draw_space(task.where, _default(task), style))
        return EXIT_OK
    _check_output(output)
    folder = cache or default_cache()
    sole = partial(alone, [task.group], folder, "bench tune", wait)
    return _tune(task, seconds, results, folder, output, style, busy, resume, quiet, sole)


command.params = [*command.params, *flag_options("tune")]


def _check_output(output: Path | None) -> None:
    """Refuse a place that no plan can be written to, before minutes are spent on one.

    Raises:
        StorageError: its folder is not there or may not be written, or the place is a folder.
    """
    if output is None:
        return
    if not output.parent.is_dir():
        raise StorageError(
            f"{output.parent} is no folder, and -o {output.name} would lie in it",
            fix="a folder that is there",
        )
    if output.is_dir():
        raise StorageError(
            f"-o {output} is a folder, and the plan is a file", fix=f"-o {output / 'tuned.toml'}"
        )
    if not os.access(output.parent, os.W_OK):
        raise StorageError(f"-o {output}: {output.parent} may not be written", fix="another folder")


def _settings(model: str, aim: str | None, flags: dict[str, Any], cache: Path | None) -> Settings:
    """The plan of the default: one test, that of the aim or the one that flags name.

    Raises:
        UsageError: flags that name another test than the aim, or several.
    """
    from harness.runner.models import find_model
    from harness.runner.models.gguf import ENDING
    from harness.runner.plan.runtimes import ORT

    if Path(model).suffix.casefold() == ENDING:
        raise UsageError(
            f"bench tune sets options of ONNX Runtime, and {Path(model).name} is a GGUF file",
            fix=f"bench run --model {model} --threads 1,2 --interleave turns",
        )
    given = flag_values({"model": model, **flags})
    if not given["model"] or len(given["model"]) > 1:
        raise UsageError(f"bench tune takes one model, and {model!r} is several", fix=EXAMPLE)
    tests = {name for name, (key, _) in AIMS.items() if key in given}
    if len(tests) > 1 or (aim and tests - {aim}):
        asked = ", ".join(f"--{AIMS[name][0]}" for name in sorted(tests))
        wanted = f"--for {aim}" if aim else "one thing at a time is tuned for"
        raise UsageError(
            f"{wanted}, and {asked} name{'s' * (len(tests) == 1)} another test",
            fix="--for decode --gen 8, --for prefill --prompt 128 or --for request --pg 64,16",
        )
    if not tests and not {"enc", "img", "aud"} & given.keys():
        named = "pg" in find_model(given["model"][0], cache).measured().takes
        if not named and aim:
            raise UsageError(
                f"--for {aim} is of decoders, and {model} is none", fix="leave --for out"
            )
        if named:
            key, value = AIMS[aim or USUAL_AIM]
            given[key] = value
    return load_settings("ab", runtime=(ORT,), **given)


def _task(settings: Settings, levels: Sequence[str], cache: Path | None) -> Task:
    """Check everything before anything is built.

    Raises:
        UsageError: more than one session or test, or a level that another runtime runs.
    """
    from harness.machine.watch.cores import fastest_processors, one_per_core, usable_processors
    from harness.machine.watch.facts import usable_cores
    from harness.runner.plan import make_plan
    from harness.runner.plan.checks import plan_threads
    from harness.runner.tuning.space import Where

    usable = usable_cores()
    counts = plan_threads(settings.threads, usable)
    settings = replace(settings, threads=(str(max(counts)),))
    (group, *more) = make_plan(settings, usable, folder=cache).groups
    if more:
        keys = ", ".join(one.key for one in (group, *more[:3]))
        raise UsageError(
            f"bench tune begins with one session, and this is {len(more) + 1} ({keys})",
            fix="one level, one device, one batch; --levels names levels that may be taken too",
        )
    if len(group.workloads) > 1 and settings.is_asked("prompt", "gen", "pg", "enc", "depth"):
        names = ", ".join(test.name for test in group.workloads)
        raise UsageError(f"bench tune is for one test, and this is {names}", fix="name one")
    others = [
        make_plan(replace(settings, quant=(level,)), usable, folder=cache).groups[0]
        for level in levels
        if level != group.level.name
    ]
    processors = frozenset(one_per_core(usable_processors()))
    fast = fastest_processors(processors) or frozenset()
    cores = sorted(processors, key=lambda one: (one not in fast, one))[:usable]
    fixed = [word.partition("=")[0] for word in (*settings.session_option, *settings.ep_option)]
    where = Where(
        row=group.device.row,
        system=sys.platform,
        cores=tuple(cores),
        fast=tuple(one for one in cores if one in fast),
        threads=counts if settings.is_asked("threads") else (),
        levels=(group.level.name, *(one.level.name for one in others)) if others else (),
        fixed=frozenset(fixed),
    )
    one_test = group.workloads[:1]
    return Task(
        settings,
        replace(group, workloads=one_test),
        tuple(replace(one, workloads=one_test) for one in others),
        where,
    )


def _default(task: Task) -> Any:
    """What the search begins with."""
    from harness.runner.tuning.heats import setting_of

    return setting_of(task.group)


def _tune(
    task: Task,
    budget_s: float,
    results: Path,
    cache: Path,
    output: Path | None,
    style: str,
    busy: bool,
    resume: bool,
    quiet: bool,
    sole: Callable[[], AbstractContextManager[None]],
) -> int:
    """Build, search, confirm, and draw what came out."""
    from harness.cli.progress import open_progress
    from harness.results.journal import AGAIN
    from harness.runner.tuning.sitting import measured, opened_file
    from harness.runner.tuning.space import changes

    default = _default(task)
    candidates = list(changes(task.where, default))
    if not candidates:
        place = "one core" if len(task.where.cores) == 1 else "nothing is left to vary"
        raise UsageError(
            f"there is nothing to tune: {place}, and {default.name} fixes the rest",
            fix="leave --threads, --session-option and --ep-option out",
        )
    if len(task.where.cores) == 1 and not quiet:
        tell("one core: threads, waiting, blocks and places have no other value")
    end_as_with_ctrl_c()
    groups = _built(task, cache, quiet)
    turns, header = _header(task, groups, candidates, budget_s)
    opened = opened_file(header, results, resume)
    for problem in opened.damaged:
        tell(f"{problem}; {AGAIN}")
    tell(f"turns: {opened.path}")
    with sole(), open_progress(quiet) as progress:
        room = _room(task, groups)
        found = measured(turns, header, opened, task.where, room, busy, progress)
    return _drawn(task, found, output, style)


def _drawn(task: Task, found: "Found", output: Path | None, style: str) -> int:
    """Draw what came out, then say what could not be kept; returns the exit code."""
    from harness.cli.running import tell_lost
    from harness.report.tuned import draw_tuned
    from harness.runner.tuning.standings import read_tuned

    tuned = read_tuned(found.entries)
    lost = [found.lost] if found.lost else []
    written = ""
    if output is not None and tuned.end is not None:
        try:
            _write_plan(task, tuned, output)
            written = output.name
        except StorageError as error:  # drawn first: it took minutes
            lost.append(error)
    show(draw_tuned(tuned, style, written))
    for one in lost:
        tell_lost(one)
    if tuned.end is None and not lost:
        tell("interrupted; go on: the same command with --resume")
        return EXIT_INTERRUPTED
    return EXIT_STORAGE if lost else EXIT_OK


def _built(task: Task, cache: Path, quiet: bool) -> "Groups":
    """Build every level, hold what others are held against, and say what a setting opens."""
    from harness.cli.progress import open_progress
    from harness.runner.loop.builds import ensure_group
    from harness.runner.loop.memory_limit import refuse_without_room
    from harness.runner.tuning.heats import with_setting

    built = {}
    every = (task.group, *task.others)
    with open_progress(quiet) as view:
        for done, group in enumerate(every):
            view(f"model: {group.source.name} {group.stored_name}", done, len(every))
            artifact = ensure_group(group, cache, task.settings.seed)
            refuse_without_room(group, artifact)
            built[group.level.name] = group, artifact
    return lambda setting: (
        with_setting(built[setting.level][0], setting),
        built[setting.level][1],
    )


def _header(
    task: Task, groups: "Groups", candidates: Sequence[Any], budget_s: float
) -> "tuple[Turns, TuneEntry]":
    """How turns are measured, and what opens the file of them; names no path."""
    from harness.machine.watch.facts import machine_facts
    from harness.results.entries import TuneEntry, TurnPlan
    from harness.results.metrics import METRICS
    from harness.results.schema import METHOD_VERSION, kind_of
    from harness.runner.loop.limits import turns_limit
    from harness.runner.loop.parts import cell_of
    from harness.runner.loop.run import utc_now
    from harness.runner.tuning.heats import Turns
    from harness.runner.tuning.sitting import digest_of

    test = task.group.workloads[0]
    default = _default(task)
    cell = cell_of(task.group, test, groups(default)[1])
    kind = kind_of(cell)
    # A request is tuned as a whole; every other test has one rate.
    metric = next(
        row for row in reversed(METRICS) if kind in row.in_turns and row.value is not None
    )
    limit_s = turns_limit([task.group], task.settings)
    plan = TurnPlan(TURN_S, WARM_S, limit_s, task.settings.seed)
    facts = machine_facts()
    levels = tuple(one.level.name for one in task.others)
    hashes = [groups(one)[1].content_hash for one in (default, *candidates)]
    header = TuneEntry(
        created_utc=utc_now(),
        method_version=METHOD_VERSION,
        environment=facts,
        digest=digest_of(METHOD_VERSION, cell, metric.name, default, candidates, hashes, facts),
        cell=cell,
        metric=metric.name,
        default=default,
        candidates=tuple(candidates),
        budget_s=budget_s,
        turns=plan,
        levels=levels,
    )
    return Turns(test, metric, plan, groups), header


def _room(task: Task, groups: "Groups") -> int:
    """How many sessions may be open at once: what is free of memory, and no more than help."""
    from harness.machine.watch.free_memory import free_memory_bytes
    from harness.runner.loop.memory_limit import least_bytes
    from harness.runner.tuning.heats import MOST_OPEN, PROCESS_BYTES

    free = free_memory_bytes()
    if free is None:
        return MOST_OPEN
    largest = max(
        least_bytes(*groups(one))
        for one in (_default(task), *(_at(task, other) for other in task.others))
    )
    return max(2, min(MOST_OPEN, int(free / 2 / (largest + PROCESS_BYTES))))


def _at(task: Task, group: "SessionGroup") -> Any:
    """The default at another level."""
    from msgspec import structs

    return structs.replace(_default(task), level=group.level.name)


def _write_plan(task: Task, tuned: Any, output: Path) -> None:
    """Write the winner as a plan that `bench run --config` takes."""
    from harness.core.files import write_whole
    from harness.report.tuned import sentence
    from harness.results.enums import Kind
    from harness.runner.settings.write import plan_text

    winner, test = tuned.winner, task.group.workloads[0]
    encodes = ((test.prompt_tokens, test.sequences),) if test.kind is Kind.ENCODE else None
    settings = replace(
        task.settings,
        quant=(winner.level,),
        threads=(str(winner.threads),),
        session_option=tuple(f"{name}={value}" for name, value in winner.session_options),
        ep_option=tuple(f"{name}={value}" for name, value in winner.provider_options),
        enc=encodes,
        gen=task.settings.gen if encodes is None else (),
        warm_seconds=Settings().warm_seconds,
        calibrate=True,
    )
    told = f"bench tune, {tuned.header.cell.workload}: {sentence(tuned)}"
    try:
        write_whole(output, plan_text(settings, [told]).encode())
    except OSError as error:
        raise StorageError(
            f"-o {output} cannot be written: {error.strerror}",
            fix="another place; the turns are kept",
        ) from error
