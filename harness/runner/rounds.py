"""Rounds: every group once, in shuffled order, until the plan, its precision or its budget ends."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.artifacts.foreign_artifact import AnyArtifact
from harness.ceilings.bandwidth import measure_read_bandwidth
from harness.errors import WorkerError
from harness.plan import Plan, SessionGroup
from harness.runner.builds import Builds, build_key
from harness.runner.ceilings import has_ceilings
from harness.runner.effort import is_precise
from harness.runner.entries import Entries
from harness.runner.order import shuffled
from harness.runner.room import refuse_without_room
from harness.runner.session import failure_entry, measure_group
from harness.runner.together import check_room_together, measure_together
from harness.settings import TURNS

Json = dict[str, Any]
Progress = Callable[[str, int, int], None]
# One process's share of the bandwidth ceiling, in every round beside the rows it is compared with.
BANDWIDTH_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Pause:
    """How the machine rests between processes.

    Attributes:
        sleep: for so many seconds.
        clock: monotonic, in seconds.
    """

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


def measure_rounds(
    plan: Plan, builds: Builds, entries: Entries, progress: Progress, pause: Pause | None = None
) -> Iterator[Json]:
    """Yield the entries of every round that is still missing.

    The first `rounds` are measured of every group. With a precision more follow, of the groups
    whose intervals are still too wide, up to `max_rounds`. No round is begun that would pass the
    budget.
    """
    pause = pause or Pause()
    if plan.settings.interleave == TURNS:
        open_at_once = [group for group in plan.groups if build_key(group) in builds.artifacts]
        check_room_together([(group, builds.of(group)) for group in open_at_once])
    start_s, kept = pause.clock(), entries.rounds_done(plan)  # those cost nothing now
    settings = plan.settings
    last = settings.rounds if settings.precision is None else settings.max_rounds
    for round_index in range(max(settings.rounds, last)):
        groups = _restless(plan, builds, entries, round_index)
        if not groups or _budget_is_spent(plan, pause.clock() - start_s, round_index - kept):
            return
        yield from _one_round(plan, groups, round_index, builds, entries, progress, pause)


def _restless(
    plan: Plan, builds: Builds, entries: Entries, round_index: int
) -> tuple[SessionGroup, ...]:
    """The groups that a round is for: all in the first ones, then those that are not precise."""
    precision = plan.settings.precision
    if round_index < plan.settings.rounds or precision is None:
        return plan.groups
    return tuple(
        group
        for group in plan.groups
        if (group.key, None) not in entries.failures
        and not is_precise(group, builds, entries, precision)
    )


def _one_round(
    plan: Plan,
    groups: tuple[SessionGroup, ...],
    round_index: int,
    builds: Builds,
    entries: Entries,
    progress: Progress,
    pause: Pause,
) -> Iterator[Json]:
    """Each group and each reading of memory once, in this round's order."""
    if plan.settings.interleave == TURNS:
        yield from _in_turns(plan, groups, round_index, builds, entries, progress, pause)
        return
    threads = sorted({group.threads for group in groups if has_ceilings(group.device)})
    items: list[SessionGroup | int] = [*groups, *threads]
    for item in shuffled(items, plan.settings.seed, round_index):
        if isinstance(item, int):
            yield from _bandwidth(item, round_index, plan, entries)
        elif not entries.has_group(item, round_index):
            _cool_down(plan, entries, progress, pause)
            progress(f"round {round_index + 1}: {item.key}", *entries.done_of(plan))
            yield from _one_group(item, builds.of(item), round_index, plan)


def _in_turns(
    plan: Plan,
    groups: tuple[SessionGroup, ...],
    round_index: int,
    builds: Builds,
    entries: Entries,
    progress: Progress,
    pause: Pause,
) -> Iterator[Json]:
    """All groups at once, pass by pass; memory is read before them."""
    for count in sorted({group.threads for group in groups if has_ceilings(group.device)}):
        yield from _bandwidth(count, round_index, plan, entries)
    missing = [group for group in groups if not entries.has_group(group, round_index)]
    if not missing:
        return
    _cool_down(plan, entries, progress, pause)
    progress(f"round {round_index + 1}: {len(missing)} sessions take turns", *entries.done_of(plan))
    pairs = [(group, builds.of(group)) for group in missing]
    yield from measure_together(pairs, round_index, plan.settings)


def _cool_down(plan: Plan, entries: Entries, progress: Progress, pause: Pause) -> None:
    """Rest as long as the plan says."""
    if plan.settings.cooldown > 0:
        progress(f"cooling down for {plan.settings.cooldown:g} s", *entries.done_of(plan))
        pause.sleep(plan.settings.cooldown)


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
    group: SessionGroup, artifact: AnyArtifact, round_index: int, plan: Plan
) -> Iterator[Json]:
    try:
        refuse_without_room(group, artifact)
        yield from measure_group(group, artifact, round_index, plan.settings)
    except WorkerError as error:
        yield failure_entry(group, None, error)
