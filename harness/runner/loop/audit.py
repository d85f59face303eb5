"""Every test of a plan in a fresh worker, audited: raw answers that are judged elsewhere."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.errors import UsageError
from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.models.served import is_served
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
        UsageError: a server runs the group.
        WorkerError: the child failed, died, hung or ran out of memory.
    """
    if is_served(group.runtime):
        raise UsageError(
            f"bench audit looks into the process that computes, and that of {group.runtime} is not"
            " ours",
            fix="--runtime ort or llama.cpp",
        )
    with Worker.start(group.worker) as worker:
        open_group(worker, group, artifact, settings.seed, settings.timeout)
        for workload in group.workloads:
            warm_test(worker, group, workload, settings)
            start_ns = time.perf_counter_ns()
            reply = worker.ask("audit", settings.timeout, Audited, workload=workload, turns=turns)
            yield AuditedTest(workload, reply, time.perf_counter_ns() - start_ns)
