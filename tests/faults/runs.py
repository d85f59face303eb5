"""Whole runs without a process: constant answers, and workers that are lost where a test says."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

from harness.core.errors import WorkerError
from harness.results.replies import MemoryRead, WatchInterval
from tests.inline_worker import InlineWorker

NULL = "benchmarks.null_worker"
READ = MemoryRead(threads=1, bytes=8, pass_ns=(1, 2))
QUIET = WatchInterval(wall_ns=10**9, processors=2, background_cpu_ns=0, steal_ns=0)


class Asked(NamedTuple):
    """One question to a worker.

    Attributes:
        worker: its number, from 0, in the order of starts.
        level: of the model's weights; of the session that the worker has open.
        do: the command.
        test: its name, such as `tg4`; empty: none, or of the session alone.
        times: questions of the same level, command and test before it.
    """

    worker: int
    level: str
    do: str
    test: str
    times: int


def crashed() -> WorkerError:
    """What a worker leaves that was killed."""
    end = signal.Signals.SIGKILL.name
    return WorkerError(f"the worker ended ({end})", fix="run it alone", status="crashed")


@dataclass
class Script:
    """What goes wrong, and what was asked.

    Attributes:
        fault: a question -> an error instead of its answer; None: the answer.
        asked: every question, in order.
        workers: that were started.
    """

    fault: Callable[[Asked], BaseException | None] = lambda asked: None
    asked: list[Asked] = field(default_factory=list)
    workers: int = 0

    def times(self, do: str, test: str = "", level: str = "") -> int:
        """How often something was asked."""
        return sum(
            one.do == do and test in ("", one.test) and level in ("", one.level)
            for one in self.asked
        )


class ScriptedWorker(InlineWorker):
    """Stands where `Worker` does; its answers are constants, its faults those of the script."""

    script: ClassVar[Script] = Script()

    def __init__(self, module: str, env: Mapping[str, str]) -> None:
        """Count it."""
        super().__init__(module, env)
        self.number, self.level = self.script.workers, ""
        self.script.workers += 1

    @classmethod
    def start(
        cls, module: str, *, env: Mapping[str, str] | None = None, python: str | None = None
    ) -> Self:
        """As Worker.start, whatever module is asked for."""
        return super().start(NULL, env=env)

    def ask(self, do: str, timeout_s: float, reply: Any = Any, **arguments: Any) -> Any:
        """Answer, unless the script has an error for it."""
        if "graph" in arguments:
            self.level = "int4" if "int4" in arguments["graph"] else "fp32"
        workload = arguments.get("workload")
        test = "" if workload is None else workload.test
        times = sum((one.level, one.do, one.test) == (self.level, do, test) for one in self._asked)
        asked = Asked(self.number, self.level, do, test, times)
        self._asked.append(asked)
        error = self.script.fault(asked)
        if error is not None:
            raise error
        return super().ask(do, timeout_s, reply, **arguments)

    @property
    def _asked(self) -> list[Asked]:
        return self.script.asked
