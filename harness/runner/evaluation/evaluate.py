"""The parent's side: tasks of lm-evaluation-harness over levels of one model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UsageError
from harness.core.findings import Log
from harness.machine.process.worker import Worker
from harness.runner.evaluation.replies import Evaluation, TaskValue
from harness.runner.models import FoundModel
from harness.runner.quality.measure import graphs
from harness.store.cache import ensure_artifact

WORKER_MODULE = "harness.runner.evaluation.worker"
TIMEOUT_S = 7 * 24 * 3600.0  # whole benchmarks take days on a small machine

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is run.

    Attributes:
        tasks: names of tasks or groups.
        include: folder with the user's own; None: none.
        limit: items of each; None: all.
        shots: examples before each item; None: as the task says.
        offline: fetch nothing, tasks' data included.
    """

    tasks: tuple[str, ...]
    include: Path | None = None
    limit: int | None = None
    shots: int | None = None
    offline: bool = False


def evaluate_levels(
    model: FoundModel,
    levels: Sequence[str],
    asked: Asked,
    cache: Path,
    threads: int,
    log: Log,
) -> Iterator[tuple[str, TaskValue]]:
    """Yield every number of every level; a level is built where the cache has it not.

    Raises:
        UsageError: no such folder, a model that is not built here, or no decoder.
        HarnessError: one that cannot be built; or as the child's `evaluate`.
    """
    if asked.include is not None and not asked.include.is_dir():
        raise UsageError(
            f"--include {asked.include.name!r} is no folder", fix="the folder of your tasks' YAML"
        )
    found = model.measured()
    source = found.built()
    if found.embeds:
        raise UsageError(
            f"tasks ask for next tokens, and {source.name} is an encoder",
            fix="--model smollm2-135m, or another decoder",
        )
    for level in levels:
        artifact = ensure_artifact(source, level, cache)
        log(f"eval: {source.name} {level}")
        with Worker.start(WORKER_MODULE, env=OFFLINE if asked.offline else {}) as worker:
            reply = worker.ask(
                "evaluate",
                TIMEOUT_S,
                Evaluation,
                model=graphs(artifact),
                threads=threads,
                folder=None if source.folder is None else str(source.folder),
                tasks=asked.tasks,
                include=None if asked.include is None else str(asked.include.resolve()),
                limit=asked.limit,
                shots=asked.shots,
            )
        yield from ((level, value) for value in reply.values)
