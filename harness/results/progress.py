"""How far a run came: interrupted, resumed or ended by its budget, as every report says it.

A document holds it in its plan as `progress`; a run that came to its end in one go has none.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Sequence

from harness.core.addresses import without_hosts
from harness.results.enums import Ending
from harness.results.plan import Progress
from harness.results.schema import Document

FINISHED = "measured: "  # how the line of a finished row begins
DECIDED = "decided: "  # and that of a candidate of `bench fit`
KEPT = (FINISHED, DECIDED)  # lines that stay where others only say what goes on
SAME = "the same command with --resume"
RUN, RESUME = "run", "--resume"
# The folders of an absolute path of any system: a whole word, after `=` or in a list.
_PLACE = re.compile(r"(?<![^=,])(?:~|[A-Za-z]:|[\\/])(?:[^,]*[\\/])?(?=[^\\/,]+)")


def progress_of(document: Document) -> Progress | None:
    """What a run says of its progress; None: it was measured to its end in one go."""
    return document.plan.progress or None


def ending_of(document: Document) -> Ending:
    """How a run ended, in one word."""
    found = progress_of(document)
    return Ending.COMPLETE if found is None else found.ended


def go_on_command(document: Document) -> str:
    """The command that measures what a run lacks; empty: nothing is left to do."""
    found = progress_of(document)
    if found is None or found.ended not in UNFINISHED:
        return ""
    return found.command or SAME


def progress_sentence(document: Document) -> str:
    """What of a run is missing and how it goes on, in one line; empty for a usual run."""
    found = progress_of(document)
    if found is None:
        return ""
    times = found.resumed
    sittings = (
        f"resumed {times} time{'' if times == 1 else 's'}: its rounds are of several sittings"
    )
    if found.ended is Ending.RESUMED:
        return sittings
    ended = _ended(found) + f"; {sittings}" * bool(times)
    command = go_on_command(document)
    if found.ended is Ending.FAILED:
        return f"{ended}; try again: {command}"
    return f"{ended}; go on: {command}" if command else f"{ended}; a longer --budget measures all"


def _ended(found: Progress) -> str:
    """How a run ended, and how many cells lack what."""
    if found.ended is Ending.FAILED:
        return f"{found.failed} of {found.cells} cells failed, or lack rounds or their memory"
    rounds = found.rounds
    short = found.cells - found.whole - found.unmeasured
    lack = [
        f"{found.unmeasured} of {found.cells} cells not measured" * bool(found.unmeasured),
        f"{short} of {found.cells} cells without all of their {rounds} rounds or their memory"
        * bool(short),
    ]
    told = ", ".join(part for part in lack if part) or "every cell measured, not all that follows"
    return f"{ENDED[found.ended]}: {told}"


UNFINISHED = (Ending.INTERRUPTED, Ending.FAILED)  # what --resume goes on with
ENDED = {Ending.INTERRUPTED: "interrupted", Ending.BUDGET: "ended by its budget"}


def without_places(words: Sequence[str]) -> list[str]:
    """Words of a command without folders of absolute paths and hosts: a document names no place."""
    return [_PLACE.sub(".../", without_hosts(word)) for word in words]


def command_line(words: Sequence[str]) -> str:
    """Words as one line that this system's shell takes apart again."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def resume_command(arguments: Sequence[str], command: str = RUN) -> list[str]:
    """Words of the command that goes on with the run, or the fit, of `arguments`."""
    words = [word for word in arguments if word != RESUME]
    begins = ["bench"] if words[:1] == [command] else ["bench", command]
    return [*begins, *words, RESUME]
