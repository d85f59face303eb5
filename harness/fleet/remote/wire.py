"""The system's own ssh and scp, or adb: how a machine is asked, and how files go there and back.

No word of a person is part of a command that a shell reads: the other side's shell gets the
constant `sh -s`, and on its stdin a script in which every value is quoted. Names of files there are
ours.
Hosts, keys, ports and what is done about an unknown host key are the business of ~/.ssh/config.
"""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from harness.core.environment import child_variables
from harness.core.errors import DeviceError
from harness.fleet.remote.failures import failure
from harness.fleet.remote.host_side import MARK
from harness.fleet.remote.target import ADB, Target

# How ssh finds a key, and adb its server: neither is kept from its own program.
ENTRUSTED = ("SSH_AUTH_SOCK", "ADB_VENDOR_KEYS", "ANDROID_ADB_SERVER_PORT")
SHELL = "sh -s"
ASKS_NOBODY = ("-o", "BatchMode=yes")  # a password prompt would wait for ever; ours goes over none
# Packages that bring the program.
PACKAGES = {
    "ssh": "openssh-client of Debian and Ubuntu; macOS and Windows have it",
    "scp": "openssh-client of Debian and Ubuntu; macOS and Windows have it",
    "adb": "adb of Debian and Ubuntu, or Android's platform-tools",
}
ENDS_WITHIN_S = 90.0  # of the other side, once its stdin has ended
Answers = list[dict[str, Any]]
Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wire:
    """A way to one machine.

    Attributes:
        target: which one.
        python: interpreter there: a name in its PATH or a path.
        folder: where bench keeps its files there; a relative one is below the user's home.
    """

    target: Target
    python: str = ""
    folder: str = ""

    def ask(self, verb: str, doing: str, **said: Any) -> Answers:
        """Let the host do one verb of host_side and return its answers.

        Raises:
            DeviceError: the machine cannot be reached, or its Python does not run.
        """
        script = python_script(self.python, verb, {"folder": self.folder, **said})
        return self.ask_shell(script, doing)

    def ask_shell(self, script: str, doing: str) -> Answers:
        """Run a script of the shell there and return its answers.

        Raises:
            DeviceError: the machine cannot be reached; or the script failed without an answer.
        """
        done = self._run(self.shell_words(), script.encode())
        answers = list(read_answers(done.stdout.decode("utf-8", "replace").splitlines()))
        if done.returncode != 0 and not answers:
            raise failure(self.target, _said(done), doing)
        return answers

    def follow(
        self, verb: str, hear: Callable[[dict[str, Any]], None], say: Log, **said: Any
    ) -> int:
        """Let the host do one verb, and hear each answer as it comes; lines for people are said.

        Ctrl-C here ends what runs there: its stdin ends, and what it still says is heard.

        Returns:
            Exit code of the program; 255 of ssh: the connection was lost.

        Raises:
            KeyboardInterrupt: after the other side has ended.
        """
        script = python_script(self.python, verb, {"folder": self.folder, **said})
        with TemporaryFile() as errors:
            child = self._start(self.shell_words(), errors)
            assert child.stdin is not None
            try:
                child.stdin.write(script.encode())
                child.stdin.flush()
                _hear(child, hear, say)
                code = child.wait()
            except KeyboardInterrupt:
                _end(child, hear, say)
                raise
            except OSError:  # it was gone before it read the script
                code = child.wait()
            finally:
                _kill(child)
            errors.seek(0)
            for line in errors.read().decode("utf-8", "replace").splitlines() if code else ():
                say(line)
            return code

    def push(self, folder: Path, names: Sequence[str], into: str) -> None:
        """Copy files of a folder here into a folder of bench there, which exists.

        Raises:
            DeviceError: they cannot be copied.
        """
        place = f"{self.folder}/{into}/"
        if self.target.kind == ADB:
            words = [*self._adb(), "push", *(f"./{name}" for name in names), place]
        else:
            words = [
                *self._scp(),
                *(f"./{name}" for name in names),
                f"{self.target.scp_name}:{place}",
            ]
        self._copy(words, folder, "copying to it")

    def pull(self, name: str, into: Path) -> None:
        """Copy a folder of bench there into a folder here.

        Raises:
            DeviceError: it cannot be copied.
        """
        place = f"{self.folder}/{name}"
        if self.target.kind == ADB:
            words = [*self._adb(), "pull", place, "."]
        else:
            words = [*self._scp(), f"{self.target.scp_name}:{place}", "."]
        self._copy(words, into, "copying from it")

    def shell_words(self) -> list[str]:
        """The command that gives a shell of the machine its stdin."""
        if self.target.kind == ADB:
            return [*self._adb(), "shell", SHELL]
        return [program("ssh"), "-T", *ASKS_NOBODY, "--", self.target.name, SHELL]

    def _adb(self) -> list[str]:
        return [program("adb"), "-s", self.target.name]

    def _scp(self) -> list[str]:
        return [program("scp"), "-q", "-r", *ASKS_NOBODY, "--"]

    def _copy(self, words: Sequence[str], folder: Path, doing: str) -> None:
        done = self._run(words, b"", folder)
        if done.returncode != 0:
            raise failure(self.target, _said(done), doing)

    def _run(
        self, words: Sequence[str], sent: bytes, folder: Path | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            words, input=sent, capture_output=True, cwd=folder, env=_variables(), check=False
        )

    def _start(self, words: Sequence[str], errors: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start what is followed, out of the reach of this terminal's Ctrl-C."""
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_variables(),
            start_new_session=True,
        )


