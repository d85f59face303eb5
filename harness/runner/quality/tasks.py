"""The parent's side of questions with choices: what a level answers, and its fp32 reference."""

from dataclasses import dataclass, field
from typing import Any

from harness.core.errors import HarnessError
from harness.devices.device import SentDevice
from harness.machine.process.worker import Worker
from harness.models.weights.source import ModelSource
from harness.results.quality import TaskScores
from harness.runner.quality.choices import compare_answers
from harness.runner.quality.chunks import most_chunk_tokens
from harness.runner.quality.measure import Judged, graphs
from harness.runner.quality.replies import Answers, TasksRead
from harness.store.artifact import Artifact

WORKER_MODULE = "harness.runner.quality.task_worker"


@dataclass(frozen=True, slots=True)
class TaskRun:
    """The questions of one run; a reference answers once for all of its levels.

    Attributes:
        tasks: `builtin`, or the path of a file.
    """

    tasks: str
    _known: dict[tuple[object, ...], Answers] = field(default_factory=dict)

    def judge(
        self,
        source: ModelSource,
        reference: Artifact,
        level: Judged,
        *,
        device: str | SentDevice = "cpu",
        threads: int = 1,
        timeout_s: float = 3600,
    ) -> TaskScores:
        """Let a level and its reference answer; a reason stands for what cannot be answered.

        Args:
            source: the model, whose folder holds the tokenizer.
            reference: what it is compared with, at fp32.
            level: the level to be judged; may be the reference itself.
            device: as it travels, or a key of the device table; the reference of a static decoder
                is read on the CPU.
            threads: intra-op threads.
            timeout_s: limit of one model.
        """
        host = "cpu" if level.geometry.is_static else device
        try:
            read = check_tasks(source, level, self.tasks, timeout_s)
            key = (reference.folder, level.geometry.is_static, str(device), threads)
            if key not in self._known:
                self._known[key] = self._ask(source, reference, host, threads, timeout_s)
            if level is reference or level.graph == reference.graph:
                return compare_answers(read, self._known[key], self._known[key])
            answers = self._ask(source, level, device, threads, timeout_s)
        except HarnessError as error:
            return TaskScores(reason=f"{error.problem}; try: {error.fix}")
        return compare_answers(read, self._known[key], answers)

    def _ask(
        self,
        source: ModelSource,
        model: Judged,
        device: str | SentDevice,
        threads: int,
        timeout_s: float,
    ) -> Answers:
        """Let one model answer in a child of its own."""
        with Worker.start(WORKER_MODULE) as worker:
            return worker.ask(
                "answer",
                timeout_s,
                Answers,
                model=graphs(model),
                device=device,
                threads=threads,
                **_told(source, model, self.tasks),
            )


def check_tasks(
    source: ModelSource, level: Judged, tasks: str, timeout_s: float = 600
) -> TasksRead:
    """Read the questions as a model's tokens, to refuse them before anything is measured.

    Raises:
        WorkerError: a file, an item or a tokenizer that cannot be used; the child's problem, fix
            and exit code are kept.
    """
    with Worker.start(WORKER_MODULE) as worker:
        return worker.ask("check", timeout_s, TasksRead, **_told(source, level, tasks))


def _told(source: ModelSource, level: Judged, tasks: str) -> dict[str, Any]:
    """What the child is told of the questions."""
    geometry = level.geometry
    return {
        "folder": None if source.folder is None else str(source.folder),
        "vocab_size": geometry.vocab_size,
        "tasks": tasks,
        "most_tokens": most_chunk_tokens(geometry.vocab_size, geometry.max_context_tokens),
    }
