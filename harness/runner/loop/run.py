"""Plan -> entries, one by one on disk -> one results document. The only loop that measures."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex

from harness.core.environment import telemetry_as
from harness.core.errors import (
    EXIT_CELLS,
    EXIT_DEVICE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    HarnessError,
    StorageError,
    WorkerError,
)
from harness.core.findings import Progress
from harness.core.progress import tell_detail, wants_details
from harness.machine.watch.sole import sole_measurement
from harness.results.elsewhere import write_or_elsewhere
from harness.results.entries import AgreementEntry, Entry, MemoryEntry, ProfileEntry
from harness.results.enums import Status
from harness.results.journal import Journal, prepare_results_folder
from harness.results.losses import FailureEntry, LostEntry, NoMemoryEntry
from harness.results.progress import FINISHED, command_line, without_places
from harness.results.replies import Profile
from harness.results.schema import Document
from harness.runner.loop.assemble import assemble
from harness.runner.loop.builds import Builds, build_all, build_key, changed_groups, stamps
from harness.runner.loop.calibration import calibrations, pulse_graphs
from harness.runner.loop.details import detail_of, first_details
from harness.runner.loop.effort import progress_of
from harness.runner.loop.entries import Entries
from harness.runner.loop.finished import numbers_of
from harness.runner.loop.held_against import hold_against, is_held
from harness.runner.loop.memory_passes import memory_passes
from harness.runner.loop.once import compile_models, step_checks
from harness.runner.loop.partial import outline
from harness.runner.loop.quality import check_texts, qualities
from harness.runner.loop.resume import open_journal
from harness.runner.loop.rounds import measure_rounds
from harness.runner.loop.session import (
    check_agreement,
    failure_entry,
    measure_profile,
)
from harness.runner.loop.spent import Spent
from harness.runner.loop.standing import Board, Standings, nobody, standings_of
from harness.runner.loop.sustain import sustained_tests
from harness.runner.plan import Plan, SessionGroup
from harness.store.artifact import Artifact

# Ends of a worker that may have been chance, so that it is asked once more.
LOST = (Status.CRASHED, Status.TIMEOUT, Status.OUT_OF_MEMORY)
# The last step of a row, or what it lacks of one.
Finished = MemoryEntry | NoMemoryEntry | FailureEntry | LostEntry


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves.

    Attributes:
        document: everything that was measured.
        path: where it lies.
        exit_code: how the command should end.
        lost: what became of the results folder, and where the document lies instead; None: it
            lies there.
        damaged: a sentence for each line of the journal that could not be read, and whose content
            was measured again.
    """

    document: Document
    path: Path
    exit_code: int
    lost: StorageError | None = None
    damaged: tuple[str, ...] = ()


def run_plan(
    plan: Plan,
    *,
    results: Path,
    cache: Path,
    progress: Progress,
    resume: bool = False,
    command: Sequence[str] = (),
    wait_s: float | None = None,
    board: Board = nobody,
) -> Outcome:
    """Measure every cell of `plan`; an interrupt keeps what was finished.

    Args:
        plan: what to measure.
        results: folder of the document and, until the run is whole, of its journal.
        cache: of built models and hardware peaks.
        progress: told what begins, and how many entries are done of how many; of builds, MiB.
        resume: go on with the newest unfinished run of the same plan.
        command: words of the one that would go on with this run, for its document; empty: not
            known.
        wait_s: longest wait for another measurement on the same devices; None: until it ends.
        board: told where every cell is, after each entry that moves one.

    Returns:
        What was measured, also where the results folder was lost meanwhile.

    Raises:
        HarnessError: before anything is measured: results folder, models, disk, context.
    """
    with telemetry_as(plan.settings.telemetry):
        return _run(plan, results, cache, progress, resume, command, wait_s, board)


