"""How a child process is ended, and what its end means: pure of any heavy import."""

import os
import re
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import WorkerError
from harness.results.enums import Status

if TYPE_CHECKING:
    import subprocess

LOG_TAIL_LINES = 6
# What allocators say when they fail: C++, ONNX Runtime's arena, numpy. Lower case.
MEMORY_WORDS = (
    *("bad_alloc", "failed to allocate memory", "unable to allocate", "out of memory"),
    # OpenBLAS, then the C library's word for ENOMEM and what a thread says that has no stack.
    *("memory allocation still failed", "tried to allocate too many memory regions"),
    *("openblas: malloc failed", "openblas error: memory", "cannot allocate memory"),
)


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """End the child and everything in its process group, now. No error if it is gone."""
    if process.returncode is None:
        kill_members(process.pid)


def kill_members(pid: int) -> None:
    """End what is left of the process group `pid`, its leader included."""
    if sys.platform == "win32":
        _kill_tree(pid)
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _kill_tree(pid: int) -> None:
    """Windows has no process groups to kill: end the descendants, then the child."""
    import psutil

    with suppress(psutil.Error):
        child = psutil.Process(pid)
        for member in [*child.children(recursive=True), child]:
            with suppress(psutil.Error):
                member.kill()


def wait_for_end(process: "subprocess.Popen[bytes]") -> None:
    """Block until the child is dead, where possible without freeing its process id.

    As long as the id is not freed, killing its group cannot hit a stranger.
    """
    waitid = getattr(os, "waitid", None)
    if waitid is None:  # Windows; macOS before Python 3.13
        process.wait()
        return
    with suppress(ChildProcessError):
        waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def oom_kills(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """How many processes the kernel has killed for memory so far; 0 where nothing tells.

    Adds the whole machine's counter and those of this process's own control groups (v2
    memory.events, v1 memory.oom_control), because a container may hide either; only a
    difference of two calls means anything.
    """
    counters = [proc / "vmstat"]
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if controllers == "":
            counters += [cgroup / inside / "memory.events", cgroup / "memory.events"]
        elif "memory" in controllers.split(","):
            v1 = cgroup / "memory"
            counters += [v1 / inside / "memory.oom_control", v1 / "memory.oom_control"]
    return sum(_oom_kill_counter(_lines(path)) for path in counters)


def _oom_kill_counter(lines: Iterable[str]) -> int:
    """The value behind `oom_kill` in a file of `name value` lines; 0 without one."""
    for line in lines:
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdecimal():
            return int(value)
    return 0


def _lines(path: Path) -> list[str]:
    """The file's lines; none where it is absent, hidden or not text."""
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def ended_error(
    what: str,
    returncode: int,
    *,
    log_tail: str,
    timeout_s: float | None,
    killed_for_memory: bool,
    phase: str = "",
) -> WorkerError:
    """Say how a child that gave no answer ended.

    Args:
        what: the module and command that were asked.
        returncode: of the process; negative: the signal that ended it (POSIX).
        log_tail: the end of what it printed; its last lines go into the message.
        timeout_s: the time limit, when the watchdog ended it; else None.
        killed_for_memory: the kernel's count of memory kills rose while it lived.
        phase: the last one that it told of; empty: none.
    """
    last_words = last_lines(log_tail)
    at = f" at {phase}" if phase else ""
    if timeout_s is not None:
        return WorkerError(
            f"{what} gave no answer within {timeout_s:.3g} s{at} and was ended{last_words}",
            fix="a smaller model, fewer tokens, or a longer --timeout",
            status=Status.TIMEOUT,
        )
    end = f"{_end_in_words(returncode)}{at}"
    kernel_killed = killed_for_memory and returncode == -getattr(signal, "SIGKILL", 9)
    if kernel_killed or (returncode != 0 and speaks_of_memory(log_tail)):
        return WorkerError(
            f"{what} ran out of memory ({end}){last_words}",
            fix="a smaller model, a lower level or a shorter context",
            status=Status.OUT_OF_MEMORY,
        )
    return WorkerError(
        f"{what} ended without an answer ({end}){last_words}",
        fix="run this cell alone; if it ends the same way, the runtime or the model is at fault",
        status=Status.CRASHED,
    )


def speaks_of_memory(text: str) -> bool:
    """Whether an error text is an allocator's."""
    lowered = text.lower()
    return any(words in lowered for words in MEMORY_WORDS)


def _end_in_words(returncode: int) -> str:
    """The exit code, or the signal's name, or Windows' status in hexadecimal."""
    if returncode < 0:
        try:
            return signal.Signals(-returncode).name
        except ValueError:
            return f"signal {-returncode}"
    if returncode > 0xFFFF:
        return f"status {returncode:#x}"
    return f"exit code {returncode}"


def last_lines(log: str) -> str:
    """The last lines of a log as ` ... | line | line`, without folders; empty for an empty log."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return "".join(f" | {without_folders(line)}" for line in lines[-LOG_TAIL_LINES:])


# A drive or a slash, then at least one folder; not in the middle of a word or an address.
FOLDERS = re.compile(r"(?<![\w/\\:])(?:[A-Za-z]:)?[/\\]{1,2}(?:[^\s/\\:'\"]+[/\\]+)+")


def without_folders(text: str) -> str:
    """Cut absolute paths down to their last component: an error text names no person or place."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    if len(home) > 1:
        text = re.sub(re.escape(home) + r"(?![\w.-])", "~", text)
    with suppress(OSError):  # the working folder may be gone
        text = text.replace(f"{Path.cwd()}{os.sep}", "")
    return FOLDERS.sub("", text)
