"""Rounds: every group once, in shuffled order, until the plan, its precision or its budget ends."""

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec import structs

from harness.core.errors import WorkerError
from harness.core.findings import Progress
from harness.engine.workload import Workload
from harness.estimator.calibration.bandwidth import READER, measure_read_bandwidth
from harness.machine.process.together import Child, started_together
from harness.machine.process.worker import Worker
from harness.results.entries import BandwidthEntry, Entry, NoBandwidthEntry, SamplesEntry
from harness.results.replies import Start
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.calibration import has_peaks
from harness.runner.loop.effort import is_precise
from harness.runner.loop.entries import Entries
from harness.runner.loop.interleaved import check_room_together, measure_together
from harness.runner.loop.memory_limit import refuse_without_room
from harness.runner.loop.order import shuffled
from harness.runner.loop.rest import Pause, rest, without_sensor
from harness.runner.loop.session import lost_entry, measure_group
from harness.runner.plan import Plan, SessionGroup
from harness.runner.settings import TURNS

# One process's share of the bandwidth peak, in every round beside the rows it is compared with.
BANDWIDTH_SECONDS = 0.3
# Interpreters that are started at once, tens of MiB each: those of the default plan's round.
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Run:
    """What every round of a run shares.

    Attributes:
        plan: what is measured.
        builds: what was built for it.
        entries: of the journal so far.
        progress: told before each process: what, cells done, cells of the plan.
        pause: how the machine rests.
    """

    plan: Plan
    builds: Builds
    entries: Entries
    progress: Progress
    pause: Pause

    def log(self, what: str) -> None:
        """Tell what begins now."""
        self.progress(what, *self.entries.done_of(self.plan))

    def cool_down(self, *groups: SessionGroup) -> Start | None:
        """Rest as the plan says before groups are measured; how warm it was then."""
        return rest(self.plan.settings, groups, self.pause, self.log)


def measure_rounds(
    plan: Plan, builds: Builds, entries: Entries, progress: Progress, pause: Pause | None = None
) -> Iterator[Entry]:
    """Yield the entries of every round that is still missing.

    The first `rounds` are measured of every group. With a precision more follow, of every group up
    to the first look (stats.stopping) and then of those whose intervals are still too wide, up to
    `max_rounds`. No round is begun that would pass the
    budget.
    """
    run = _Run(plan, builds, entries, progress, pause or Pause())
    if plan.settings.interleave == TURNS:
        open_at_once = [group for group in plan.groups if build_key(group) in builds.artifacts]
        check_room_together([(group, builds.of(group)) for group in open_at_once])
    told = without_sensor(plan.settings, run.pause)
    if told is not None:
        run.log(told)
    start_s, kept = run.pause.clock(), entries.rounds_done(plan)  # those cost nothing now
    settings = plan.settings
    for round_index in range(settings.most_rounds):
        groups = _not_converged(run, round_index)
        if not groups or _budget_is_spent(plan, run.pause.clock() - start_s, round_index - kept):
            return
        one_round = _in_turns if settings.interleave == TURNS else _one_round
        yield from one_round(run, groups, round_index)


def measure_round(
    plan: Plan,
    builds: Builds,
    entries: Entries,
    progress: Progress,
    groups: tuple[SessionGroup, ...],
    round_index: int,
) -> Iterator[Entry]:
    """Yield the entries of one round of some groups of a plan, one process after the other."""
    yield from _one_round(_Run(plan, builds, entries, progress, Pause()), groups, round_index)


def _not_converged(run: _Run, round_index: int) -> tuple[SessionGroup, ...]:
    """The groups that a round is for: all in the first ones, then those that are not precise."""
    settings = run.plan.settings
    if round_index < settings.looks.first or settings.precision is None:
        return run.plan.groups
    return tuple(
        group
        for group in run.plan.groups
        if not all(run.entries.rests(group, test) for test in group.workloads)
        and not is_precise(group, run.builds, run.entries, settings)
    )


