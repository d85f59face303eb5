"""Series of an index: which cells are meant, and their values point after point."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from harness.core.errors import UsageError, suggestion
from harness.history.series import Better, Order, Point, Series, in_order
from harness.history.tables import STORED
from harness.results.enums import Kind
from harness.results.metric_names import SHORT, full_name
from harness.results.metrics import METRICS, find_metric, rate_of_kind

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BETWEEN = re.compile(r"[/\s]+")
MOST_WORDS = 40  # that a message lists


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which series are asked for.

    Attributes:
        words: that all stand in a cell's name, such as `int4 tg32`, or the name itself.
        metric: its name, or a short one such as `decode`; None: the rate that each cell is judged
            by.
        machine: the beginning of a machine's identity, or a part of its name; empty: every one.
        since: runs that began on this day or later, `2026-11-22`; empty: all.
    """

    words: str = ""
    metric: str | None = None
    machine: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes:
        series: by cell and machine, each in the order that was asked for.
        machines: identity -> name, of those that have a series.
        left_out: sentences on points that stand in no series.
    """

    series: tuple[Series, ...]
    machines: dict[str, str]
    left_out: tuple[str, ...]


def parse_day(text: str) -> str:
    """A day, such as `2026-11-22`.

    Raises:
        UsageError: it is none.
    """
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise UsageError(f"{text!r} is no day", fix="year, month and day: 2026-11-22") from error


def metric_name(word: str) -> str:
    """The metric that a word means.

    Raises:
        UsageError: none; what is near is named.
    """
    name = full_name(word)
    if find_metric(name) is None:
        names = (*SHORT, *(row.name for row in METRICS))
        raise UsageError(f"no metric is called {word!r}", fix=suggestion(word, names))
    return name


def find_series(connection: "DuckDBPyConnection", wanted: Wanted, by: Order = Order.DATE) -> Found:
    """Every series that is asked for; points of two machines or two methods stay apart.

    Args:
        connection: to an index.
        wanted: which.
        by: the order of points.

    Raises:
        UsageError: no cell, no machine or no metric is so called, or nothing was measured of it.
    """
    metrics = _metrics_of_cells(connection, wanted)
    machines = _machines(connection, wanted.machine)
    rows = _points(connection, metrics, machines, wanted.since)
    if not rows:
        _refuse_empty(connection, wanted, metrics)
    series, left_out = _series(rows)
    ordered = [in_order(one, by) for one in series]
    used = {one.machine: machines[one.machine] for one in ordered}
    return Found(tuple(ordered), used, tuple(left_out))


def words_of(cell: str) -> tuple[str, ...]:
    """The words of a cell's name."""
    return tuple(word for word in _BETWEEN.split(cell) if word and word != "@")


def _metrics_of_cells(connection: "DuckDBPyConnection", wanted: Wanted) -> dict[int, str]:
    """Each cell that is meant -> the metric that is asked of it."""
    cells = connection.execute(
        f"SELECT cell_id, cell, test FROM {STORED}.cells ORDER BY cell_id"
    ).fetchall()
    asked = set(words_of(wanted.words))
    meant = [row for row in cells if row[1] == wanted.words] or [
        row for row in cells if asked <= set(words_of(row[1]))
    ]
    if not meant:
        _refuse_unknown(asked, [row[1] for row in cells])
    name = None if wanted.metric is None else metric_name(wanted.metric)
    return {cell_id: name or rate_of_kind(Kind(test)).name for cell_id, _, test in meant}


def _refuse_unknown(asked: Iterable[str], cells: Sequence[str]) -> None:
    """Say which word no cell has, or that none has them all."""
    if not cells:
        raise UsageError(
            "the history holds no record", fix="bench history add, with results files or a folder"
        )
    known = list(dict.fromkeys(word for cell in cells for word in words_of(cell)))
    lost = [word for word in asked if word not in known]
    if lost:
        raise UsageError(
            f"no cell of the history has {lost[0]!r} in its name",
            fix=f"{suggestion(lost[0], known[:MOST_WORDS])}; bench history ls lists cells",
        )
    raise UsageError(
        f"no cell of the history has all of {' '.join(asked)!r} in its name",
        fix="fewer words; bench history ls lists cells",
    )


