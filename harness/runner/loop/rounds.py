"""Rounds: every group once, in shuffled order, until the plan, its precision or its budget ends."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from harness.core.errors import WorkerError
from harness.core.findings import Progress
from harness.engine.workload import Workload
from harness.estimator.calibration.bandwidth import READER, measure_read_bandwidth
from harness.estimator.calibration.pulse import PULSE_READER, measure_pulse
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

# The longest reading of what the machine does, in every round beside the rows it is compared with,
# and the most that all readings of a round take together.
BANDWIDTH_SECONDS, READINGS_SECONDS = 0.3, 1.0
# A round reads once with each thread count, and more often where it has many groups of it.
GROUPS_A_READING, MOST_READINGS = 3, 3
# Interpreters that are started at once, tens of MiB each: those of the default plan's round.
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Reading:
    """One look at what the machine does, in a process of its own.

    Attributes:
        threads: that it is taken with.
        number: of those of a round, from 0.
        seconds: of timed passes.
    """

    threads: int
    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Run:
    """What every round of a run shares.

    Attributes:
        plan: what is measured.
        builds: what was built for it.
        entries: of the journal so far.
        progress: told before each process: what, cells done, cells of the plan.
        pause: how the machine rests.
        graphs: of the pulse; None: nothing is calibrated, and memory alone is read.
    """

    plan: Plan
    builds: Builds
    entries: Entries
    progress: Progress
    pause: Pause
    graphs: Path | None = None

    def log(self, what: str) -> None:
        """Tell what begins now."""
        self.progress(what, *self.entries.done_of(self.plan))

    def cool_down(self, *groups: SessionGroup) -> Start | None:
        """Rest as the plan says before groups are measured; how warm it was then."""
        return rest(self.plan.settings, groups, self.pause, self.log)


def measure_rounds(
    plan: Plan,
    builds: Builds,
    entries: Entries,
    progress: Progress,
    pause: Pause | None = None,
    graphs: Path | None = None,
) -> Iterator[Entry]:
    """Yield the entries of every round that is still missing.

    The first `rounds` are measured of every group. With a precision more follow, of every group up
    to the first look (stats.stopping) and then of those whose intervals are still too wide, up to
    `max_rounds`. No round is begun that would pass the budget. With the graphs of the pulse each
    reading of memory multiplies and calls too.
    """
    run = _Run(plan, builds, entries, progress, pause or Pause(), graphs)
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
    graphs: Path | None = None,
) -> Iterator[Entry]:
    """Yield the entries of one round of some groups of a plan, one process after the other."""
    run = _Run(plan, builds, entries, progress, Pause(), graphs)
    yield from _one_round(run, groups, round_index)


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


def readings_of(groups: Sequence[SessionGroup]) -> list[_Reading]:
    """Return the readings of a round: by thread count, more where many groups have it."""
    counts = Counter(group.threads for group in groups if has_peaks(group.device))
    numbers = {
        threads: min(max(1, count // GROUPS_A_READING), MOST_READINGS)
        for threads, count in sorted(counts.items())
    }
    seconds = min(BANDWIDTH_SECONDS, READINGS_SECONDS / max(sum(numbers.values()), 1))
    return [
        _Reading(threads, at, seconds) for threads, many in numbers.items() for at in range(many)
    ]


def _one_round(run: _Run, groups: tuple[SessionGroup, ...], round_index: int) -> Iterator[Entry]:
    """Each group and each reading of the machine once, in this round's order."""
    items: list[SessionGroup | _Reading] = [*groups, *readings_of(groups)]
    missing = [
        item
        for item in shuffled(items, run.plan.settings.seed, round_index)
        if not _is_known(run, item, round_index)
    ]
    for start in range(0, len(missing), AT_ONCE):
        some = missing[start : start + AT_ONCE]
        children = [_child(run, item) for item in some]
        with started_together(children) as workers:
            for item, worker in zip(some, workers, strict=True):
                yield from _one_item(run, item, round_index, worker)


def _child(run: _Run, item: SessionGroup | _Reading) -> Child:
    if isinstance(item, _Reading):
        return READER if run.graphs is None else PULSE_READER
    return Child(item.worker)


def _is_known(run: _Run, item: SessionGroup | _Reading, round_index: int) -> bool:
    if isinstance(item, _Reading):
        return run.entries.has_bandwidth(item.threads, round_index, item.number)
    return run.entries.has_group(item, round_index)


def _one_item(
    run: _Run, item: SessionGroup | _Reading, round_index: int, waiting: Worker | None
) -> Iterator[Entry]:
    """A group, or a reading by so many threads, in a process that waits for it."""
    if isinstance(item, _Reading):
        yield from _bandwidth(run, item, round_index, waiting)
        return
    yield from _one_group(run, item, round_index, waiting)


def _in_turns(run: _Run, groups: tuple[SessionGroup, ...], round_index: int) -> Iterator[Entry]:
    """All groups at once, pass by pass; memory is read before them."""
    for reading in readings_of(groups):
        yield from _bandwidth(run, reading, round_index)
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
    run: _Run, reading: _Reading, round_index: int, waiting: Worker | None = None
) -> Iterator[Entry]:
    if _is_known(run, reading, round_index):
        return
    timeout_s, threads = run.plan.settings.timeout, reading.threads
    try:
        if run.graphs is None:
            reply = measure_read_bandwidth(threads, reading.seconds, timeout_s, waiting)
        else:
            reply = measure_pulse(run.graphs, threads, reading.seconds, timeout_s, waiting)
    except WorkerError as error:  # the rows stay; the environment says why estimates are missing
        yield NoBandwidthEntry(threads=threads, reason=error.problem)
        return
    yield BandwidthEntry(threads=threads, round=round_index, reading=reading.number, reply=reply)


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
