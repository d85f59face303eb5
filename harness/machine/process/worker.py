"""A child process that answers commands over a private pipe, and the ways it may end.

The parent writes one JSON line per command to the child's stdin and blocks until the answer, one
JSON line, comes back: it never polls, so it costs the measured child nothing. What the child or a
library in it prints goes to a log file and never mixes with the answers. The child and all that it
starts form a process group of their own: Ctrl-C in the terminal does not reach it, and the parent
ends the whole group on a time limit, on an interrupt, and on close.

`python -m harness.machine.process.serve MODULE` is the child; MODULE offers
`COMMANDS: Mapping[str, Callable[..., object]]`, whose replies msgspec can encode.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar, overload

import msgspec

from harness.core.environment import KEY, child_variables
from harness.core.errors import EXIT_CELLS, WorkerError
from harness.core.progress import is_heard, tell_detail, tell_part, wants_details
from harness.core.units import NS_PER_S
from harness.machine.process.ending import (
    LOG_TAIL_LINES,
    ended_error,
    kill_group,
    kill_members,
    oom_kills,
    wait_for_end,
)
from harness.machine.process.phase import last_phase, without_phases
from harness.machine.process.pinning import pin
from harness.machine.process.serve import LOADED, PART
from harness.results.enums import Status

Json = Any  # what json.dumps takes: dict, list, str, int, float, bool or None
Reply = TypeVar("Reply")

GONE = b"!gone\n"  # written by the parent itself into the answer pipe once the child is dead
CLOSE_GRACE_S = 10.0  # Assumes: freeing a session takes less; after that the group is ended
LOG_TAIL_BYTES = 4096
# What a module's child needs that all others are not given: who asks a server has its key.
ENTRUSTED = {"harness.engine.served_worker": (KEY.name,)}
MOST_LOG_BYTES = 2**20  # of a command, in which its phases are looked for
PARTS = 4  # of a time limit: so often the watchdog looks, and never before the first one is over
LATE_S = 2.0  # Assumes: a busy machine wakes a thread up within that


class Worker:
    """The parent's end of one child process. Use it as a context manager.

    Not for use from two threads at once; two workers side by side are fine.

    Attributes:
        module: the module that the child serves.
        pid: the child's process id, also the id of its process group.
    """

    def __init__(
        self,
        module: str,
        process: subprocess.Popen[bytes],
        pipe: tuple[int, int],
        log: IO[bytes],
    ) -> None:
        """Take over a started child, its answer pipe (read, write) and its log."""
        self.module = module
        self.pid = process.pid
        self._process = process
        self._answers = os.fdopen(pipe[0], "rb")
        self._log = log
        self._timeout_s: float | None = None  # set when the watchdog ended the child
        self._log_bytes = 0  # of the log, when the newest command was sent
        self._oom_kills_before: int | None = None  # counted before its first command
        self._closed = False
        self._burial = threading.Thread(target=_bury, args=(process, pipe[1]), daemon=True)
        self._burial.start()

    @classmethod
    def start(
        cls, module: str, *, env: Mapping[str, str] | None = None, python: str | None = None
    ) -> Self:
        """Start a child that serves `module`; return at once, without waiting for its imports.

        Args:
            module: importable name of a module with `COMMANDS`.
            env: variables to set on top of this process's own, which are those of
                harness.core.environment.child_variables: no tokens, keys or passwords.
            python: another interpreter (one that has this package); None: this one, with this
                process's `sys.path`.

        Raises:
            WorkerError: the interpreter cannot be started.
        """
        log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        read_fd, write_fd = os.pipe()
        try:
            process = subprocess.Popen(
                _command_line(module, python),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=write_fd,
                stderr=log,
                env=_environment(module, env, own_interpreter=python is None),
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            os.close(read_fd)
            os.close(write_fd)
            log.close()
            raise WorkerError(
                f"the worker's interpreter cannot be started: {error.strerror}",
                fix="check the interpreter's path and the limits on processes and memory",
            ) from error
        return cls(module, process, (read_fd, write_fd), log)

    def wait_until_loaded(self, timeout_s: float) -> None:
        """Block until the child has imported its module; one that cannot tells its first command.

        Args:
            timeout_s: after this the child and its whole group are ended.
        """
        with suppress(WorkerError):
            self.ask(LOADED, timeout_s)
        self._oom_kills_before = None  # others may be killed while this one waits

    def pin(self, processors: Collection[int]) -> bool:
        """Keep the child on these logical processors; see harness.machine.process.pinning."""
        return pin(self.pid, processors)

    @overload
    def ask(self, do: str, timeout_s: float, reply: type[Reply], **arguments: Json) -> Reply: ...

    @overload
    def ask(self, do: str, timeout_s: float, **arguments: Json) -> Json: ...

    def ask(self, do: str, timeout_s: float, reply: Json = Any, **arguments: Json) -> Json:
        """Send one command and block until its answer.

        Args:
            do: a key of the module's COMMANDS.
            timeout_s: a child that is silent so long is ended with its whole group; one that tells
                of a new phase (harness.machine.process.phase) has as long again.
            reply: what the command answers; anything else is an error. Any: as JSON has it.
            **arguments: keyword arguments of the command: records, or what JSON takes.

        Raises:
            WorkerError: the command raised (`failed`, `out_of_memory`; the child lives on), gave
                another answer than `reply` (`failed`), or the child ended (`crashed`, `timeout`,
                `out_of_memory`). A HarnessError raised in the child keeps its problem, fix and
                exit code.
        """
        if self._closed:
            raise WorkerError(f"{do!r} was asked of a closed worker", fix="start a new one")
        if self._oom_kills_before is None:
            self._oom_kills_before = oom_kills()
        line = json.dumps(_request(do, arguments), allow_nan=False).encode() + b"\n"
        self._log_bytes = os.fstat(self._log.fileno()).st_size
        answered = threading.Event()
        watchdog = threading.Thread(target=self._watch, args=(timeout_s, answered), daemon=True)
        watchdog.start()
        try:
            self._send(line)
            answer = self._receive()
        except BaseException:  # an interrupt: nothing may run on behind the user's back
            kill_group(self._process)
            raise
        finally:
            answered.set()
            watchdog.join()
        if answer is None:
            self._burial.join()
            raise ended_error(
                f"{self.module} {do!r}",
                self._process.returncode,
                log_tail=self._log_tail(),
                timeout_s=self._timeout_s,
                killed_for_memory=oom_kills() > self._oom_kills_before,
                phase=self._phase(),
            )
        return _unpack(answer, reply, f"{self.module} {do!r}")

    def cpu_ns(self) -> int:
        """Processor time that the child has used so far, all of its threads; 0 once it is gone."""
        import psutil

        try:
            used = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return 0
        return int((used.user + used.system) * NS_PER_S)

    def close(self) -> None:
        """End the child, its group and every pipe; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            with suppress(OSError):
                self._requests.close()  # the child's loop ends at end of file
            self._burial.join(CLOSE_GRACE_S)
        finally:
            if self._burial.is_alive():
                kill_group(self._process)
            self._answers.close()
            self._burial.join()
            self._tell_log()
            self._log.close()

    def __enter__(self) -> Self:
        """Return the worker itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; after an error do not wait for the child to finish what it does."""
        if error is not None:
            kill_group(self._process)
        self.close()

    @property
    def _requests(self) -> IO[bytes]:
        """The child's stdin, unbuffered."""
        assert self._process.stdin is not None
        return self._process.stdin

    def _watch(
        self,
        timeout_s: float,
        answered: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watchdog: end the group of a silent child; the blocked reader then meets GONE.

        A part of the time that took longer than it can was one in which this process was stopped
        (Ctrl-Z, a machine that slept), and the child maybe with it: it does not count.
        """
        part_s, silent, phase = timeout_s / PARTS, 0, ""
        while silent < PARTS:
            start_s = clock()
            if answered.wait(part_s):
                return
            now = self._phase()
            if now != phase:
                phase, silent = now, 0
            elif clock() - start_s < part_s + LATE_S:
                silent += 1
        self._timeout_s = timeout_s
        kill_group(self._process)

    def _phase(self) -> str:
        """The last one that the child told of in its newest command; empty: none.

        Read at its place in the log: the child writes at the file's own, which it shares.
        """
        if not hasattr(os, "pread"):  # Windows
            return ""
        end_bytes = os.fstat(self._log.fileno()).st_size
        start_bytes = max(self._log_bytes, end_bytes - MOST_LOG_BYTES)
        told = os.pread(self._log.fileno(), max(0, end_bytes - start_bytes), start_bytes)
        return last_phase(told.decode(errors="replace"))

    def _send(self, line: bytes) -> None:
        """Write one line. A dead reader is no error here: `_receive` then meets GONE."""
        rest = memoryview(line)
        with suppress(OSError):
            while rest:
                rest = rest[self._requests.write(rest) :]

    def _receive(self) -> dict[str, Json] | None:
        """Block for the next whole answer; None once the child is dead."""
        while (line := self._answers.readline()) not in (GONE, b""):
            answer = None
            with suppress(ValueError):  # a line torn by the child's death; GONE follows
                answer = json.loads(line)
            if not isinstance(answer, dict):
                continue
            if PART not in answer:
                return answer
            tell_part(*answer[PART])
        return None

    def _tell_log(self) -> None:
        """Say the end of what the child printed, where somebody wants to know."""
        for line in self._log_tail().splitlines()[-LOG_TAIL_LINES:] if wants_details() else ():
            if line.strip():
                tell_detail(f"{self.module} {self.pid}: {line.rstrip()}")

    def _log_tail(self) -> str:
        """The end of what the child printed."""
        size_bytes = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size_bytes - LOG_TAIL_BYTES))
        return without_phases(self._log.read().decode(errors="replace"))


def _request(do: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """One command; it tells parts of what it does only where somebody hears them."""
    asked = {"do": do, "with": msgspec.to_builtins(arguments)}
    return {**asked, PART: True} if is_heard() else asked


def _command_line(module: str, python: str | None) -> list[str]:
    """The child's command; see harness.machine.process.serve for the words after the module."""
    words = [
        python or sys.executable,
        "-P",
        "-m",
        "harness.machine.process.serve",
        module,
        "owned",
    ]
    if threading.current_thread() is threading.main_thread():
        words.append(str(os.getpid()))  # the kernel watches the thread that starts a child
    return words


def _environment(
    module: str, extra: Mapping[str, str] | None, own_interpreter: bool
) -> dict[str, str]:
    """A child's variables, the extra ones, and our import path for the same interpreter."""
    variables = child_variables(ENTRUSTED.get(module, ()))
    if own_interpreter:
        folders = (str(Path(folder or ".").absolute()) for folder in sys.path)
        variables["PYTHONPATH"] = os.pathsep.join(folders)
    return variables | dict(extra or {})


def _bury(process: subprocess.Popen[bytes], write_fd: int) -> None:
    """Wait for the child's end, end what it left running, then tell the blocked reader.

    The parent keeps this write end open, so a grandchild that holds another copy of it can
    neither fake nor delay the news.
    """
    wait_for_end(process)
    kill_members(process.pid)
    process.wait()
    with os.fdopen(write_fd, "wb", buffering=0) as answers, suppress(OSError):
        answers.write(b"\n" + GONE)  # the first newline ends a torn line


def _unpack(answer: dict[str, Json], reply: Json, what: str) -> Json:
    """Return the reply, or raise the error that the child met."""
    if "error" not in answer:
        return _decoded(answer.get("reply"), reply, what)
    error = answer["error"]
    raise WorkerError(
        error["problem"],
        fix=error["fix"],
        status=error.get("status", Status.FAILED),
        exit_code=error.get("exit_code", EXIT_CELLS),
    )


def _decoded(value: Json, reply: Json, what: str) -> Json:
    """What the child said, as the type that its command answers with."""
    try:
        return msgspec.convert(value, reply)
    except msgspec.ValidationError as error:
        raise WorkerError(
            f"{what} gave another reply than {getattr(reply, '__name__', reply)}: {error}",
            fix="let one version of the harness ask and answer: reinstall it, or check --python-a"
            " and --python-b",
        ) from error
