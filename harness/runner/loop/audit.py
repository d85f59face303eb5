"""Every test of a plan in a fresh worker, audited: raw answers that are judged elsewhere."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.results.replies import Audited
from harness.runner.loop.session import open_group, warm_test
from harness.runner.plan import SessionGroup
from harness.runner.settings import Settings
from harness.store.exported import AnyArtifact


@dataclass(frozen=True, slots=True)
class AuditedTest:
    """The answers about one test.

    Attributes:
        workload: which test.
        reply: what was found.
        parent_ns: what this process's clock says the command took.
    """

    workload: Workload
    reply: Audited
    parent_ns: int


def audit_group(
    group: SessionGroup, artifact: AnyArtifact, settings: Settings, turns: int
) -> Iterator[AuditedTest]:
    """Open the session of a group once and audit its tests.

    Args:
        group: device, level, threads and tests.
        artifact: the built model.
        settings: seed, warm-up and time limit.
        turns: see harness.engine.audit.audit.

    Raises:
        WorkerError: the child failed, died, hung or ran out of memory.
    """
    with Worker.start(group.worker) as worker:
        open_group(worker, group, artifact, settings.seed, settings.timeout)
        for workload in group.workloads:
            warm_test(worker, workload, settings)
            start_ns = time.perf_counter_ns()
            reply = worker.ask("audit", settings.timeout, Audited, workload=workload, turns=turns)
            yield AuditedTest(workload, reply, time.perf_counter_ns() - start_ns)
