"""One metric of one cell on one machine, point after point: what trends and steps are of. Pure.

A point is one run. Points of two machines, or of two method versions, never stand in one series:
what differs between them is not what a trend is asked for.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

ONNXRUNTIME = "onnxruntime"
_PIECE = re.compile(r"\d+|[a-z]+")
_Piece = tuple[int, int, str]
_BEFORE, _END, _AFTER, _NUMBER = range(4)  # 1.32.0rc1 < 1.32.0 < 1.32.0.post1 < 1.32.0.1


class Better(StrEnum):
    """The direction of a metric."""

    MORE = "more"
    LESS = "less"


class Order(StrEnum):
    """What the points of a trend follow each other by."""

    DATE = "date"
    COMMIT = "commit"
    ONNXRUNTIME = "onnxruntime"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Point:
    """One run's value.

    Attributes:
        when: the run began, ISO 8601 in UTC.
        commit: that was measured; empty: nobody said.
        versions: (distribution, version) of the packages that can move a number, by name.
        machine: identity of the machine, as the index has it.
        value: centre over process medians, in the series' unit.
        low: lower end of its 95 % interval; None: under two processes.
        high: upper end; likewise.
        processes: that support it; 0: it was counted.
        run_id: of the run.
        document: its file, from the folder of the index.
        grade: of trust; empty: none was given.
        commit_when: the commit was made, ISO 8601 in UTC; empty: nobody said.
        facts: (name, value) of what else of the machine may move a number: kernel, governor.
    """

    when: str
    commit: str
    versions: tuple[tuple[str, str], ...]
    machine: str
    value: float
    low: float | None
    high: float | None
    processes: int
    run_id: str
    document: str
    grade: str = ""
    commit_when: str = ""
    facts: tuple[tuple[str, str], ...] = ()

    def version(self, package: str) -> str:
        """Version of a distribution; empty: not known."""
        return dict(self.versions).get(package, "")


@dataclass(frozen=True, slots=True)
class Series:
    """The points of one metric of one cell on one machine.

    Attributes:
        cell: name of the cell, such as `smollm2-135m/int4/cpu/ort/t2/b1/tg32 @ d0`.
        metric: by its name in harness.results.metrics.
        unit: of every value.
        better: the direction of the metric.
        points: in the order that the trend is asked for in.
    """

    cell: str
    metric: str
    unit: str
    better: Better
    points: tuple[Point, ...]

    @property
    def machine(self) -> str:
        """The machine of all points; empty where there are none."""
        return self.points[0].machine if self.points else ""


_Key = Callable[[Point], tuple[Any, ...]]


def in_order(series: Series, by: Order) -> Series:
    """The same points, put in an order.

    By commit: that of the commits' own dates where these are known, else of the first run of each.
    By onnxruntime: that of its versions. Runs of one commit or version follow each other by date.
    """
    keys: dict[Order, _Key] = {
        Order.COMMIT: _commit_key(series),
        Order.ONNXRUNTIME: lambda point: (version_key(point.version(ONNXRUNTIME)),),
    }
    key = keys.get(by, _no_key)
    ordered = sorted(series.points, key=lambda one: (*key(one), one.when, one.run_id))
    return replace(series, points=tuple(ordered))


def _no_key(_point: Point) -> tuple[Any, ...]:
    """Nothing but the date."""
    return ()


def _commit_key(series: Series) -> _Key:
    """When a point's commit was made, and the commit itself, so that its runs stay together."""
    first: dict[str, str] = {}
    for point in sorted(series.points, key=lambda one: one.when):
        first.setdefault(point.commit, point.when)
    made = {point.commit: point.commit_when for point in series.points if point.commit_when}
    return lambda point: (
        (made.get(point.commit) or first[point.commit], point.commit)
        if point.commit
        else (point.when, "")
    )


def version_key(version: str) -> tuple[_Piece, ...]:
    """What versions sort by: numbers as numbers, and `1.32.0rc1` before `1.32.0`."""
    pieces = _PIECE.findall(version.lower())
    return (*map(_ranked, pieces), (_END, 0, ""))


def _ranked(piece: str) -> _Piece:
    """A piece of a version: a number, what leads up to a release, or what follows it."""
    if piece.isdigit():
        return _NUMBER, int(piece), ""
    return _AFTER if piece == "post" else _BEFORE, 0, piece
