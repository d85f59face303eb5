"""One visit to another machine: cells go there, are measured, and their results come back.

What is finished lies on that machine first. It is removed there only once it lies here; so a visit
that is interrupted, or loses its connection, goes on when it is made again with the same cells.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import EXIT_INTERRUPTED, DeviceError
from harness.fleet.remote.host import ensure_bench, open_wire
from harness.fleet.remote.target import Target
from harness.fleet.remote.wire import Log, Wire

CELLS, OUT = "cells", "out"
HASH_DIGITS = 16
Begun = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Errand:
    """What a visit is for.

    Attributes:
        target: the machine.
        python: interpreter there; None: found.
        words: more of every `bench cell` there.
        models: models that lie here, by the hash of their files.
    """

    target: Target
    python: str | None = None
    words: tuple[str, ...] = ()
    models: tuple[tuple[str, Path], ...] = ()

    @property
    def brought(self) -> dict[str, Path]:
        """Folder of each model there, below that of bench -> where it lies here."""
        return {f"models-{digest[:HASH_DIGITS]}": path for digest, path in self.models}


@dataclass
class Brought:
    """What a visit brought home.

    Attributes:
        codes: exit code of every cell that ended there, by the name of its file.
        is_interrupted: Ctrl-C ended it.
        lost: why it ended before the cells did; None: it did not.
        failed: what the other side says of a fault of its system; empty: nothing.
        wire: to the machine.
        work: folder of these cells there.
    """

    wire: Wire
    work: str
    codes: dict[str, int] = field(default_factory=dict)
    is_interrupted: bool = False
    lost: DeviceError | None = None
    failed: str = ""


def work_folder(names: Sequence[str]) -> str:
    """Folder of cells on the other machine: the same cells lie in the same one."""
    return f"work-{hashlib.sha256(' '.join(sorted(names)).encode()).hexdigest()[:16]}"


def visit(errand: Errand, home: Path, names: Sequence[str], say: Log, begun: Begun) -> Brought:
    """Measure cells on another machine and bring what is finished into `home/out`.

    Args:
        errand: where, and how.
        home: folder here whose `cells` holds the files.
        names: of the files.
        say: hears what people may want to read.
        begun: hears the name of each cell that begins, and its number.

    Raises:
        DeviceError: the machine cannot be used; or the connection was lost and nothing can be
            brought home.
    """
    wire, work = open_wire(errand.target, errand.python), work_folder(names)
    python = ensure_bench(wire, work, say, errand.brought)
    wire.push(home, [CELLS], work)
    brought = Brought(wire, work)

    def hear(answer: dict[str, Any]) -> None:
        if "begins" in answer:
            begun(str(answer["begins"]), int(answer["number"]))
        elif answer.get("ends") in names:
            brought.codes[answer["ends"]] = int(answer["code"])
        elif "failed" in answer:
            brought.failed = str(answer.get("said", ""))

    folders = [word for folder in errand.brought for word in ("--models", f"../{folder}")]
    asked = {"work": work, "python": python, "cells": list(names)}
    asked["words"] = [*folders, *errand.words]
    try:
        wire.follow("cells", hear, say, **asked)
    except KeyboardInterrupt:
        brought.is_interrupted = True
    brought.lost = _why_short(brought, len(names))
    _pull(brought, home)
    return brought


def _why_short(brought: Brought, count: int) -> DeviceError | None:
    """Why a visit ended before its cells did; None: it did not, or somebody ended it."""
    measured = sum(code != EXIT_INTERRUPTED for code in brought.codes.values())
    if measured >= count or brought.is_interrupted:
        return None
    name = brought.wire.target.name
    why = f"{name}: {brought.failed}" if brought.failed else f"the connection to {name} was lost"
    return DeviceError(
        f"{why}, after {measured} of {count} cells; what is finished lies there",
        fix="the same command again brings it and measures the rest",
    )


def _pull(brought: Brought, home: Path) -> None:
    """Bring results home; where the connection is gone, that it is gone says more."""
    try:
        brought.wire.pull(f"{brought.work}/{OUT}", home)
    except DeviceError as error:
        raise brought.lost or error from error


def clean_up(brought: Brought) -> None:
    """Remove on the other machine what lies here; what cannot be removed does no harm.

    The next visit with the same cells measures them anew.
    """
    try:
        brought.wire.ask("clean", "tidying up", work=brought.work)
    except DeviceError:
        return
