"""A terminal for tests: a command on a pseudo-terminal, and the screen that a person would see."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pyte

ROOT = Path(__file__).resolve().parents[2]
LONGEST_WAIT_S = 30  # nobody waits so long but for a fault
CTRL_C = b"\x03"


class Terminal:
    """A command whose stdin, stdout and stderr are one terminal; use it as a context manager.

    Attributes:
        screen: what is to be seen now.
        output: every byte that was written.
    """

    def __init__(
        self,
        words: Sequence[str],
        columns: int = 80,
        lines: int = 24,
        variables: Mapping[str, str] | None = None,
        echo: bool = False,
    ) -> None:
        """Start `python WORDS` on a terminal of that size, which shows keys only with `echo`."""
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""
        self._own, other = pty.openpty()
        self._resize(columns, lines)
        modes = termios.tcgetattr(other)
        if not echo:
            modes[3] &= ~termios.ECHO
        termios.tcsetattr(other, termios.TCSANOW, modes)
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        usual = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, *words],
            stdin=other,
            stdout=other,
            stderr=other,
            env={**kept, **usual, **(variables or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(other)

    def __enter__(self) -> Self:
        """Return the terminal."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End what still runs."""
        self._process.kill()
        self._process.wait()
        os.close(self._own)

    @property
    def text(self) -> str:
        """The lines of the screen, without spaces at their ends."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, as the window of a terminal does."""
        self._resize(columns, lines)
        self.screen.resize(lines, columns)
        os.killpg(self._process.pid, signal.SIGWINCH)

    def type(self, keys: bytes) -> None:
        """Press keys; Ctrl-C reaches the processes in the foreground as a signal."""
        os.write(self._own, keys)

    def read_until(self, words: str) -> None:
        """Read what is written until the screen shows these words."""
        while words not in self.text:
            assert self._read(), f"ended without {words!r}:\n{self.text}"

    def read_to_its_end(self) -> int:
        """Read the rest; returns the exit code."""
        while self._read():
            pass
        return self._process.wait(LONGEST_WAIT_S)

    def _read(self) -> bool:
        """Take in what was written; False: nothing writes any more."""
        ready, _, _ = select.select([self._own], [], [], LONGEST_WAIT_S)
        assert ready, f"nothing more is written:\n{self.text}"
        try:
            found = os.read(self._own, 65536)
        except OSError:  # Linux says so when the last one has closed it
            return False
        self.output += found
        self._stream.feed(found)
        return bool(found)

    def _resize(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, size)
