"""Where text leaves: the one place that writes on stdout and stderr.

What is drawn was made safe for its format by harness.report.grid. Names of files, words of the
system and of other libraries pass here too: whatever would act on a terminal or begin a line of its
own, which a build service takes for a command, leaves as a visible escape.
"""

import errno
import io
import os
import sys

import click

from harness.report.grid import bounded, one_line, visible
from harness.report.paint import painted


def show(text: str, nl: bool = True, in_colour: bool = False) -> None:
    """Print on stdout what a command was asked for.

    Args:
        text: of any number of lines.
        nl: end it with a line feed.
        in_colour: a terminal shows verdicts, grades and failures in colours.

    Raises:
        OSError: stdout takes nothing, or was closed before the command began.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    safe = visible(text)
    click.echo(painted(safe) if in_colour else safe, nl=nl)


def show_beside(text: str) -> None:
    """Print on stderr what stands beside the table, for a program; what it does not take is lost.

    Args:
        text: of any number of lines; ends with a line feed.
    """
    if sys.stderr is not None:
        click.echo(visible(text), nl=False, err=True)


def tell(*lines: str) -> None:
    """Print lines on stderr, each of them one; where that takes nothing, the rest goes on.

    Nothing that is said there decides what a command ends with: its exit code does.
    """
    if sys.stderr is None:
        return
    try:
        for line in lines:
            click.echo(one_line(line), err=True)
    except OSError:
        silence_stderr()


def tell_problem(problem: str, fix: str) -> None:
    """Say on stderr what is wrong and what to try: two lines, whatever names stand in them."""
    tell(bounded(f"bench: {problem}"), bounded(f"  try: {fix}"))


def silence_stderr() -> None:
    """Lead stderr to nowhere: what is left in it would fail again at the interpreter's end."""
    sys.stderr = Nowhere()


class Nowhere(io.TextIOBase):
    """A stream that takes everything and keeps nothing."""

    def write(self, text: str) -> int:
        """Take the text."""
        return len(text)


def hold_descriptors() -> None:
    """Take the place of closed standard streams, before a file that is opened does.

    With descriptor 1 closed the first file has it, and what a library prints ends up in a journal.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free
