"""How far a long command is, on stderr: a bar on a terminal, lines where there is none.

Whoever measures calls between two processes, or before a build or a download: nothing is drawn, and
no clock is read, while a sample is timed. Nothing wakes up by itself, for the same reason.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TextIO

from harness.cli.output import tell
from harness.core.findings import Progress
from harness.report.progress import Clock, Pace, bar_text, log_line
from harness.results.progress import KEPT

# Between two lines of a log; one of a finished row is written whenever it comes.
LEAST_SECONDS = 5.0


@contextmanager
def open_progress(
    quiet: bool = False, stream: TextIO | None = None, clock: Clock = time.monotonic
) -> Iterator[Progress]:
    """Yield a function (what begins or is finished, steps done, steps in all; 0: not known).

    Args:
        quiet: nothing is drawn.
        stream: where to; None: stderr.
        clock: monotonic, in seconds.
    """
    out = stream or sys.stderr
    if quiet or out is None:
        yield lambda what, done, total: None
    elif out.isatty():
        with _bar(out, Pace(clock)) as show:
            yield show
    else:
        yield Lines(tell if stream is None else partial(print, file=stream), clock).show


@dataclass
class Lines:
    """One line per finished row or decided candidate, and one for what goes on every few seconds.

    Attributes:
        tell: writes one.
        clock: monotonic, in seconds.
    """

    tell: Callable[[str], None]
    clock: Clock

    def __post_init__(self) -> None:
        """Begin with nothing told."""
        self._pace = Pace(self.clock)
        self._told = ""
        self._next_s = self.clock()

    def show(self, what: str, done: int, total: int) -> None:
        """Write a line, unless one was written just now."""
        left = self._pace.left(done, total)
        if what == self._told or (self.clock() < self._next_s and not what.startswith(KEPT)):
            return
        self._told, self._next_s = what, self.clock() + LEAST_SECONDS
        self.tell(log_line(what, done, total, left))


@contextmanager
def _bar(out: TextIO, pace: Pace) -> Iterator[Progress]:
    """Draw a bar that is gone when the command ends."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=Console(file=out), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("starting", total=None)

        def show(what: str, done: int, total: int) -> None:
            if what.startswith(KEPT):  # a row stays above the bar when that is gone
                bar.console.out(log_line(what, 0, 0, ""), highlight=False)
            left = pace.left(done, total)
            text = escape(bar_text(what, left))
            with suppress(OSError):
                bar.update(
                    task, description=text, completed=done, total=total or None, refresh=True
                )

        yield show
