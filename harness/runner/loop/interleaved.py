"""One round of several groups in live workers, interleaved pass by pass.

Whole processes one after the other see different minutes of a busy machine; passes in turn see the
same one, so that ratios between groups are far sharper (docs/method.md, "Paired A/B, interleaved").
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from harness.core.errors import UsageError, WorkerError
from harness.core.units import MIB
from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.machine.watch.free_memory import free_memory_bytes
from harness.machine.watch.probes import difference, snapshot
from harness.results.enums import Kind
from harness.runner.loop.memory_limit import least_bytes
from harness.runner.loop.order import shuffled
from harness.runner.loop.pinning import drawn_cores, pin_worker
from harness.runner.loop.session import (
    failure_entry,
    open_group,
    sample_test,
    warm_test,
)
from harness.runner.plan import SessionGroup
from harness.runner.settings import Settings
from harness.store.exported_artifact import AnyArtifact

Json = dict[str, Any]
Opened = dict[str, tuple[SessionGroup, Worker, Json]]  # by the group's key
SUMS = ("cpu_ns", "major_faults", "involuntary_switches")


def check_room_together(groups: Sequence[tuple[SessionGroup, AnyArtifact]]) -> None:
    """Refuse groups whose sessions do not fit memory at the same time.

    Raises:
        UsageError: with both numbers.
    """
    needed = sum(least_bytes(group, artifact) for group, artifact in groups)
    free = free_memory_bytes()
    if free is not None and needed > free:
        raise UsageError(
            f"--interleave turns keeps {len(groups)} sessions open, which need "
            f"{needed / MIB:,.0f} MiB at least; {free / MIB:,.0f} MiB are free",
            fix="fewer models, levels or devices at once, or --interleave rounds",
        )


def measure_together(
    groups: Sequence[tuple[SessionGroup, AnyArtifact]], round_index: int, settings: Settings
) -> Iterator[Json]:
    """Yield one journal entry per finished test of each group, as measure_group does of one.

    The order of starts, tests and of every turn is drawn. A group that fails leaves the others.

    Args:
        groups: with their built models.
        round_index: of the round.
        settings: timed part per test and group, warm-up, seed, time limit.
    """
    cores = drawn_cores(settings.seed, round_index)
    with ExitStack() as stack:
        opened: Opened = {}
        for group, artifact in shuffled(groups, settings.seed, round_index, "starts"):
            worker = stack.enter_context(Worker.start(group.worker))
            pin_worker(worker, group, cores)
            try:
                reply = open_group(worker, group, artifact, settings.seed, settings.timeout, True)
            except WorkerError as error:
                yield failure_entry(group, None, error)
                continue
            opened[group.key] = group, worker, reply
        tests = dict.fromkeys(test for group, _ in groups for test in group.workloads)
        for position, test in enumerate(shuffled(list(tests), settings.seed, round_index)):
            for entry in _one_test(opened, test, round_index, settings):
                yield {**entry, "order": position} if entry["kind"] == "test" else entry


def _one_test(
    opened: Opened, test: Workload, round_index: int, settings: Settings
) -> Iterator[Json]:
    """One test of every open group that has it, interleaved; a group that fails leaves `opened`."""
    mine = {key: one for key, one in opened.items() if test in one[0].workloads}
    warm: dict[str, Json] = {}
    for key, (group, worker, _) in list(mine.items()):
        try:
            warm[key] = warm_test(worker, test, settings)
        except WorkerError as error:
            yield _lost(opened, mine, group, error)
    before, parent_ns = snapshot(), time.process_time_ns()
    replies: dict[str, list[Json]] = {key: [] for key in mine}
    end_s, turn = time.monotonic() + settings.sample_seconds * len(mine), 0
    while mine and (turn < max(settings.min_passes, 1) or time.monotonic() < end_s):
        for key in shuffled(list(mine), settings.seed, round_index, test.name, turn):
            group, worker, _ = mine[key]
            try:
                replies[key].append(sample_test(worker, test, settings.timeout, 1, 0.0))
            except WorkerError as error:
                yield _lost(opened, mine, group, error)
        turn += 1
    samples = {key: merge(replies[key], test) for key in mine}
    own_ns = time.process_time_ns() - parent_ns + sum(one["cpu_ns"] for one in samples.values())
    watch = asdict(difference(before, snapshot(), own_ns))
    for key, (group, _, reply) in mine.items():
        yield {
            "kind": "test",
            "group": group.key,
            "workload": test.name,
            "round": round_index,
            "open": reply,
            "warm": warm[key],
            "sample": samples[key],
            "watch": watch,
            "energy": None,  # one counter for all interleaved sessions
        }


def merge(replies: Sequence[Json], test: Workload) -> Json:
    """Several replies to `sample` as one; lists go on, counts add up.

    Of a decode test the first step after another's turn does not count: it finds other weights in
    the caches than its own.
    """
    whole: Json = {"finite": all(reply["finite"] for reply in replies)}
    whole["digest"] = replies[-1]["digest"]
    for name in SUMS:
        parts = [reply[name] for reply in replies]
        whole[name] = None if None in parts else sum(parts)
    for name in (name for name in replies[0] if name.endswith("_ns") and name not in SUMS):
        whole[name] = [value for reply in replies for value in reply[name]]
    if test.kind is Kind.DECODE and test.gen_tokens > 1:
        whole["itl_ns"] = [steps[1:] for steps in whole["itl_ns"]]
    return whole


def _lost(opened: Opened, mine: Opened, group: SessionGroup, error: WorkerError) -> Json:
    """A group that failed: it takes no further turn in this round."""
    del opened[group.key], mine[group.key]
    return failure_entry(group, None, error)