def _machines(connection: "DuckDBPyConnection", word: str) -> dict[str, str]:
    """Identity -> name of the machines that are meant."""
    rows = connection.execute(f"SELECT machine, name FROM {STORED}.machines").fetchall()
    meant = {
        machine: name
        for machine, name in rows
        if machine.startswith(word.lower()) or word.lower() in name.lower()
    }
    if word and not meant:
        raise UsageError(
            f"no machine of the history is called {word!r}",
            fix=suggestion(word, [text for row in rows for text in row]),
        )
    return meant


def _points(
    connection: "DuckDBPyConnection",
    metrics: dict[int, str],
    machines: dict[str, str],
    since: str,
) -> list[tuple[Any, ...]]:
    """Values of the cells' metrics with what is known of their runs, by date."""
    pairs = list(metrics.items())
    return connection.execute(
        f"""
        SELECT cell, metric, unit, machine, method_version, provider,
            strftime(created_utc, '%Y-%m-%dT%H:%M:%SZ'), coalesce(commit, ''),
            coalesce(strftime(commit_utc, '%Y-%m-%dT%H:%M:%SZ'), ''), packages, facts, value, low,
            high, processes, run_id, path, coalesce(grade, '')
        FROM {STORED}.metric_values
            JOIN {STORED}.records USING (record_id)
            JOIN {STORED}.documents USING (document_id)
            JOIN {STORED}.cells USING (cell_id)
            JOIN (SELECT unnest(?) AS cell_id, unnest(?) AS metric) USING (cell_id, metric)
        WHERE machine IN (SELECT unnest(?)) AND created_utc >= CAST(? AS TIMESTAMP)
        ORDER BY cell, machine, created_utc, run_id
        """,
        [
            [one for one, _ in pairs],
            [name for _, name in pairs],
            list(machines),
            since or "0001-01-01",
        ],
    ).fetchall()


def _series(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Series], list[str]]:
    """Points by cell, metric and machine; of two methods the newer one's alone."""
    groups: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault((row[0], row[1], row[2], row[3]), []).append(row)
    found, left = [], 0
    for (cell, metric, unit, _), several in groups.items():
        newest = max(row[4] for row in several)
        points = tuple(_point(row) for row in several if row[4] == newest)
        left += len(several) - len(points)
        known = find_metric(metric)
        better = Better.MORE if known is not None and known.more_is_better else Better.LESS
        found.append(Series(cell, metric, unit, better, points))
    told = [f"points of an older method, which is not compared, that stand in no series: {left}"]
    return found, told * bool(left)


def _point(row: tuple[Any, ...]) -> Point:
    """One point of what was asked for."""
    _, _, _, machine, _, _, when, commit, made, packages, facts, *values = row
    value, low, high, processes, run_id, path, grade = values
    return Point(
        when=when,
        commit=commit,
        versions=tuple(sorted(packages.items())),
        machine=machine,
        value=value,
        low=low,
        high=high,
        processes=processes,
        run_id=run_id,
        document=path,
        grade=grade,
        commit_when=made,
        facts=tuple(sorted(facts.items())),
    )


def _refuse_empty(
    connection: "DuckDBPyConnection", wanted: Wanted, metrics: dict[int, str]
) -> None:
    """Say what there is instead of what was asked for."""
    rows = connection.execute(
        f"SELECT DISTINCT metric FROM {STORED}.metric_values JOIN {STORED}.records"
        f" USING (record_id) WHERE cell_id IN (SELECT unnest(?)) ORDER BY metric",
        [list(metrics)],
    ).fetchall()
    names = [metric for (metric,) in rows]
    asked = ", ".join(dict.fromkeys(metrics.values()))
    if not names or set(metrics.values()) & set(names):
        where = f" on {wanted.machine}" * bool(wanted.machine)
        since = f" since {wanted.since}" * bool(wanted.since)
        raise UsageError(
            f"nothing that counts was measured of {wanted.words or 'any cell'}{where}{since}",
            fix="bench history ls; a record that failed, is INVALID or was emulated has no point",
        )
    raise UsageError(f"these cells have no {asked}", fix=suggestion(asked, names))