def program(name: str) -> str:
    """Where a program of the system lies.

    Raises:
        DeviceError: nowhere in PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise DeviceError(
            f"--on needs {name}, which is not installed", fix=f"the package {PACKAGES[name]}"
        )
    return found


def python_script(python: str, verb: str, asked: dict[str, Any]) -> str:
    """A script of the shell that lets a Python do one verb of host_side, with every word quoted.

    One group of commands: a shell that reads ahead on its stdin has all of it before it begins.
    """
    words = (python, "-P", "-c", host_text(), verb, json.dumps(asked))
    return f"{{ exec {' '.join(map(shlex.quote, words))}; exit; }}\n"


def host_text() -> str:
    """The text of host_side."""
    return (resources.files("harness.fleet.remote") / "host_side.py").read_text(encoding="utf-8")


def read_answers(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The answers among lines, whatever a login script wrote between them."""
    for line in lines:
        found = read_answer(line)
        if found is not None:
            yield found


def read_answer(line: str) -> dict[str, Any] | None:
    """One answer; None: a line for people."""
    if not line.startswith(MARK):
        return None
    try:
        found = json.loads(line.removeprefix(MARK))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _variables() -> dict[str, str]:
    """Those of the child: its messages in the language that the table of failures reads."""
    return child_variables(ENTRUSTED) | {"LC_ALL": "C"}


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    """What a program said of its failure; adb says some of it on stdout."""
    return (done.stderr or done.stdout).decode("utf-8", "replace")


def _hear(
    child: "subprocess.Popen[bytes]", hear: Callable[[dict[str, Any]], None], say: Log
) -> None:
    """Hear every line until the other side ends."""
    assert child.stdout is not None
    for content in child.stdout:
        line = content.decode("utf-8", "replace").rstrip("\r\n")
        answer = read_answer(line)
        if answer is not None:
            hear(answer)
        elif line.strip():
            say(line)


def _end(
    child: "subprocess.Popen[bytes]", hear: Callable[[dict[str, Any]], None], say: Log
) -> None:
    """Let the other side end by itself; a second Ctrl-C does not wait for it."""
    assert child.stdin is not None
    child.stdin.close()
    _hear(child, hear, say)
    child.wait(ENDS_WITHIN_S)


def _kill(child: "subprocess.Popen[bytes]") -> None:
    """Leave no program behind, whatever happened."""
    if child.poll() is None:
        child.kill()
        child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
