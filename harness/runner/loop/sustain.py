"""One test without a rest for minutes, in a worker of its own, window by window."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from msgspec import structs

from harness.core.errors import WorkerError
from harness.core.findings import Progress
from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.machine.watch.probes import difference, snapshot
from harness.results.entries import SustainEntry
from harness.results.metrics import rate_of_kind
from harness.results.replies import ProcessSamples, Sustained, SustainWindow
from harness.results.schema import kind_of
from harness.results.sustained import sustained
from harness.runner.loop.builds import Builds
from harness.runner.loop.entries import Entries
from harness.runner.loop.limits import open_limit, sample_limit
from harness.runner.loop.parts import cell_of
from harness.runner.loop.rest import Pause, rest
from harness.runner.loop.session import open_group, sample_test
from harness.runner.plan import Plan, SessionGroup
from harness.runner.settings import Settings
from harness.store.exported import AnyArtifact

MOST_WINDOWS = 120
LEAST_WINDOW_S = 1.0


def sustained_tests(
    plan: Plan, builds: Builds, entries: Entries, progress: Progress, pause: Pause | None = None
) -> Iterator[SustainEntry]:
    """Yield an entry per cell that has none yet; what cannot be taken costs nothing else."""

    def log(what: str) -> None:
        progress(what, *entries.done_of(plan))

    seconds = plan.settings.sustain
    if seconds is None:
        return
    for group in plan.groups:
        for workload in group.workloads:
            key = (group.key, workload.name)
            if key in entries.sustained or entries.failure_of(group, workload):
                continue
            start = rest(plan.settings, (group,), pause or Pause(), log)
            log(f"sustained: {group.key} {workload.name}")
            try:
                found = sustain(group, builds.of(group), workload, plan.settings, seconds)
            except WorkerError as error:
                found = Sustained(reason=f"{error.problem}; try: {error.fix}")
            found = structs.replace(found, start=start)
            yield SustainEntry(group=group.key, workload=workload.name, found=found)


def sustain(
    group: SessionGroup,
    artifact: AnyArtifact,
    workload: Workload,
    settings: Settings,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Sustained:
    """Run one test for `seconds` without a rest, and note its rate in windows.

    A window is as many whole passes as fit into a hundredth of the time, a second at least; its
    rate is that of a process: total tokens over the median pass.

    Raises:
        WorkerError: the child failed, died, hung or ran out of memory.
    """
    cell = cell_of(group, workload, artifact)
    rate = rate_of_kind(kind_of(cell))
    assert rate.value is not None
    window_s = max(LEAST_WINDOW_S, seconds / MOST_WINDOWS)
    windows: list[SustainWindow] = []
    with Worker.start(group.worker) as worker:
        alone = replace(group, workloads=(workload,))
        limit_s = open_limit(alone, settings, workload)
        opened = open_group(worker, alone, artifact, settings.seed, limit_s)
        limit_s = window_s + sample_limit(alone, settings, workload)
        start_s = clock()
        while not windows or clock() - start_s < seconds:
            begin_s, before, own_ns = clock(), snapshot(), time.process_time_ns()
            sample = sample_test(worker, workload, limit_s, 1, window_s)
            own_ns = time.process_time_ns() - own_ns + sample.cpu_ns
            watch = difference(before, snapshot(), own_ns)
            process = ProcessSamples(round=0, order=0, open=opened, sample=sample)
            speed = rate.value(cell, process)
            if speed is None:
                raise WorkerError(f"{workload.name} has no rate", fix="--gen 2 or more")
            windows.append(
                SustainWindow(
                    start_s=begin_s - start_s,
                    rate=speed,
                    background_cpu_share=watch.background_cpu_share,
                    thermal_events=watch.thermal_events,
                    steal_share=watch.steal_share,
                    throttled_periods=watch.throttled_periods,
                )
            )
    return sustained(windows, rate.name, rate.unit, window_s)
