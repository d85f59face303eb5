"""Whether enough has been measured: each cell's widest interval beside the precision asked for."""

from harness.engine.workload import Workload
from harness.results.enums import Ending
from harness.results.plan import Effort, Progress
from harness.results.progress import UNFINISHED
from harness.results.summarize import judged_half_width_share, summarize
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.entries import Entries
from harness.runner.loop.parts import cell_of
from harness.runner.plan import Plan, SessionGroup
from harness.runner.settings import Settings


def is_precise(group: SessionGroup, builds: Builds, entries: Entries, settings: Settings) -> bool:
    """Whether every test of a group that did not fail has narrow enough intervals.

    Args:
        group: measured in some rounds.
        builds: holds its artifact.
        entries: what was measured.
        settings: hold the precision, a half-width as a share of the centre, and its looks.
    """
    return all(
        _is_narrow(group, workload, builds, entries, settings)
        for workload in group.workloads
        if entries.failure_of(group, workload) is None
    )


def effort_of(plan: Plan, builds: Builds, entries: Entries) -> Effort | None:
    """What the precision of a plan came to; None where none was asked for."""
    precision = plan.settings.precision
    if precision is None:
        return None
    rounds = 1 + max((index for _, _, index in entries.tests), default=-1)
    wide = sum(
        entries.failure_of(group, workload) is None
        and not _is_narrow(group, workload, builds, entries, plan.settings)
        for group in plan.groups
        for workload in group.workloads
    )
    unfinished = "interrupt" if plan.settings.budget is None else "budget"
    ended = (
        "precision" if not wide else "rounds" if rounds >= plan.settings.most_rounds else unfinished
    )
    return Effort(precision=precision, rounds=rounds, wide=wide, ended=ended)


def progress_of(plan: Plan, entries: Entries, interrupted: bool, command: str) -> Progress | None:
    """How far the run came; None where it came to its end in one go.

    Args:
        plan: what was asked for.
        entries: what was measured, or failed.
        interrupted: a person or a build service ended it.
        command: that goes on with it; empty: not known.
    """
    cells = [(group, workload) for group in plan.groups for workload in group.workloads]
    rounds = plan.settings.rounds
    counts = [
        rounds if entries.failure_of(*cell) else len(entries.tests_of(*cell)) for cell in cells
    ]
    whole = sum(
        count >= rounds and entries.has_memory(*cell)
        for count, cell in zip(counts, cells, strict=True)
    )
    failed = sum(entries.lacks(group.key, workload.name) for group, workload in cells)
    if interrupted:
        ended = Ending.INTERRUPTED
    elif failed:
        ended = Ending.FAILED
    elif whole < len(cells) and plan.settings.budget is not None:
        ended = Ending.BUDGET
    elif entries.resumed:
        ended = Ending.RESUMED
    else:
        return None
    return Progress(
        ended=ended,
        cells=len(cells),
        whole=whole,
        unmeasured=counts.count(0),
        rounds=rounds,
        resumed=len(entries.resumed),
        command=command if ended in UNFINISHED else "",
        failed=failed,
    )


def _is_narrow(
    group: SessionGroup, workload: Workload, builds: Builds, entries: Entries, settings: Settings
) -> bool:
    processes = entries.tests_of(group, workload)
    if len(processes) < 2:
        return False
    cell = cell_of(group, workload, builds.artifacts.get(build_key(group)))
    share = judged_half_width_share(cell, summarize(cell, processes, settings.looks))
    return share is not None and settings.precision is not None and share <= settings.precision
