"""One round of several groups in live workers, interleaved pass by pass.

Whole processes one after the other see different minutes of a busy machine; passes in turn see the
same one, so that ratios between groups are far sharper (docs/method.md, "Paired A/B, interleaved").
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain

from harness.core.errors import UsageError, WorkerError
from harness.core.units import MIB
from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.machine.watch.free_memory import free_memory_bytes
from harness.machine.watch.probes import difference, snapshot
from harness.results.entries import SamplesEntry
from harness.results.enums import Kind
from harness.results.losses import LostEntry
from harness.results.replies import Opened, Sample, Warmed
from harness.runner.loop.limits import open_limit, sample_limit
from harness.runner.loop.memory_limit import least_bytes
from harness.runner.loop.order import shuffled
from harness.runner.loop.pinning import drawn_cores, pin_worker
from harness.runner.loop.session import (
    first_test,
    lost_entry,
    open_group,
    sample_test,
    warm_test,
)
from harness.runner.plan import SessionGroup
from harness.runner.settings import Settings
from harness.store.exported import AnyArtifact

Sessions = dict[str, tuple[SessionGroup, Worker, Opened]]  # by the group's key


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
    groups: Sequence[tuple[SessionGroup, AnyArtifact]],
    round_index: int,
    settings: Settings,
    left: Mapping[str, Collection[Workload]],
) -> Iterator[SamplesEntry | LostEntry]:
    """Yield one journal entry per finished test of each group, as measure_group does of one.

    The order of starts, tests and of every turn is drawn. A group that loses its worker leaves the
    others; its next test has another one.

    Args:
        groups: with their built models.
        round_index: of the round.
        settings: timed part per test and group, warm-up, seed, time limit.
        left: the tests that are wanted, by the group's key.
    """
    cores = drawn_cores(settings.seed, round_index)
    starts = shuffled(groups, settings.seed, round_index, "starts")
    gone: set[str] = set()  # groups that did not open
    with ExitStack() as stack:
        opened: Sessions = {}
        tests = dict.fromkeys(test for group, _ in groups for test in group.workloads)
        for position, test in enumerate(shuffled(list(tests), settings.seed, round_index)):
            for group, artifact in starts:
                wanted = not position or test in left[group.key]
                if not wanted or group.key in {*opened, *gone}:
                    continue
                worker = stack.enter_context(Worker.start(group.worker))
                pin_worker(worker, group, cores)
                try:
                    opened[group.key] = group, worker, _open(worker, group, artifact, settings)
                except WorkerError as error:
                    gone.add(group.key)
                    yield lost_entry(group, None, round_index, error)
            mine = {key: one for key, one in opened.items() if test in left[key]}
            yield from _one_test(opened, mine, test, round_index, position, settings)


def _open(worker: Worker, group: SessionGroup, artifact: AnyArtifact, settings: Settings) -> Opened:
    """Open the session of a group whose worker takes turns with others."""
    limit_s = open_limit(group, settings, first_test(group.workloads))
    return open_group(worker, group, artifact, settings.seed, limit_s, True)


def _one_test(
    opened: Sessions,
    mine: Sessions,
    test: Workload,
    round_index: int,
    position: int,
    settings: Settings,
) -> Iterator[SamplesEntry | LostEntry]:
    """One test of every open group that lacks it, in turns; one that is lost leaves `opened`."""
    lost = _leaving(opened, mine, test, round_index)
    warm: dict[str, Warmed] = {}
    for key, (group, worker, _) in list(mine.items()):
        try:
            warm[key] = warm_test(worker, group, test, settings)
        except WorkerError as error:
            yield lost(group, error)
    before, parent_ns = snapshot(), time.process_time_ns()
    replies: dict[str, list[Sample]] = {key: [] for key in mine}
    limits = {key: sample_limit(one[0], settings, test) for key, one in mine.items()}
    end_s, turn = time.monotonic() + settings.sample_seconds * len(mine), 0
    while mine and (turn < max(settings.min_passes, 1) or time.monotonic() < end_s):
        for key in shuffled(list(mine), settings.seed, round_index, test.name, turn):
            group, worker, _ = mine[key]
            try:
                replies[key].append(sample_test(worker, test, limits[key], 1, 0.0))
            except WorkerError as error:
                yield lost(group, error)
        turn += 1
    samples = {key: merge(replies[key], test) for key in mine}
    own_ns = time.process_time_ns() - parent_ns + sum(one.cpu_ns for one in samples.values())
    watch = difference(before, snapshot(), own_ns)
    for key, (group, _, reply) in mine.items():
        yield SamplesEntry(
            group=group.key,
            workload=test.name,
            round=round_index,
            order=position,
            open=reply,
            warm=warm[key],
            sample=samples[key],
            watch=watch,  # without energy: one counter for all who take turns
        )


def merge(replies: Sequence[Sample], test: Workload) -> Sample:
    """Several replies to `sample` as one; lists go on, counts add up.

    Of a decode test the first step after another's turn does not count: it finds other weights in
    the caches than its own.
    """
    steps = tuple(one for reply in replies for one in reply.itl_ns)
    if test.kind is Kind.DECODE and test.gen_tokens > 1:
        steps = tuple(one[1:] for one in steps)
    kept = [reply.cached_tokens for reply in replies if reply.cached_tokens is not None]
    return Sample(
        prefill_ns=tuple(chain.from_iterable(reply.prefill_ns for reply in replies)),
        ttft_ns=tuple(chain.from_iterable(reply.ttft_ns for reply in replies)),
        itl_ns=steps,
        e2e_ns=tuple(chain.from_iterable(reply.e2e_ns for reply in replies)),
        encode_ns=tuple(chain.from_iterable(reply.encode_ns for reply in replies)),
        cpu_ns=sum(reply.cpu_ns for reply in replies),
        major_faults=_sum(reply.major_faults for reply in replies),
        involuntary_switches=_sum(reply.involuntary_switches for reply in replies),
        finite=all(reply.finite for reply in replies),
        digest=replies[-1].digest,
        cached_tokens=max(kept, default=None),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    """A sum; of a part that nobody counted nothing is known."""
    parts = list(counts)
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _leaving(
    opened: Sessions, mine: Sessions, test: Workload, round_index: int
) -> Callable[[SessionGroup, WorkerError], LostEntry]:
    """A function: a group that lost its worker takes no further turn of this test."""

    def lost(group: SessionGroup, error: WorkerError) -> LostEntry:
        del opened[group.key], mine[group.key]
        return lost_entry(group, test.name, round_index, error)

    return lost
