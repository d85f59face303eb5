"""The child's side of the worker: a loop that answers JSON lines until end of file."""

import faulthandler
import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from inspect import isroutine
from typing import IO, Any, get_type_hints

import msgspec

from harness.core.errors import EXIT_CELLS, HarnessError
from harness.core.progress import Hear, Part, heard_by
from harness.machine.process.ending import speaks_of_memory, without_folders
from harness.machine.process.phase import begin_phases, tell_phase
from harness.results.enums import Status

Json = Any
Commands = Mapping[str, Callable[..., Json]]

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOADED = "loaded"  # asked of every child: answered once its module is imported
PART = "part"  # a line that is no answer: how much of the command is done
PART_S = 0.2  # between two of them


def main(words: Sequence[str]) -> int:
    """Serve one module: `MODULE [owned [PARENT_PID]]`.

    Args:
        words: the module; `owned` when a parent process started this one and its death must end
            it; the parent's id when its main thread did, so that the kernel may watch it too.
    """
    module, *owner = words
    requests, answers = _take_pipes()
    if len(owner) > 1:
        _die_with(int(owner[1]))
    faulthandler.enable()  # a crash leaves its stack in the log
    begin_phases()
    tell_phase("importing")
    serve(_commands_of(module), requests, answers, owned=bool(owner))
    return 0


def serve(
    load: Callable[[], Commands], requests: IO[bytes], answers: IO[bytes], owned: bool
) -> None:
    """Answer each request in turn until the requests end.

    Args:
        load: gives the commands; called once, and a failure becomes the answer to each request.
        requests: lines of `{"do": name, "with": {arguments}}`.
        answers: gets one line each: `{"reply": ...}` or `{"error": {...}}`.
        owned: end the whole process group when the requests end in the middle of a command.
    """
    inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    work = _Work(asked=1)  # loading
    arguments = (requests, inbox, work, owned)
    threading.Thread(target=_read_requests, args=arguments, daemon=True).start()
    loaded = _answer(load)
    work.answered += 1
    while (line := inbox.get()) is not None:
        answer = (
            loaded
            if "error" in loaded
            else _answer_line(loaded["reply"], line, _parts_into(answers))
        )
        text = _as_line(answer)
        work.answered += 1  # before the answer: the parent may close as soon as it has it
        try:
            answers.write(text)
            answers.flush()
        except OSError:  # the parent is gone
            return


@dataclass(slots=True)
class _Work:
    """Commands taken in (by the reading thread) and finished (by the main one)."""

    asked: int = 0
    answered: int = 0


def _read_requests(
    requests: IO[bytes], inbox: "queue.SimpleQueue[bytes | None]", work: _Work, owned: bool
) -> None:
    """Pass lines on; at end of file end the loop, or the whole group if a command still runs."""
    for line in requests:
        work.asked += 1
        inbox.put(line)
    inbox.put(None)
    if owned and work.answered < work.asked:
        if sys.platform == "win32":
            os._exit(1)
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _parts_into(answers: IO[bytes]) -> Hear:
    """A way to tell parts of a command: lines before its answer, a few a second."""
    last_s = time.monotonic()

    def hear(part: Part) -> None:
        nonlocal last_s
        if threading.current_thread() is not threading.main_thread():
            return  # two threads would tear lines
        now_s = time.monotonic()
        if now_s - last_s < PART_S:
            return
        last_s = now_s
        with suppress(OSError):  # the parent is gone
            answers.write(json.dumps({PART: [part.done, part.total, part.unit]}).encode() + b"\n")
            answers.flush()

    return hear


def _answer_line(commands: Commands, line: bytes, hear: Hear | None = None) -> dict[str, Json]:
    """Run the command that one request names.

    Args:
        commands: by name.
        line: the request.
        hear: is told parts of it, where the request asks for them.
    """
    request = json.loads(line)
    if request["do"] == LOADED:
        return {"reply": None}
    command = commands.get(request["do"])
    if command is None:
        known = ", ".join(sorted(commands))
        problem = f"the worker knows no command {request['do']!r}"
        return {"error": {"problem": problem, "fix": f"one of: {known}"}}
    wanted = hear if request.get(PART) else None
    with nullcontext() if wanted is None else heard_by(wanted):
        return _answer(lambda: call_command(command, request.get("with", {})))


def call_command(command: Callable[..., Json], sent: Mapping[str, Json]) -> Json:
    """Call a command with what was sent, each argument as the type that the command says.

    Raises:
        msgspec.ValidationError: an argument is of another type.
    """
    hints = get_type_hints(command) if isroutine(command) else {}
    typed = {
        name: msgspec.convert(value, hints[name]) if name in hints else value
        for name, value in sent.items()
    }
    return command(**typed)


def _answer(call: Callable[[], Json]) -> dict[str, Json]:
    """Call and wrap what comes back; no exception of any library leaves this function."""
    try:
        return {"reply": call()}
    except HarnessError as error:
        memory = Status.OUT_OF_MEMORY if speaks_of_memory(error.problem) else Status.FAILED
        status = getattr(error, "status", memory)
        return {
            "error": {
                "problem": error.problem,
                "fix": error.fix,
                "status": status,
                "exit_code": error.exit_code,
            }
        }
    except Exception as error:  # libraries raise what they like, also UnicodeDecodeError
        return {"error": _exported_error(error)}


def _exported_error(error: Exception) -> dict[str, Json]:
    """An error that no part of this package raised on purpose; its stack goes to the log."""
    with suppress(Exception):
        traceback.print_exception(error)
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or speaks_of_memory(text):
        return {
            "problem": f"out of memory: {without_folders(text)}",
            "fix": "a smaller model, a lower level or a shorter context",
            "status": Status.OUT_OF_MEMORY,
            "exit_code": EXIT_CELLS,
        }
    return {
        "problem": without_folders(text),
        "fix": "run this cell alone; if it fails again, the runtime or the model is at fault",
        "status": Status.FAILED,
        "exit_code": EXIT_CELLS,
    }


def _as_line(answer: dict[str, Json]) -> bytes:
    """One JSON line; a reply that JSON cannot hold becomes an error.

    A number that is none is refused by json; msgspec would write null.
    """
    try:
        text = json.dumps(msgspec.to_builtins(answer), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"the worker's reply is no JSON: {error}"
        failed = {
            "problem": problem,
            "fix": "reply with records of numbers, text, lists and mappings",
        }
        text = json.dumps({"error": failed})
    return text.encode() + b"\n"


def _commands_of(module: str) -> Callable[[], Commands]:
    """A call that imports `module` and gives its COMMANDS."""

    def load() -> Commands:
        commands: Commands = importlib.import_module(module).COMMANDS
        return commands

    return load


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep private copies of stdin and stdout; what anyone prints goes to stderr from now on.

    Works below Python, on the descriptors, because native libraries print on descriptor 1.
    """
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _die_with(parent_pid: int) -> None:
    """Ask the Linux kernel to kill this process when its parent dies, however busy it is then."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the call
        os._exit(1)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)  # the system frees a model sooner than the interpreter and its libraries do
