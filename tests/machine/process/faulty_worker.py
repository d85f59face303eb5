"""A worker module whose commands go wrong in every way that a measuring child may."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.core.errors import StorageError, WorkerError
from harness.core.progress import told_parts
from harness.machine.process.phase import tell_phase


def echo(**arguments: Any) -> Any:
    return arguments


def pid() -> int:
    return os.getpid()


def variables() -> list[str]:
    return sorted(os.environ)


def kill(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


def crash_in_native_code() -> None:
    ctypes.string_at(0)


def abort() -> None:
    os.abort()


def leave(code: int) -> None:
    os._exit(code)


def exit_politely() -> None:
    sys.exit(0)


def hang(fifo: str | None = None) -> None:
    """Say that it has begun, to whom it may concern, and never end."""
    if fifo is not None:
        with Path(fifo).open("w"):
            pass
    threading.Event().wait()


def hang_in_a_phase(phase: str, words: str) -> None:
    """As a session that never opens, and says something first."""
    tell_phase(phase)
    os.write(2, words.encode())
    threading.Event().wait()


def take_within(limit_bytes: int, size_bytes: int) -> int:
    """Allocate under a limit on address space."""
    import resource

    _, most_bytes = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, most_bytes))
    return len(bytearray(size_bytes))


def hang_holding_the_interpreter(fifo: str | None = None) -> None:
    """pause() called without releasing the interpreter lock: no Python thread can help."""
    if fifo is not None:
        with Path(fifo).open("w"):
            pass
    ctypes.PyDLL(None).pause()


def print_everywhere() -> str:
    print('{"reply": "printed by Python"}', flush=True)  # noqa: T201
    os.write(1, b'{"reply": "printed on descriptor 1"}\n')
    libc = ctypes.CDLL(None)
    libc.puts(b'{"reply": "printed by C"}')
    libc.fflush(None)
    os.system('echo \'{"reply": "printed by a child"}\'')
    return "the answer"


def tear_answer() -> None:
    """Write half a line on every descriptor that this process has."""
    for descriptor in range(3, 32):
        with suppress(OSError):
            os.write(descriptor, b'{"reply": "to')


def write_torn_answer() -> None:
    tear_answer()
    os._exit(3)


def leave_a_grandchild() -> int:
    """A process of the same group that outlives this command and holds its output."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    return subprocess.Popen(command).pid


def fork_and_leave() -> None:
    """Half an answer; then a fork keeps the pipe open in a session of its own; the leader goes."""
    tear_answer()
    if os.fork() == 0:
        os.setsid()
        threading.Event().wait(60)
        os._exit(0)
    os._exit(0)


def run_out_of_memory() -> None:
    raise MemoryError


def native_allocation_failure() -> None:
    raise RuntimeError("Failed to allocate memory for requested buffer of size 99")


def terminate_on_bad_alloc() -> None:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def undecodable() -> None:
    b"\xff".decode()


def name_a_path() -> None:
    raise RuntimeError(f"Load model from {os.path.expanduser('~')}/secret/model.onnx failed")  # noqa: PTH111


def fail_on_purpose(code: int) -> None:
    if code == StorageError.exit_code:
        raise StorageError("the disk is full", fix="free 3 GB")
    raise WorkerError("the inner one hung", fix="look at it", status="timeout", exit_code=code)


def reply_nothing_json() -> Any:
    return object()


def reply_not_a_number() -> float:
    return float("nan")


def reply_much(size_bytes: int) -> str:
    return "x" * size_bytes


def count(values: list[int]) -> int:
    return len(values)


def variable(name: str) -> str | None:
    return os.environ.get(name)


def tell_of_parts(total: int) -> str:
    """A long command that says after each part how many are done; the pipe takes all of them."""
    sys.modules["__main__"].PART_S = 0.0
    for _ in told_parts(range(total), "chunks"):
        pass
    return "the answer"


COMMANDS = {name: call for name, call in list(globals().items()) if callable(call)}