def _one_round(run: _Run, groups: tuple[SessionGroup, ...], round_index: int) -> Iterator[Entry]:
    """Each group and each reading of memory once, in this round's order."""
    threads = sorted({group.threads for group in groups if has_peaks(group.device)})
    items: list[SessionGroup | int] = [*groups, *threads]
    missing = [
        item
        for item in shuffled(items, run.plan.settings.seed, round_index)
        if not _is_known(run, item, round_index)
    ]
    for start in range(0, len(missing), AT_ONCE):
        some = missing[start : start + AT_ONCE]
        children = [READER if isinstance(item, int) else Child(item.worker) for item in some]
        with started_together(children) as workers:
            for item, worker in zip(some, workers, strict=True):
                yield from _one_item(run, item, round_index, worker)


def _is_known(run: _Run, item: SessionGroup | int, round_index: int) -> bool:
    if isinstance(item, int):
        return run.entries.has_bandwidth(item, round_index)
    return run.entries.has_group(item, round_index)


def _one_item(
    run: _Run, item: SessionGroup | int, round_index: int, waiting: Worker | None
) -> Iterator[Entry]:
    """A group, or a reading of memory by so many threads, in a process that waits for it."""
    if isinstance(item, int):
        yield from _bandwidth(run, item, round_index, waiting)
        return
    yield from _one_group(run, item, round_index, waiting)


def _in_turns(run: _Run, groups: tuple[SessionGroup, ...], round_index: int) -> Iterator[Entry]:
    """All groups at once, pass by pass; memory is read before them."""
    for count in sorted({group.threads for group in groups if has_peaks(group.device)}):
        yield from _bandwidth(run, count, round_index)
    left = {group.key: run.entries.left_of(group, round_index) for group in groups}
    missing = [group for group in groups if left[group.key]]
    if not missing:
        return
    start = run.cool_down(*missing)
    run.log(f"round {round_index + 1}: {len(missing)} interleaved sessions")
    pairs = [(group, run.builds.of(group)) for group in missing]
    for entry in measure_together(pairs, round_index, run.plan.settings, left):
        yield begun(entry, start)


def begun(entry: Entry, start: Start | None) -> Entry:
    """An entry with how warm the machine was when its process began."""
    if start is None or not isinstance(entry, SamplesEntry):
        return entry
    return structs.replace(entry, start=start)


def _budget_is_spent(plan: Plan, elapsed_s: float, rounds_done: int) -> bool:
    """Whether another round of the usual length would pass the budget; the first always runs.

    Args:
        plan: holds the budget.
        elapsed_s: since this process began its first round.
        rounds_done: rounds that this process has measured.
    """
    if plan.settings.budget is None or rounds_done <= 0:
        return False
    return elapsed_s * (rounds_done + 1) / rounds_done > plan.settings.budget


def _bandwidth(
    run: _Run, threads: int, round_index: int, waiting: Worker | None = None
) -> Iterator[Entry]:
    if run.entries.has_bandwidth(threads, round_index):
        return
    try:
        reply = measure_read_bandwidth(
            threads, BANDWIDTH_SECONDS, run.plan.settings.timeout, waiting
        )
    except WorkerError as error:  # the rows stay; the environment says why estimates are missing
        yield NoBandwidthEntry(threads=threads, reason=error.problem)
        return
    yield BandwidthEntry(threads=threads, round=round_index, reply=reply)


def _one_group(
    run: _Run, group: SessionGroup, round_index: int, waiting: Worker | None
) -> Iterator[Entry]:
    """What a round lacks of a group; behind a test that lost the worker, in another one."""
    left, artifact = run.entries.left_of(group, round_index), run.builds.of(group)
    before: tuple[Workload, ...] = ()
    while left and left != before:
        before = left
        start = run.cool_down(group)
        run.log(f"round {round_index + 1}: {group.key}")
        try:
            refuse_without_room(group, artifact)
            settings = run.plan.settings
            for entry in measure_group(group, artifact, round_index, settings, waiting, left):
                yield begun(entry, start)
                left = tuple(test for test in left if test.name != entry.workload)
        except WorkerError as error:
            yield lost_entry(group, None, round_index, error)
            return
        waiting = None
