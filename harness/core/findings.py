"""What a check found out, and how long tasks tell what they do: plain values. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"
STATES = (OK, WARNING, ERROR)  # best first
Log = Callable[[str], None]  # takes one line about what is going on
# What a long task tells a person who waits: what begins or is finished, steps done, steps in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check looked at.

    Attributes:
        check: what was looked at, in a few words.
        state: `ok`, `warning` (numbers may be worse) or `error` (nothing can be measured right).
        detail: what was found.
        fix: the next thing to try; None: nothing is wrong.
    """

    check: str
    state: str
    detail: str
    fix: str | None = None
