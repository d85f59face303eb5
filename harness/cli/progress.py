"""How far a long command is, on stderr: a view that is gone at its end, lines where no terminal is.

Whoever measures calls between two tests, before a process, a build or a download: nothing is drawn,
and no clock is read, while a sample is timed. Nothing wakes up by itself, for the same reason; so
the time left is told with the time of day at which it ends.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol, TextIO

import click

from harness.cli.options import VERBOSE
from harness.cli.output import tell
from harness.core.environment import PLAIN, TERM, read_variable
from harness.core.findings import Log
from harness.core.progress import Part, details_to, heard_by
from harness.report.bars import signs_for
from harness.report.grid import one_line
from harness.report.live import Now, draw_live, part_words, widest
from harness.report.progress import Clock, Pace, log_line, time_left
from harness.results.progress import KEPT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from harness.runner.loop.standing import Standing

# Between two lines of a log: of two steps, and of one that goes on; a finished row has its own.
LEAST_SECONDS = 5.0
SAME_SECONDS = 30.0
DRAWN_SECONDS = 0.1  # between two drawings of parts
DUMB = ("dumb", "unknown")  # terminals that no cursor moves on
WallClock = Callable[[], datetime]


class View(Protocol):
    """What is told while a command goes on."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say what begins or is finished, steps done, steps in all; 0: not known."""

    def board(self, standing: "Standing") -> None:
        """Say where every cell is."""

    def part(self, part: Part) -> None:
        """Say how much of the step is done."""

    def say(self, line: str) -> None:
        """Say something that stays."""


@contextmanager
def open_progress(
    quiet: bool = False,
    stream: TextIO | None = None,
    clock: Clock = time.monotonic,
    verbose: bool | None = None,
    wall: WallClock = datetime.now,
) -> Iterator[View]:
    """Yield what is told of a command while it goes on.

    Args:
        quiet: nothing is drawn.
        stream: where to; None: stderr.
        clock: monotonic, in seconds.
        verbose: details are told too, a line each; None: as `-v` says. quiet goes over it.
        wall: the time of day.
    """
    out = stream or sys.stderr
    if quiet or out is None:
        yield Nothing()
        return
    with ExitStack() as stack:
        view: View
        if out.isatty() and read_variable(TERM) not in DUMB:
            view = stack.enter_context(_live(out, clock, wall))
        else:
            view = Lines(tell if stream is None else partial(print, file=stream), clock)
        stack.enter_context(heard_by(view.part))
        if _asks_for_details() if verbose is None else verbose:
            stack.enter_context(details_to(view.say))
        yield view


def _asks_for_details() -> bool:
    """Whether the command that runs was given `-v`."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(VERBOSE))


class Nothing:
    """A view that shows nothing."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show nothing."""

    def board(self, standing: "Standing") -> None:
        """Show nothing."""

    def part(self, part: Part) -> None:
        """Show nothing."""

    def say(self, line: str) -> None:
        """Show nothing."""


@dataclass
class Lines:
    """A line for each row that is finished, each new step, and now and then that it goes on.

    Attributes:
        tell: writes one.
        clock: monotonic, in seconds.
    """

    tell: Log
    clock: Clock

    def __post_init__(self) -> None:
        """Begin with nothing told."""
        self._pace = Pace(self.clock)
        self._told, self._step = "", ""
        self._told_s = self.clock() - SAME_SECONDS
        self._standing: Standing | None = None
        self._part: Part | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Write a line, unless one was written just now."""
        left = time_left(self._pace.left(done, total), self._standing)
        if what.startswith(KEPT):
            self.tell(log_line(what, done, total, left))
            return
        step = what.partition(": ")[0]
        least_s = SAME_SECONDS if step == self._step else LEAST_SECONDS
        if what == self._told or self.clock() < self._told_s + least_s:
            return
        self._told, self._step, self._told_s = what, step, self.clock()
        told = log_line(what, done, total, left)
        wide = "" if self._standing is None else widest(self._standing)
        self.tell(f"{told}; {wide}" if wide else told)

    def board(self, standing: "Standing") -> None:
        """Keep it for the next line."""
        self._standing = standing

    def part(self, part: Part) -> None:
        """Write a line of a step that goes on for long."""
        if self._told and self.clock() >= self._told_s + SAME_SECONDS:
            self._told_s = self.clock()
            self.tell(f"{self._told} ({part_words(part)})")

    def say(self, line: str) -> None:
        """Write it."""
        self.tell(one_line(line))


class _Live:
    """Lines that are drawn anew at each call, over those before."""

    def __init__(self, live: "Live", console: "Console", clock: Clock, wall: WallClock) -> None:
        """Take over an open view that does not refresh itself."""
        self._live, self._console = live, console
        self._clock, self._wall = clock, wall
        self._pace, self._now = Pace(clock), Now()
        self._signs = signs_for(console.encoding)
        self._drawn_s = clock()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Draw what begins; a finished row stays above."""
        if what.startswith(KEPT):
            self.say(log_line(what, 0, 0, ""))
        is_same = what.partition(": ")[0] == self._now.what.partition(": ")[0]
        self._now = replace(self._now, what=what, done=done, total=total)
        if not is_same:
            self._now = replace(self._now, part=None)
        left = self._pace.left(done, total)
        if self._now.standing is None or self._now.standing.left_s is None:
            self._now = replace(self._now, left=left)
        self._draw()

    def board(self, standing: "Standing") -> None:
        """Draw where the cells are."""
        self._now = replace(self._now, standing=standing)
        if standing.left_s is not None:
            ends = self._wall() + timedelta(seconds=standing.left_s)
            self._now = replace(self._now, left=time_left("", standing), until=f"{ends:%H:%M}")
        self._draw()

    def part(self, part: Part) -> None:
        """Draw how much of the step is done, some times a second."""
        is_end = self._now.part is None or part.done == part.total
        self._now = replace(self._now, part=part)
        if is_end or self._clock() >= self._drawn_s + DRAWN_SECONDS:
            self._draw()

    def say(self, line: str) -> None:
        """Write a line above."""
        with suppress(OSError):
            self._console.out(one_line(line), highlight=False)

    def _draw(self) -> None:
        from rich.text import Text

        self._drawn_s = self._clock()
        size = self._console.size
        lines = draw_live(self._now, size.width - 1, size.height - 2, self._signs)
        drawn = Text(no_wrap=True, overflow="crop")
        for place, (text, style) in enumerate(lines):
            drawn.append("\n" * bool(place) + text, style)
        with suppress(OSError):
            self._live.update(drawn, refresh=True)


@contextmanager
def _live(out: TextIO, clock: Clock, wall: WallClock) -> Iterator[View]:
    """Open a view that is gone when the command ends, however it ends.

    The cursor stays to be seen: whoever is stopped or killed leaves a terminal as it was.
    """
    from rich.console import Console
    from rich.live import Live

    console = Console(file=out, no_color=bool(read_variable(PLAIN)), highlight=False)
    shown = Live(
        console=console,
        transient=True,
        auto_refresh=False,
        vertical_overflow="crop",
        redirect_stdout=False,
    )
    with shown as one:
        console.show_cursor(True)
        yield _Live(one, console, clock, wall)
