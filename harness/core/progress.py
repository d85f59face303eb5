"""How far one long step is, told by whoever does it to whoever waits; also what only `-v` shows.

A build tells of bytes, a download likewise, quality of chunks. Who waits opens `heard_by` around
the step; out of a worker the same comes through its pipe (harness.machine.process.worker). Where
nobody listens nothing is told, and nothing is ever told inside of what is timed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from harness.core.findings import Log

BYTES = "bytes"
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Part:
    """How much of a step is done.

    Attributes:
        done: so many.
        total: of so many; 0: not known.
        unit: BYTES, or what is counted: `chunks`, `questions`.
    """

    done: int
    total: int
    unit: str


Hear = Callable[[Part], None]
_hear: Hear | None = None
_detail: Log | None = None


@contextmanager
def heard_by(hear: Hear) -> Iterator[None]:
    """Let parts of what is done in the block be told, by any thread."""
    global _hear
    before, _hear = _hear, hear
    try:
        yield
    finally:
        _hear = before


@contextmanager
def details_to(log: Log) -> Iterator[None]:
    """Let details be told in the block, a line each."""
    global _detail
    before, _detail = _detail, log
    try:
        yield
    finally:
        _detail = before


def is_heard() -> bool:
    """Whether somebody wants to know of parts."""
    return _hear is not None


def listener() -> Hear:
    """Who hears now; where nobody does, what keeps nothing."""
    return _hear or (lambda _part: None)


def tell_part(done: int, total: int, unit: str) -> None:
    """Say how much of the step that goes on is done."""
    if _hear is not None:
        _hear(Part(done, total, unit))


def wants_details() -> bool:
    """Whether somebody wants to know of details: `-v`."""
    return _detail is not None


def tell_detail(line: str) -> None:
    """Say something that only `-v` shows."""
    if _detail is not None:
        _detail(line)


def told_parts(items: Sequence[Item], unit: str) -> Iterator[Item]:
    """Yield each item, and tell after each how many are done.

    Args:
        items: what a step works on.
        unit: what they are, as a plural.
    """
    for done, item in enumerate(items, start=1):
        yield item
        tell_part(done, len(items), unit)