def _run(
    plan: Plan,
    results: Path,
    cache: Path,
    progress: Progress,
    resume: bool,
    command: Sequence[str],
    wait_s: float | None,
    board: Board,
) -> Outcome:
    """See run_plan."""
    prepare_results_folder(results)
    start_s = time.monotonic()
    builds = build_all(plan, cache, progress)
    check_texts(plan, builds)
    built_s = time.monotonic() - start_s
    damaged: list[str] = []
    journal, entries = open_journal(
        plan, builds, results, resume, new_run_id(), utc_now(), log=damaged.append
    )
    if damaged:
        progress(" ".join(damaged), *entries.done_of(plan))
    for line in first_details(plan, entries.header.environment) if wants_details() else ():
        tell_detail(line)
    words = command_line(without_places(command))
    before, spent = stamps(builds), Spent(token_hex(4), built_s)
    with journal:
        found = _measure(plan, builds, entries, cache, progress, words, wait_s, spent)
        told = partial(_tell, plan, entries, progress, standings_of(plan, entries, board))
        stopped = keep_entries(spent.beside(found), journal, entries, told)
        _keep_times(spent, journal, entries)
        interrupted = isinstance(stopped, KeyboardInterrupt)
        changed = changed_groups(plan, builds, before)
        came = progress_of(plan, entries, stopped is not None, words)
        document = assemble(plan, builds, entries, changed, came)
    path, lost = write_or_elsewhere(document, results / f"{document.run_id}.json")
    if lost is None and isinstance(stopped, StorageError):
        lost = stopped  # the folder is there again: the document lies in it, and is not whole
    code = EXIT_STORAGE if lost else exit_code(plan, entries)
    if stopped is None and lost is None and not entries.exit_codes():
        with suppress(OSError):
            journal.path.unlink()
    code = EXIT_INTERRUPTED if interrupted else code
    return Outcome(document, path, code, lost, tuple(damaged))


def _tell(
    plan: Plan,
    entries: Entries,
    progress: Progress,
    standings: Standings | None,
    entry: Entry,
) -> None:
    if standings is not None:
        standings.saw(entry)
    if wants_details() and (line := detail_of(entry)):
        tell_detail(line)
    if isinstance(entry, Finished):
        progress(finished_row(entry, entries), *entries.done_of(plan))


def keep_entries(
    found: Generator[Entry],
    journal: Journal,
    entries: Entries,
    told: Callable[[Entry], None] = lambda _: None,
) -> BaseException | None:
    """Keep every entry in memory and on the disk; what ended that too early, else None.

    Args:
        found: measures while it is asked for entries.
        journal: of the run.
        entries: what is known, to which each is added before the next is asked for.
        told: called with each once it is on the disk.
    """
    try:
        with closing(found):
            for entry in found:
                entries.add(entry)  # first: an interrupt while it is written loses nothing
                journal.append(entry)
                told(entry)
    except KeyboardInterrupt as interrupt:
        return interrupt
    except HarnessError as error:  # of a disk, say: what was measured before is kept
        if not entries.tests or not isinstance(error, StorageError):
            raise
        return error
    return None


def _keep_times(spent: Spent, journal: Journal, entries: Entries) -> None:
    """Keep how long this sitting took, also where the disk does not take it any more."""
    for one in spent.so_far():
        entries.add(one)
        with suppress(StorageError):
            journal.append(one)


def finished_row(entry: Finished, entries: Entries) -> str:
    """What a log is told of a row that is measured, with its numbers, or lacks something, and why.

    Args:
        entry: the last one of its row, or what it lacks.
        entries: of the journal, that one among them.
    """
    row = f"{FINISHED}{entry.group} {entry.workload or ''}".rstrip()
    if isinstance(entry, MemoryEntry):
        return ": ".join(filter(None, (row, numbers_of(entry, entries))))
    what = f"lost in round {entry.round + 1}: " if isinstance(entry, LostEntry) else ""
    return f"{row}: {what}{entry.status}: {entry.reason.partition('; try: ')[0]}"


def exit_code(plan: Plan, entries: Entries) -> int:
    """0, 3 when cells failed or lack rounds, or 4 when the only session group has no device."""
    codes = entries.exit_codes()
    if not codes:
        return EXIT_OK
    return EXIT_DEVICE if len(plan.groups) == 1 and EXIT_DEVICE in codes else EXIT_CELLS


