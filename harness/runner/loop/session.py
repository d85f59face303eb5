"""One session group in one fresh worker process: open, warm and sample each test, close."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from msgspec import structs

from harness.core.errors import WorkerError
from harness.devices.compiled import compiled_folder, read_compiled
from harness.devices.device import SentDevice
from harness.engine.shapes import FusedGraph, ShapeFields, shapes_json
from harness.engine.workload import Workload
from harness.machine.meters.energy import energy_used, read_energy
from harness.machine.process.worker import Worker
from harness.machine.watch.energy_proof import proofs_here
from harness.machine.watch.probes import difference, snapshot
from harness.results.entries import AgreementEntry, MemoryEntry, SamplesEntry
from harness.results.enums import Kind, Status
from harness.results.losses import FailureEntry, LostEntry, NoMemoryEntry
from harness.results.replies import (
    Agreement,
    Done,
    EnergyUsed,
    Hardware,
    MemoryTaken,
    NextMemory,
    Opened,
    Profile,
    Sample,
    Warmed,
    WatchInterval,
)
from harness.runner.loop.limits import LEAST_S, open_limit, sample_limit, warm_limit
from harness.runner.loop.order import shuffled
from harness.runner.plan import SessionGroup
from harness.runner.plan.runtimes import ORT
from harness.runner.settings import Settings
from harness.store.artifact import Artifact
from harness.store.exported import AnyArtifact

WORKER_MODULE = "harness.engine.worker"


class SessionArguments(TypedDict):
    """What every command is told that opens a session."""

    graph: str
    geometry: ShapeFields
    device: SentDevice
    threads: int
    batch: int
    seed: int


class Timed(TypedDict):
    """What is known of a timed part, as fields of an entry."""

    warm: Warmed
    sample: Sample
    watch: WatchInterval
    energy: EnergyUsed


def measure_group(
    group: SessionGroup,
    artifact: AnyArtifact,
    round_index: int,
    settings: Settings,
    waiting: Worker | None = None,
    left: Collection[Workload] | None = None,
) -> Iterator[SamplesEntry | LostEntry]:
    """Yield one journal entry per finished test of `group`, in this round's order.

    Every test is warmed at its own shape in the process that samples it. The machine is read
    before and after the timed part, from here, so that the worker is not disturbed. A test that
    loses the worker is the last one that is yielded.

    Args:
        group: device, threads, batch and tests.
        artifact: the built model.
        round_index: of the round.
        settings: of the plan.
        waiting: a fresh worker of the group's module; None: one is started.
        left: the tests that are wanted of it; None: all.

    Raises:
        WorkerError: the child failed, died, hung or ran out of memory before its first test.
    """
    tests = shuffled(group.workloads, settings.seed, round_index, group.key)
    proofs_here()  # before anything is opened: the machine is idle now
    with waiting or Worker.start(group.worker) as worker:
        limit_s = open_limit(group, settings, first_test(group.workloads))
        opened = open_group(worker, group, artifact, settings.seed, limit_s)
        for position, workload in enumerate(tests):
            if left is not None and workload not in left:
                continue
            try:
                timed = _one_test(worker, group, workload, settings, opened.hardware)
            except WorkerError as error:
                yield lost_entry(group, workload.name, round_index, error)
                return
            yield SamplesEntry(
                group=group.key,
                workload=workload.name,
                round=round_index,
                order=position,
                open=opened,
                **timed,
            )
        with suppress(WorkerError):  # everything is measured
            worker.ask("close", LEAST_S, Done)


def measure_memory(
    group: SessionGroup,
    artifact: AnyArtifact,
    tests: Sequence[Workload],
    settings: Settings,
    log: Callable[[Workload], None],
) -> Iterator[MemoryEntry]:
    """Take the memory of tests of one session in one worker, in which nothing is timed.

    Args:
        group: device, threads, batch.
        artifact: the built model.
        tests: the one that takes least first; those behind it are left out where the process has
            held as much before.
        settings: of the plan.
        log: told of each test before it begins.

    Raises:
        WorkerError: the child failed; entries already yielded stay valid.
    """
    first, *others = tests
    log(first)
    with Worker.start(group.worker) as worker:
        taken = worker.ask(
            "memory",
            open_limit(group, settings, first),
            MemoryTaken,
            workload=first,
            capacity_tokens=group.capacity,
            **session_arguments(group, artifact, settings.seed, group.bound_tokens(first)),
        )
        yield MemoryEntry(group=group.key, workload=first.name, reply=taken)
        for workload in others:
            log(workload)
            found = worker.ask(
                "memory_next",
                open_limit(group, settings, workload),
                NextMemory,
                batch=group.batch,
                workload=workload,
                seed=settings.seed,
                capacity_tokens=group.capacity,
            )
            if found.taken is not None:
                yield MemoryEntry(group=group.key, workload=workload.name, reply=found.taken)


def check_agreement(
    group: SessionGroup, artifact: AnyArtifact, settings: Settings, fused: Artifact | None = None
) -> AgreementEntry:
    """Hold the logits of a group's device against the CPU's, in a worker of its own.

    Args:
        group: what is opened.
        artifact: of it.
        settings: of the plan.
        fused: the model at fp32 as a fused graph, which a static one has to agree with.
    """
    session = session_arguments(group, artifact, settings.seed)
    with Worker.start(group.worker) as worker:
        found = worker.ask(
            "agree",
            settings.timeout,
            Agreement,
            graph=session["graph"],
            geometry=session["geometry"],
            device=session["device"],
            threads=session["threads"],
            seed=session["seed"],
            fused=None if fused is None else _fused_graph(fused, artifact.level),
        )
    return AgreementEntry(group=group.key, found=found)


def _fused_graph(fused: Artifact, level: str) -> FusedGraph:
    """A fused model at fp32 as it travels to the worker, beside the level of the static one."""
    return FusedGraph(graph=str(fused.graph), geometry=shapes_json(fused.geometry), level=level)


def measure_profile(
    group: SessionGroup,
    artifact: AnyArtifact,
    workload: Workload,
    settings: Settings,
    env: Mapping[str, str] | None = None,
    python: str | None = None,
) -> Profile:
    """Take the profile of one test in a worker of its own: none of its durations is reported.

    Other runtimes than our own loop say nothing of their operators: the reason is all there is.
    """
    if group.runtime != ORT:
        return Profile(
            reason=f"{group.runtime} says nothing of its operators; --runtime {ORT} has a profile"
        )
    with Worker.start(group.worker, env=env, python=python) as worker:
        return worker.ask(
            "profile",
            settings.timeout,
            Profile,
            workload=workload,
            capacity_tokens=group.capacity,
            **session_arguments(group, artifact, settings.seed, group.bound_tokens(workload)),
        )


def open_group(
    worker: Worker,
    group: SessionGroup,
    artifact: AnyArtifact,
    seed: int,
    timeout_s: float,
    stop_spinning: bool = False,
) -> Opened:
    """Open the session of a group in a fresh worker.

    Args:
        worker: not asked anything yet.
        group: device, threads, batch and tests.
        artifact: the built model.
        seed: of prompts and cache.
        timeout_s: after which a silent worker is ended.
        stop_spinning: its threads rest between runs: it takes turns with others.

    Returns:
        What was opened, with the test that its first run belonged to.
    """
    first = first_test(group.workloads)
    reply = worker.ask(
        "open",
        timeout_s,
        Opened,
        first=first,
        capacity_tokens=group.capacity_tokens,
        stop_spinning=stop_spinning and group.threads > 1,
        **session_arguments(group, artifact, seed, group.capacity_tokens),
    )
    return structs.replace(reply, first=first.name)


def warm_test(
    worker: Worker, group: SessionGroup, workload: Workload, settings: Settings
) -> Warmed:
    """Warm one test up in the open worker of its group."""
    limit_s = warm_limit(group, settings, workload)
    return worker.ask("warm", limit_s, Warmed, workload=workload, cap_s=settings.warm_seconds)


def sample_test(
    worker: Worker, workload: Workload, timeout_s: float, min_passes: int, min_seconds: float
) -> Sample:
    """Time one test in an open worker."""
    return worker.ask(
        "sample",
        timeout_s,
        Sample,
        workload=workload,
        min_passes=min_passes,
        min_seconds=min_seconds,
    )


def first_test(workloads: tuple[Workload, ...]) -> Workload:
    """The test whose pass is the first after load: a request if there is one (cold TTFT)."""
    return next((test for test in workloads if test.kind is Kind.REQUEST), workloads[0])


def compiled_graphs(group: SessionGroup, artifact: AnyArtifact) -> Path | None:
    """Where the compiled graphs of a group's session are; None: there are none.

    Nothing is kept of a model that others exported. A group that reads one shape of several has a
    folder of its own.
    """
    content = artifact.compiled_under
    if content is None:
        return None
    if group.has_one_shape:
        content = f"{content}/{group.workloads[0].test}"
    return compiled_folder(artifact.folder.parent, content, group.device)


def session_arguments(
    group: SessionGroup, artifact: AnyArtifact, seed: int, capacity_tokens: int | None = None
) -> SessionArguments:
    """What a worker needs to open the session of `group`; compiled graphs where there are any.

    Args:
        group: device, threads, batch.
        artifact: the built model.
        seed: of prompts and cache.
        capacity_tokens: positions that will be bound, for which the least caches are taken; None:
            whole ones.
    """
    if capacity_tokens is not None and group.takes_windows:
        artifact = artifact.for_capacity(capacity_tokens)
    folder = compiled_graphs(group, artifact)
    compiled = None if folder is None or read_compiled(folder) is None else str(folder)
    test, geometry = group.workloads[0], artifact.geometry
    if group.has_one_shape:
        geometry = artifact.geometry_of(test.prompt_tokens, test.sequences)
    return {
        "graph": str(artifact.graph),
        "geometry": shapes_json(geometry),
        "device": replace(group.device, compiled=compiled).sent(),
        "threads": group.threads,
        "batch": group.batch,
        "seed": seed,
    }


def _one_test(
    worker: Worker,
    group: SessionGroup,
    workload: Workload,
    settings: Settings,
    hardware: Hardware | None,
) -> Timed:
    """Warm up, then sample between two looks at the machine's counters and its energy."""
    warm = warm_test(worker, group, workload, settings)
    limit_s = sample_limit(group, settings, workload)
    before, parent_before_ns = snapshot(), time.process_time_ns()
    energy_before = read_energy()
    sample = sample_test(worker, workload, limit_s, settings.min_passes, settings.sample_seconds)
    energy = energy_used(energy_before, read_energy(), hardware, proofs=proofs_here())
    own_cpu_ns = sample.cpu_ns + time.process_time_ns() - parent_before_ns
    watch = difference(before, snapshot(), own_cpu_ns)
    return {"warm": warm, "sample": sample, "watch": watch, "energy": energy}


class Told(TypedDict):
    """What a journal is told of an error, as fields of an entry."""

    status: Status
    reason: str
    exit_code: int


def failure_entry(group: SessionGroup, workload: str | None, error: WorkerError) -> FailureEntry:
    """The journal entry of a test, or of a whole group, that cannot be measured."""
    return FailureEntry(group=group.key, workload=workload, **_told(error))


def lost_entry(
    group: SessionGroup, workload: str | None, round_index: int, error: WorkerError
) -> LostEntry:
    """The journal entry of a worker that was lost in one round, at a test or before its first."""
    return LostEntry(group=group.key, workload=workload, round=round_index, **_told(error))


def no_memory_entry(group: SessionGroup, workload: str, error: WorkerError) -> NoMemoryEntry:
    """The journal entry of a test whose memory could not be taken."""
    return NoMemoryEntry(group=group.key, workload=workload, **_told(error))


def _told(error: WorkerError) -> Told:
    return Told(
        status=Status(error.status),
        reason=f"{error.problem}; try: {error.fix}",
        exit_code=error.exit_code,
    )
