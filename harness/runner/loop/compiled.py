"""Models that a device compiles once: in a worker of its own before anything is timed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.errors import WorkerError
from harness.devices.compiled import read_compiled
from harness.machine.process.worker import Worker
from harness.runner.loop.builds import Builds
from harness.runner.loop.entries import Entries
from harness.runner.loop.rounds import Progress
from harness.runner.loop.session import WORKER_MODULE, compiled_graphs, session_arguments
from harness.runner.plan import Plan, SessionGroup
from harness.store.exported_artifact import AnyArtifact

Json = dict[str, Any]


def compile_models(
    plan: Plan, builds: Builds, entries: Entries, progress: Progress
) -> Iterator[Json]:
    """Yield what compiling took, of each group whose provider keeps compiled graphs.

    One that fails costs nothing: the graphs are then compiled in every process, as by a provider
    that keeps none.
    """
    for group in plan.groups:
        if group.key in entries.compiled or (group.key, None) in entries.failures:
            continue
        artifact = builds.of(group)
        folder = compiled_graphs(group, artifact)
        if folder is None:
            continue
        progress(f"compiling: {group.key}", *entries.done_of(plan))
        found = read_compiled(folder) or _compile(group, artifact, folder, plan)
        yield {"kind": "compiled", "group": group.key, "found": found}


def _compile(group: SessionGroup, artifact: AnyArtifact, folder: Path, plan: Plan) -> Json:
    """Ask a fresh worker; a failure is an answer."""
    arguments = session_arguments(group, artifact, plan.settings.seed)
    for name in ("batch", "seed"):
        del arguments[name]
    arguments["device"] = replace(group.device, compiled=None).to_json()
    try:
        with Worker.start(WORKER_MODULE) as worker:
            found: Json = worker.ask(
                "compile", timeout_s=plan.settings.timeout, folder=str(folder), **arguments
            )
    except WorkerError as error:
        return {"compile_ns": None, "reason": error.problem}
    return found
