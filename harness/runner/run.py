"""Plan -> entries, one by one on disk -> one results document. The only loop that measures."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from harness.artifacts.artifact import Artifact
from harness.ceilings.bandwidth import measure_read_bandwidth
from harness.errors import EXIT_CELLS, EXIT_DEVICE, EXIT_INTERRUPTED, EXIT_OK, WorkerError
from harness.plan import Plan, SessionGroup
from harness.results.document import write_document
from harness.results.journal import prepare_results_folder
from harness.results.schema import Document
from harness.runner.assemble import assemble
from harness.runner.builds import Builds, build_all, build_key
from harness.runner.ceilings import calibrations, has_ceilings
from harness.runner.entries import Entries
from harness.runner.files import changed_groups, stamps
from harness.runner.order import shuffled
from harness.runner.quality import check_texts, qualities
from harness.runner.resume import open_journal
from harness.runner.room import refuse_without_room
from harness.runner.session import (
    check_agreement,
    measure_group,
    measure_memory,
    measure_profile,
)

Json = dict[str, Any]
Progress = Callable[[str, int, int], None]
# One process's share of the bandwidth ceiling, in every round beside the rows it is compared with.
BANDWIDTH_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves: the document, where it lies, and how the command should end."""

    document: Document
    path: Path
    exit_code: int


def run_plan(
    plan: Plan, *, results: Path, cache: Path, progress: Progress, resume: bool = False
) -> Outcome:
    """Measure every cell of `plan`; an interrupt keeps what was finished.

    Raises:
        HarnessError: before anything is measured: results folder, models, disk, context.
    """
    prepare_results_folder(results)
    progress("building", 0, plan.cell_count)
    builds = build_all(plan, cache)
    check_texts(plan, builds)
    journal, entries = open_journal(plan, builds, results, resume, new_run_id(), utc_now())
    interrupted = False
    before = stamps(builds)
    with journal:
        try:
            for entry in _measure(plan, builds, entries, cache, progress):
                journal.append(entry)
                entries.add(entry)
        except KeyboardInterrupt:
            interrupted = True
        document = assemble(plan, builds, entries, changed_groups(plan, builds, before))
    path = results / f"{document.run_id}.json"
    write_document(document, path)
    if not interrupted:
        journal.path.unlink()
    return Outcome(document, path, EXIT_INTERRUPTED if interrupted else exit_code(plan, entries))


def exit_code(plan: Plan, entries: Entries) -> int:
    """0, 3 when cells failed, or 4 when the only session group failed for its device."""
    codes = [failure["exit_code"] for failure in entries.failures.values()]
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
    plan: Plan, builds: Builds, entries: Entries, cache: Path, progress: Progress
) -> Iterator[Json]:
    """Yield what is still missing: failed builds, ceilings, rounds, memory, quality."""
    for group in plan.groups:
        error = builds.failures.get(build_key(group))
        if error is not None:
            yield _failure(group, None, error)
    yield from calibrations(plan, entries, cache, lambda line: progress(line, 0, plan.cell_count))
    yield from _agreements(plan, builds, entries, progress)
    yield from _rounds(plan, builds, entries, progress)
    for group in plan.groups:
        yield from _memory(plan, group, builds, entries, progress)
    if plan.settings.profile:
        yield from _profiles(plan, builds, entries, progress)
    yield from qualities(plan, builds, entries, lambda line: progress(line, *entries.done_of(plan)))


def _agreements(plan: Plan, builds: Builds, entries: Entries, progress: Progress) -> Iterator[Json]:
    """Hold every device but the CPU against it; one that computes something else has no rows."""
    for group in plan.groups:
        known = group.key in entries.agreements or (group.key, None) in entries.failures
        if known or group.device.row.is_host:
            continue
        progress(f"checking: {group.key}", *entries.done_of(plan))
        try:
            yield check_agreement(group, builds.of(group), plan.settings)
        except WorkerError as error:
            yield _failure(group, None, error)


def _rounds(plan: Plan, builds: Builds, entries: Entries, progress: Progress) -> Iterator[Json]:
    start_s = time.monotonic()
    kept = entries.rounds_done(plan)  # of the run that is gone on with; they cost nothing now
    for round_index in range(plan.settings.rounds):
        if _budget_is_spent(plan, start_s, round_index - kept):
            return
        threads = sorted({g.threads for g in plan.groups if has_ceilings(g.device)})
        items: list[SessionGroup | int] = [*plan.groups, *threads]
        for item in shuffled(items, plan.settings.seed, round_index):
            if isinstance(item, int):
                yield from _bandwidth(item, round_index, plan, entries)
            elif not entries.has_group(item, round_index):
                progress(f"round {round_index + 1}: {item.key}", *entries.done_of(plan))
                yield from _one_group(item, builds.of(item), round_index, plan)


def _budget_is_spent(plan: Plan, start_s: float, rounds_done: int) -> bool:
    """Whether another round of the usual length would pass the budget; the first always runs.

    Args:
        plan: holds the budget.
        start_s: when this process began its first round.
        rounds_done: rounds that this process has measured.
    """
    if plan.settings.budget is None or rounds_done <= 0:
        return False
    elapsed_s = time.monotonic() - start_s
    return elapsed_s * (rounds_done + 1) / rounds_done > plan.settings.budget


def _bandwidth(threads: int, round_index: int, plan: Plan, entries: Entries) -> Iterator[Json]:
    if entries.has_bandwidth(threads, round_index):
        return
    try:
        reply = measure_read_bandwidth(threads, BANDWIDTH_SECONDS, plan.settings.timeout)
    except WorkerError as error:  # the rows stay; the environment says why estimates are missing
        yield {"kind": "no_bandwidth", "threads": threads, "reason": error.problem}
        return
    yield {"kind": "bandwidth", "threads": threads, "round": round_index, "reply": reply}


def _one_group(
    group: SessionGroup, artifact: Artifact, round_index: int, plan: Plan
) -> Iterator[Json]:
    try:
        refuse_without_room(group, artifact)
        yield from measure_group(group, artifact, round_index, plan.settings)
    except WorkerError as error:
        yield _failure(group, None, error)


def _memory(
    plan: Plan, group: SessionGroup, builds: Builds, entries: Entries, progress: Progress
) -> Iterator[Json]:
    for workload in group.workloads:
        if entries.has_memory(group, workload):
            continue
        progress(f"memory: {group.key} {workload.name}", *entries.done_of(plan))
        try:
            refuse_without_room(group, builds.of(group))
            yield measure_memory(group, builds.of(group), workload, plan.settings)
        except WorkerError as error:
            yield _failure(group, workload.name, error)


def _profiles(plan: Plan, builds: Builds, entries: Entries, progress: Progress) -> Iterator[Json]:
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
                found = {"reason": f"{error.problem}; try: {error.fix}"}
            head = {"kind": "profile", "group": group.key, "workload": workload.name}
            yield {**head, "found": found}


def _failure(group: SessionGroup, workload: str | None, error: WorkerError) -> Json:
    return {
        "kind": "failure",
        "group": group.key,
        "workload": workload,
        "status": error.status,
        "reason": f"{error.problem}; try: {error.fix}",
        "exit_code": error.exit_code,
    }
