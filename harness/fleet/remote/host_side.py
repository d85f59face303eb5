"""What runs on the other machine, by its own Python: this file's text, and nothing else of bench.

It is given to `python -c` there before anything is installed, so it needs the standard library
alone. Verbs: `facts`, `install`, `keep`, `cells`, `clean`. Each takes one JSON object and answers
in lines: those that begin with MARK are JSON for us, the others are for people.

Text of others never becomes part of a command here: every child is started with a list of words.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARK = "@bench "
ENDS_WITHIN_S = 60.0  # of a measurement that is asked to end, before it is killed
QUIET = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}
INTERRUPTED = 130
Asked = dict[str, Any]


def tell(**said: Any) -> None:
    """Write one answer."""
    sys.stdout.write(f"{MARK}{json.dumps(said)}\n")
    sys.stdout.flush()


def facts(asked: Asked) -> int:
    """Make the folders of `asked` and say what this Python and its disk are.

    Of `asked`: `folder`, `folders` in it, `digest` of what an environment holds, and `models`,
    folders of models, of which those that were brought whole are told.
    """
    folder = folder_of(asked)
    for name in asked["folders"]:
        (folder / name).mkdir(parents=True, exist_ok=True)
    name = environment_name(asked["digest"])
    tell(
        environment=name,
        is_ready=(folder / name / "complete").exists(),
        models=[one for one in asked["models"] if (folder / one / "complete").exists()],
        version=list(sys.version_info[:3]),
        implementation=sys.implementation.name,
        executable=sys.executable,
        is_android=hasattr(sys, "getandroidapilevel"),
        free_bytes=shutil.disk_usage(folder).free,
        installed=version_installed(),
        has_venv=has_module("ensurepip") and has_module("venv"),
        platforms=platforms(),
    )
    return 0


def folder_of(asked: Asked) -> Path:
    """The folder of bench on this machine; a relative one is below the user's home."""
    return Path.home() / str(asked["folder"])


def environment_name(digest: str) -> str:
    """An environment is one of an interpreter: another one has its own."""
    said = f"{os.path.realpath(sys.executable)} {sys.version}".encode()
    return f"env-{digest}-{hashlib.sha256(said).hexdigest()[:8]}"


def has_module(name: str) -> bool:
    """Whether it could be imported."""
    import importlib.util

    return importlib.util.find_spec(name) is not None


def version_installed() -> str:
    """The version of bench that this Python has; empty: none."""
    from importlib import metadata

    try:
        return metadata.version("ondevice-bench") if has_module("harness") else ""
    except metadata.PackageNotFoundError:
        return ""


def platforms() -> list[str]:
    """Platforms of wheels that this Python takes, the best first, as pip names them."""
    try:
        from pip._vendor.packaging.tags import sys_tags
    except ImportError:
        return []
    found = dict.fromkeys(tag.platform for tag in sys_tags())
    return [name for name in found if name != "any"]


def install(asked: Asked) -> int:
    """Make an environment with the wheel, unless it is there; one process at a time.

    Of `asked`: `folder`, `name` of the environment, `wheel` in it, `requirements`, and `links`, a
    folder of wheels instead of the index.
    """
    import fcntl

    folder = folder_of(asked)
    place = folder / asked["name"]
    with (folder / f"{asked['name']}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            if not _made(folder, place, asked):
                shutil.rmtree(place, ignore_errors=True)
                return 1
            (place / "complete").touch()
    tell(python=str(python_of(place)))
    return 0


def python_of(place: Path) -> Path:
    """The interpreter of an environment."""
    return place / "bin" / "python"


def _made(folder: Path, place: Path, asked: Asked) -> bool:
    """Make the environment; what went wrong is told."""
    is_android = hasattr(sys, "getandroidapilevel")  # the packages of its own are built for it
    words = "-m venv --system-site-packages" if is_android else "-m venv"
    if not _done("venv", [sys.executable, *words.split(), str(place)]):
        return False
    links = asked.get("links")
    words = "-m pip install -q --retries 1 --timeout 20"
    if links:
        words = "-m pip install -q --no-index"
    where = ["-f", str(folder / links)] if links else []
    wanted = [str(folder / asked["wheel"]), *asked["requirements"]]
    return _done("pip", [str(python_of(place)), *words.split(), *where, *wanted])


def _done(step: str, words: list[str]) -> bool:
    """Run an installer; its last words are told where it fails."""
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **QUIET}, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        tell(failed=step, said=done.stdout.decode("utf-8", "replace")[-2000:])
    return done.returncode == 0


def cells(asked: Asked) -> int:
    """Measure one cell after the other; ends when our stdin does, and keeps what is finished.

    Of `asked`: `folder`, `python`, `cells` (names of files), `work` (their folder), `words` (more
    of `bench cell`).
    """
    work = folder_of(asked) / asked["work"]
    ended = threading.Event()
    running: list[subprocess.Popen[bytes]] = []
    threading.Thread(target=_watch_stdin, args=(ended, running), daemon=True).start()
    for number, name in enumerate(asked["cells"]):
        if ended.is_set():
            break
        tell(begins=name, number=number)
        code = _measure(work, asked, name, running, ended)
        tell(ends=name, code=INTERRUPTED if ended.is_set() else code)
    return INTERRUPTED if ended.is_set() else 0


def _measure(
    work: Path, asked: Asked, name: str, running: list[Any], ended: threading.Event
) -> int:
    """Measure one cell in a process group of its own; its lines for people are ours."""
    words = [
        interpreter(asked["python"]),
        "-P",
        "-m",
        "harness",
        "cell",
        f"cells/{name}",
        "--out",
        "out",
    ]
    sys.stdout.flush()
    child = subprocess.Popen(
        [*words, *asked["words"]],
        cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=sys.stdout,
        env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
    )  # fmt: skip
    running.append(child)
    try:
        if ended.is_set():  # between two cells, when nothing was there to be asked
            _end(child)
        return child.wait()  # blocks in the kernel: nothing here runs beside a measurement
    finally:
        running.remove(child)


def interpreter(name: str) -> str:
    """An interpreter by name, or by a path that is relative to where this process began."""
    return str(Path(name).absolute()) if os.sep in name else name


def _watch_stdin(ended: threading.Event, running: list[Any]) -> None:
    """Wait until the other side closes our stdin or is gone; then ask the measurement to end."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    ended.set()
    for child in list(running):
        _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Ask a measurement to keep what it has, and kill it and its workers if it does not."""
    for number, seconds in ((signal.SIGINT, ENDS_WITHIN_S), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(child.pid, number) if number == signal.SIGKILL else child.send_signal(number)
            child.wait(seconds)
            return
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def keep(asked: Asked) -> int:
    """Note that a folder of models was brought whole."""
    (folder_of(asked) / asked["name"] / "complete").touch()
    return 0


def clean(asked: Asked) -> int:
    """Remove the folder of cells and results that were brought home."""
    shutil.rmtree(folder_of(asked) / asked["work"], ignore_errors=True)
    return 0


VERBS: dict[str, Callable[[Asked], int]] = {
    "facts": facts,
    "install": install,
    "cells": cells,
    "keep": keep,
    "clean": clean,
}


def main(words: list[str]) -> int:
    """Do what is asked; a full disk or another fault of the system is an answer too."""
    try:
        return VERBS[words[0]](json.loads(words[1]))
    except OSError as error:
        tell(failed="system", said=f"{error.strerror or error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
