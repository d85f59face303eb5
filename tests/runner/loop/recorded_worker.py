"""A worker that repeats what a real one has answered, for tests of what is done with answers."""

from copy import deepcopy
from typing import Any, Self

from harness.machine.process.worker import Worker


class RecordedWorker:
    """Stands where `Worker` does; a question that no worker has answered yet starts a real one.

    A question is a module's command and arguments, of the session that was opened before it.

    Attributes:
        answers: by question, of all workers of this class.
    """

    answers: dict[str, Any] = {}  # noqa: RUF012 - shared, so that rounds and tests repeat each other

    def __init__(self, module: str) -> None:
        """Note the module; nothing is started."""
        self.module = module
        self._session = ""
        self._asked: list[tuple[str, float, Any, dict[str, Any]]] = []
        self._real: Worker | None = None

    @classmethod
    def start(cls, module: str) -> Self:
        """As Worker.start, but no process begins yet."""
        return cls(module)

    def ask(self, do: str, timeout_s: float, reply: Any = Any, **arguments: Any) -> Any:
        """Give the recorded answer, or a real worker's that has been asked all that came before."""
        question = f"{self.module} {self._session} {do} {sorted(arguments.items())!r}"
        if question not in self.answers:
            self.answers[question] = self._really(do, timeout_s, reply, arguments)
        self._asked.append((do, timeout_s, reply, arguments))
        if do == "open":
            self._session = question
        return deepcopy(self.answers[question])

    def _really(self, do: str, timeout_s: float, reply: Any, arguments: dict[str, Any]) -> Any:
        if self._real is None:
            self._real = Worker.start(self.module)
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
