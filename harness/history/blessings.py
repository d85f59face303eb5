"""Steps that were accepted, each with its reason, in a file of lines that people keep in git.

It lies beside the index and is no part of it: an index is built anew from documents, and a reason
stands in none of them.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.core.encoding import read_text
from harness.core.errors import ResultFormatError, StorageError, UsageError, suggestion
from harness.core.files import write_whole
from harness.history.series import Series

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FILE = "blessings.jsonl"
NEAR = 2  # points that a step may move by as the series grows, and still be the blessed one
LONGEST_REASON = 500
_DIGITS = 8


class Blessing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the file.

    Attributes:
        id: follows from cell, metric, machine and run.
        cell: whose step it is.
        metric: of it.
        machine: on which.
        run_id: the first run behind the step.
        is_worse: the direction; a step the other way is another one.
        reason: why it is accepted.
        date: when, UTC, such as `2026-11-29`.
        commit: that is said with it; empty: none.
    """

    id: str
    cell: str
    metric: str
    machine: str
    run_id: str
    is_worse: bool
    reason: str
    date: str
    commit: str = ""


def new_blessing(
    series: Series, run_id: str, is_worse: bool, reason: str, date: str, commit: str = ""
) -> Blessing:
    """Accept the step that begins with a run.

    Raises:
        UsageError: a reason that says nothing, or is longer than a line should be.
    """
    told = " ".join(reason.split())
    if not told or len(told) > LONGEST_REASON:
        raise UsageError(
            "a blessing needs a reason" if not told else f"a reason of {len(told)} characters",
            fix=f"why the step is accepted, in at most {LONGEST_REASON} characters",
        )
    name = [series.cell, series.metric, series.machine, run_id]
    return Blessing(
        id=hashlib.sha256(json.dumps(name).encode()).hexdigest()[:_DIGITS],
        cell=series.cell,
        metric=series.metric,
        machine=series.machine,
        run_id=run_id,
        is_worse=is_worse,
        reason=told,
        date=date,
        commit=commit,
    )


def read_blessings(path: Path) -> tuple[Blessing, ...]:
    """Every blessing of a file, in its order; none where there is no file.

    Raises:
        StorageError: it cannot be read.
        ResultFormatError: a line that is no blessing.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StorageError(
            f"blessings {path} cannot be read: {error.strerror}", fix="check the path"
        ) from error
    except ValueError as error:
        raise ResultFormatError(f"blessings {path}: {error}", fix="restore it from git") from error
    lines = enumerate(text.splitlines(), start=1)
    return tuple(_blessing(line, path, number) for number, line in lines if line.strip())


def _blessing(line: str, path: Path, number: int) -> Blessing:
    try:
        return msgspec.json.decode(line, type=Blessing)
    except (ValueError, RecursionError) as error:
        raise ResultFormatError(
            f"blessings {path}, line {number} is damaged: {error}",
            fix="restore the file from git, or remove the line",
        ) from error


def add_blessing(path: Path, blessing: Blessing) -> None:
    """Put a blessing into the file, in the place of one of the same step.

    Raises:
        HarnessError: as read_blessings; also where the file cannot be written.
    """
    others = [one for one in read_blessings(path) if one.id != blessing.id]
    _write(path, [*others, blessing])


def withdraw_blessing(path: Path, word: str) -> Blessing:
    """Take a blessing out of the file.

    Args:
        path: of the file.
        word: its id, or the beginning of it.

    Raises:
        UsageError: it is none, or several begin so.
    """
    known = read_blessings(path)
    meant = [one for one in known if word and one.id.startswith(word)]
    if len(meant) != 1:
        names = [one.id for one in known]
        raise UsageError(
            f"{len(meant)} blessings begin with {word!r}" if meant else f"no blessing is {word!r}",
            fix=suggestion(word, names) if names else "nothing was accepted yet",
        )
    _write(path, [one for one in known if one is not meant[0]])
    return meant[0]


def _write(path: Path, blessings: Sequence[Blessing]) -> None:
    try:
        write_whole(path, msgspec.json.Encoder().encode_lines(blessings))
    except OSError as error:
        raise StorageError(
            f"blessings {path} cannot be written: {error.strerror}",
            fix="free the disk, or give another --blessings",
        ) from error


def blessing_of(
    series: Series, place: int, is_worse: bool, blessings: Iterable[Blessing]
) -> Blessing | None:
    """The blessing that accepts a step; None: nobody has.

    A step may move by NEAR points while the runs behind it become more, and still is the same.

    Args:
        series: in the order that the step was found in.
        place: index of the first point behind the step.
        is_worse: its direction.
        blessings: all of them.
    """
    places = {point.run_id: index for index, point in enumerate(series.points)}
    own = (series.cell, series.metric, series.machine)
    near = [
        one
        for one in blessings
        if (one.cell, one.metric, one.machine) == own
        and one.is_worse == is_worse
        and one.run_id in places
        and abs(places[one.run_id] - place) <= NEAR
    ]
    return min(near, key=lambda one: abs(places[one.run_id] - place), default=None)


def put_blessings(connection: "DuckDBPyConnection", blessings: Iterable[Blessing]) -> None:
    """Let queries of this connection see blessings, as the table of that name."""
    connection.execute(
        "CREATE TEMP TABLE blessings (id VARCHAR, cell VARCHAR, metric VARCHAR, machine VARCHAR,"
        " run_id VARCHAR, reason VARCHAR, date DATE, commit VARCHAR)"
    )
    shown = ("id", "cell", "metric", "machine", "run_id", "reason", "date", "commit")
    for one in blessings:
        connection.execute(
            "INSERT INTO blessings VALUES (?, ?, ?, ?, ?, ?, TRY_CAST(? AS DATE), nullif(?, ''))",
            [getattr(one, name) for name in shown],
        )
