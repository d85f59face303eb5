"""Models that a device compiles once: in a worker of its own before anything is timed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.core.errors import WorkerError
from harness.devices.compiled import read_compiled
from harness.machine.process.worker import Worker
from harness.results.entries import CompiledEntry
from harness.results.replies import Compiled
from harness.runner.loop.builds import Builds
from harness.runner.loop.entries import Entries
from harness.runner.loop.rounds import Progress
from harness.runner.loop.session import WORKER_MODULE, compiled_graphs, session_arguments
from harness.runner.plan import Plan, SessionGroup
from harness.store.exported_artifact import AnyArtifact


def compile_models(
    plan: Plan, builds: Builds, entries: Entries, progress: Progress
) -> Iterator[CompiledEntry]:
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
        yield CompiledEntry(group=group.key, found=found)


def _compile(group: SessionGroup, artifact: AnyArtifact, folder: Path, plan: Plan) -> Compiled:
    """Ask a fresh worker; a failure is an answer."""
    arguments = session_arguments(group, artifact, plan.settings.seed)
    for name in ("batch", "seed"):
        del arguments[name]
    arguments["device"] = replace(group.device, compiled=None).to_json()
    try:
        with Worker.start(WORKER_MODULE) as worker:
            return worker.ask(
                "compile", plan.settings.timeout, Compiled, folder=str(folder), **arguments
            )
    except WorkerError as error:
        return Compiled(compile_ns=None, reason=error.problem)