def new_run_id() -> str:
    """A name that sorts by time and never meets another: run-20261122-101500-1a2b."""
    return f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(2)}"


def utc_now() -> str:
    """The wall clock, for the record only; no duration is taken from it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _measure(
    plan: Plan,
    builds: Builds,
    entries: Entries,
    cache: Path,
    progress: Progress,
    command: str,
    wait_s: float | None,
    spent: Spent,
) -> Generator[Entry]:
    """Yield what is still missing: what must be measured alone, then quality."""
    kinds = {group.device.row.kind for group in plan.groups}

    def log(line: str) -> None:
        progress(line, *entries.done_of(plan))

    with sole_measurement(cache, kinds, "bench run", wait_s, log):
        yield from _measure_alone(plan, builds, entries, cache, progress, command, spent)
    yield from spent.phase("quality", qualities(plan, builds, entries, log))


def _measure_alone(
    plan: Plan,
    builds: Builds,
    entries: Entries,
    cache: Path,
    progress: Progress,
    command: str,
    spent: Spent,
) -> Iterator[Entry]:
    """Yield failed builds, peaks, outline, rounds, memory, profiles."""
    for group in plan.groups:
        error = builds.failures.get(build_key(group))
        if error is not None:
            yield failure_entry(group, None, error)
    peaks = calibrations(plan, entries, cache, lambda line: progress(line, 0, 0))
    yield from spent.phase("calibration", peaks)
    if entries.outline is None:  # once the peaks are there, which the estimates stand on
        yield outline(plan, builds, entries, command)
    yield from compile_models(plan, builds, entries, progress)
    yield from agreements(plan, builds, entries, cache, progress)
    yield from step_checks(plan, builds, entries)
    graphs = pulse_graphs(plan, entries, cache)
    rounds = measure_rounds(plan, builds, entries, progress, graphs=graphs)
    yield from spent.phase("rounds", rounds)
    yield from spent.phase("memory", memory_passes(plan, builds, entries, progress))
    yield from sustained_tests(plan, builds, entries, progress)
    if plan.settings.profile:
        yield from _profiles(plan, builds, entries, progress)


def agreements(
    plan: Plan, builds: Builds, entries: Entries, cache: Path, progress: Progress
) -> Iterator[Entry]:
    """Compare every device but the CPU with it, and static and GGUF models with fused ones.

    One that computes something else has no rows.
    """
    for group in plan.groups:
        known = group.key in entries.agreements or (group.key, None) in entries.failures
        fused = None if group.shapes is None else builds.fused.get(group.source.argument)
        held = is_held(group)
        if known or (group.device.row.is_host and fused is None and not held):
            continue
        progress(f"checking: {group.key}", *entries.done_of(plan))

        def check(group: SessionGroup = group, fused: Artifact | None = fused) -> AgreementEntry:
            if is_held(group):
                found = hold_against(group, builds.of(group), cache, plan.settings)
                return AgreementEntry(group=group.key, found=found)
            return check_agreement(group, builds.of(group), plan.settings, fused)

        try:
            yield _again(check)
        except WorkerError as error:
            yield failure_entry(group, None, error)


def _again(check: Callable[[], AgreementEntry]) -> AgreementEntry:
    """Ask once more where the worker was lost."""
    try:
        return check()
    except WorkerError as error:
        if error.status not in LOST:
            raise
        return check()


def _profiles(plan: Plan, builds: Builds, entries: Entries, progress: Progress) -> Iterator[Entry]:
    """Where the time of each cell goes; a profile that cannot be taken costs nothing else."""
    for group in plan.groups:
        for workload in group.workloads:
            key = (group.key, workload.name)
            if key in entries.profiles or entries.failure_of(group, workload):
                continue
            progress(f"profile: {group.key} {workload.name}", *entries.done_of(plan))
            try:
                found = measure_profile(group, builds.of(group), workload, plan.settings)
            except WorkerError as error:
                found = Profile(reason=f"{error.problem}; try: {error.fix}")
            yield ProfileEntry(group=group.key, workload=workload.name, found=found)
