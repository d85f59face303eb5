"""A worker without a process, for tests of what is asked and answered rather than of children."""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from typing import Any, Self
from unittest.mock import patch

import msgspec

from harness.machine.process.serve import _answer_line, _as_line
from harness.machine.process.worker import _unpack


@contextmanager
def none_waiting(children: Sequence[Any]) -> Iterator[tuple[None, ...]]:
    """Stands where `started_together` does: nothing is started ahead."""
    yield tuple(None for _ in children)


class InlineWorker:
    """Stands where `Worker` does and runs the commands here; all that crosses the pipe is JSON.

    Each worker runs a module of its own, as a process would: what one keeps, no other sees.
    Not for a module that measures its process, ends it, or is to be ended.
    """

    def __init__(self, module: str, env: Mapping[str, str]) -> None:
        """Load a copy of the module that sees these variables."""
        self.module = module
        self.pid = os.getpid()
        spec = find_spec(module)
        copy = module_from_spec(spec)
        with patch.dict(os.environ, env):
            spec.loader.exec_module(copy)
        self._commands = copy.COMMANDS

    @classmethod
    def start(
        cls, module: str, *, env: Mapping[str, str] | None = None, python: str | None = None
    ) -> Self:
        """As Worker.start; another interpreter cannot be meant."""
        assert python is None
        return cls(module, env or {})

    def ask(self, do: str, timeout_s: float, reply: Any = Any, **arguments: Any) -> Any:
        """As Worker.ask, errors included; the limit is not kept."""
        assert timeout_s > 0
        line = json.dumps(
            {"do": do, "with": msgspec.to_builtins(arguments)}, allow_nan=False
        ).encode()
        answer = json.loads(_as_line(_answer_line(self._commands, line)))
        return _unpack(answer, reply, f"{self.module} {do!r}")

    def pin(self, processors: Collection[int]) -> bool:
        """Pin nothing: the process is that of all tests."""
        return bool(processors)

    def cpu_ns(self) -> int:
        """Nothing of its own."""
        return 0

    def __enter__(self) -> Self:
        """Return the worker itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Leave nothing open: there is no process."""
