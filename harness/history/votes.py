"""Steps kept in the index by what they were found in, so that a trend is drawn at once.

What finds them imports half of scipy, which takes longer than the rest of a trend. So `add` looks
for steps in every series that is new or has grown, and keeps them under a digest of its points: a
trend whose digest is there takes them, and any other one is looked at when it is drawn.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.core.errors import DeviceError, UsageError
from harness.history.series import Series
from harness.history.steps import Detector, Step, find_steps
from harness.history.tables import STORED, StepRow, columns_of
from harness.history.trends import Wanted, find_series

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VOTES_VERSION = 1  # raised with every change of what find_steps finds


def digest_of(series: Series) -> str:
    """What tells series apart in which other steps may be found: the points in their order."""
    points = [[one.value, one.low, one.high, one.processes] for one in series.points]
    said = [VOTES_VERSION, series.metric, str(series.better), points]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def kept_steps(connection: "DuckDBPyConnection", series: Series) -> tuple[Step, ...] | None:
    """The steps of a series that the index has; None: nobody looked for them yet."""
    digest = digest_of(series)
    ask = connection.execute
    if ask(f"SELECT 1 FROM {STORED}.votes WHERE digest = ?", [digest]).fetchone() is None:
        return None
    rows = ask(
        f"SELECT DISTINCT place, change, low, high, is_ratio, is_worse, votes"
        f" FROM {STORED}.found_steps WHERE digest = ? ORDER BY place",
        [digest],
    ).fetchall()
    return tuple(
        Step(
            place=place,
            last=series.points[place - 1],
            first=series.points[place],
            change=change,
            low=low,
            high=high,
            is_ratio=is_ratio,
            is_worse=is_worse,
            votes=tuple(map(Detector, votes.split())),
        )
        for place, change, low, high, is_ratio, is_worse, votes in rows
    )


def keep_steps(connection: "DuckDBPyConnection") -> None:
    """Look for steps in every series of the index that has changed, and forget those of old ones.

    Without the package that finds them nothing is kept, and a trend says what is missing.
    """
    with suppress(UsageError, DeviceError):  # no record that counts, or no package
        series = find_series(connection, Wanted()).series
        _keep(connection, {digest_of(one): one for one in series})


def _keep(connection: "DuckDBPyConnection", wanted: dict[str, Series]) -> None:
    known = {row[0] for row in connection.execute(f"SELECT digest FROM {STORED}.votes").fetchall()}
    new = [digest for digest in wanted if digest not in known]
    rows = [row for digest in new for row in _rows(digest, wanted[digest])]
    connection.execute("BEGIN")
    for table in ("votes", "found_steps"):
        connection.execute(
            f"DELETE FROM {STORED}.{table} WHERE digest IN (SELECT unnest(?))",
            [sorted(known - wanted.keys())],
        )
    connection.execute(f"INSERT INTO {STORED}.votes SELECT unnest(?)", [new])
    columns = columns_of(StepRow)
    if rows:
        lists = [[getattr(row, name) for row in rows] for name in columns]
        values = ", ".join(f"CAST(unnest(?) AS {kind})" for kind in columns.values())
        connection.execute(f"INSERT INTO {STORED}.found_steps SELECT {values}", lists)
    connection.execute("COMMIT")


def _rows(digest: str, series: Series) -> Iterable[StepRow]:
    """The steps of a series, as the index has them."""
    steps: Sequence[Step] = find_steps(series)
    for one in steps:
        yield StepRow(
            digest=digest,
            place=one.place,
            cell=series.cell,
            metric=series.metric,
            machine=series.machine,
            run_id=one.first.run_id,
            created_utc=one.first.when.removesuffix("Z").replace("T", " "),
            change=one.change,
            low=one.low,
            high=one.high,
            is_ratio=one.is_ratio,
            is_worse=one.is_worse,
            is_confirmed=one.is_confirmed,
            votes=" ".join(one.votes),
        )
