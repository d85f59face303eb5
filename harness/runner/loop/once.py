"""What a worker of its own is asked once of a built model, besides all timing.

A device compiles it before anything is timed; the steps of an exported decoder are held against
whole passes, which shows whether they continue its prompts.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.core.errors import WorkerError
from harness.core.findings import Progress
from harness.devices.compiled import read_compiled
from harness.machine.process.worker import Worker
from harness.results.entries import CompiledEntry, StepsCheckEntry
from harness.results.replies import Compiled, StepsCheck
from harness.runner.loop.builds import Builds, build_key
from harness.runner.loop.entries import Entries
from harness.runner.loop.session import WORKER_MODULE, compiled_graphs, session_arguments
from harness.runner.plan import Plan, SessionGroup
from harness.store.exported import AnyArtifact


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
    session = session_arguments(group, artifact, plan.settings.seed)
    try:
        with Worker.start(WORKER_MODULE) as worker:
            return worker.ask(
                "compile",
                plan.settings.timeout,
                Compiled,
                graph=session["graph"],
                geometry=session["geometry"],
                device=replace(group.device, compiled=None).sent(),
                threads=session["threads"],
                folder=str(folder),
            )
    except WorkerError as error:
        return Compiled(compile_ns=None, reason=error.problem)


def step_checks(plan: Plan, builds: Builds, entries: Entries) -> Iterator[StepsCheckEntry]:
    """Hold the steps of every exported decoder against whole passes, once a model.

    A check that cannot be made is a finding as well: its reason stands in the record.
    """
    for key, group in {build_key(group): group for group in plan.groups}.items():
        artifact = builds.artifacts.get(key)
        if artifact is None or not artifact.has_steps:
            continue
        if key in entries.step_checks:
            continue
        try:
            with Worker.start(WORKER_MODULE) as worker:
                found = worker.ask(
                    "steps_check",
                    plan.settings.timeout,
                    StepsCheck,
                    **session_arguments(group, artifact, plan.settings.seed),
                )
        except WorkerError as error:
            found = StepsCheck(reason=f"{error.problem}; try: {error.fix}")
        yield StepsCheckEntry(model=key[0], level=key[1], found=found)
