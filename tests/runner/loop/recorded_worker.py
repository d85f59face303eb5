"""A worker that repeats what a real one has answered, for tests of what is done with answers."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from types import ModuleType
from typing import Any, Self

import pytest

from harness.machine.process.worker import Worker

BEGINS = ("open", "memory")  # what later questions are about
ANSWERS: dict[str, Any] = {}  # by question, of all workers; rounds and tests repeat each other


def question_of(worker: Any, do: str, arguments: Mapping[str, Any]) -> str:
    """A module's command and arguments, of the session that was opened before it."""
    return f"{worker.module} {worker.session} {do} {sorted(arguments.items())!r}"


class RecordingWorker(Worker):
    """A real worker, whose answers are kept for those that are recorded."""

    session = ""

    def ask(self, do: str, timeout_s: float, reply: Any = Any, **arguments: Any) -> Any:
        """Ask the child, and keep the newest answer."""
        question = question_of(self, do, arguments)
        answer = super().ask(do, timeout_s, reply, **arguments)
        ANSWERS[question] = deepcopy(answer)
        if do in BEGINS:
            self.session = question
        return answer


@contextmanager
def recording(*modules: ModuleType) -> Iterator[None]:
    """Keep what is answered to these modules meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "Worker", RecordingWorker)
        yield


class RecordedWorker:
    """Stands where `Worker` does; a question that no worker has answered yet starts a real one."""

    def __init__(self, module: str, env: Mapping[str, str] | None) -> None:
        """Note what would be started; nothing is."""
        self.module, self.env = module, env
        self.session = ""
        self._asked: list[tuple[str, float, Any, dict[str, Any]]] = []
        self._real: Worker | None = None

    @classmethod
    def start(
        cls, module: str, *, env: Mapping[str, str] | None = None, python: str | None = None
    ) -> Self:
        """As Worker.start, but no process begins yet; another interpreter cannot be meant."""
        assert python is None
        return cls(module, env)

    def ask(self, do: str, timeout_s: float, reply: Any = Any, **arguments: Any) -> Any:
        """Give the recorded answer, or a real worker's that has been asked all that came before."""
        question = question_of(self, do, arguments)
        if question not in ANSWERS:
            ANSWERS[question] = self._really(do, timeout_s, reply, arguments)
        self._asked.append((do, timeout_s, reply, arguments))
        if do in BEGINS:
            self.session = question
        return deepcopy(ANSWERS[question])

    def pin(self, processors: Collection[int]) -> bool:
        """Say that it was done: what is repeated was measured wherever it was."""
        return bool(processors)

    def cpu_ns(self) -> int:
        """Nothing of its own."""
        return 0

    def _really(self, do: str, timeout_s: float, reply: Any, arguments: dict[str, Any]) -> Any:
        if self._real is None:
            self._real = Worker.start(self.module, env=self.env)
            for earlier, limit_s, kind, others in self._asked:
                self._real.ask(earlier, limit_s, kind, **others)
        return self._real.ask(do, timeout_s, reply, **arguments)

    def __enter__(self) -> Self:
        """Return the worker itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the real one, if it was needed."""
        if self._real is not None:
            self._real.close()
