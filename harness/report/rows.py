"""Records -> rows of the summary: one per session group and depth. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.results.enums import Grade
from harness.results.metrics import rate_of_kind
from harness.results.schema import (
    DECODE,
    ENCODE,
    GRAPH,
    IMAGE,
    PREFILL,
    REQUEST,
    SOUND,
    TURN,
    Cell,
    Metric,
    Record,
    kind_of,
)
from harness.results.summarize import metric_half_width_share
from harness.results.validity import is_valid

# What a session group is, and the depth: two records that agree in all of it share a row.
ROW_FIELDS = (
    *("model", "parameters", "level", "kv_cache", "weights"),
    *("device", "runtime", "prepack", "threads", "batch", "capacity", "depth"),
)
# Which kind of test stands for a row, the first that it has.
JUDGED_FIRST = (DECODE, REQUEST, TURN, PREFILL, ENCODE, IMAGE, SOUND, GRAPH)


@dataclass(frozen=True, slots=True)
class Row:
    """The records of one session group at one depth, in the order of the document.

    Attributes:
        records: one or more.
        machine: what theirs is called; empty: the document is of one.
    """

    records: tuple[Record, ...]
    machine: str = ""

    @property
    def cell(self) -> Cell:
        """The identity all records share; its test is the first record's."""
        return self.records[0].cell

    def of_test(self, name: str) -> Record | None:
        """The record of a test, such as `pp128`."""
        return next((record for record in self.records if test_of(record.cell) == name), None)

    def first_shown(self, name: str) -> float | None:
        """A metric that all tests of the row share, from the first record that shows it."""
        return next((value for value in self._shown(name)), None)

    def largest_shown(self, name: str) -> float | None:
        """The largest value of a metric over the tests of the row."""
        return max(self._shown(name), default=None)

    @property
    def device(self) -> str:
        """The device, and whether it was emulated: `webgpu (simulated)`."""
        emulated = any(record.simulated for record in self.records)
        return f"{self.cell.device} (simulated)" if emulated else self.cell.device

    @property
    def verdict(self) -> str | None:
        """Which share of the graph the device took; None: no session was opened."""
        found = (record.placement for record in self.records if record.placement)
        return next((placement.verdict for placement in found), None)

    @property
    def judged(self) -> Record | None:
        """The record behind the interval and the estimate: decode, else a request, else prefill.

        Of a model that keeps nothing between passes its first test.
        """
        for kind in JUDGED_FIRST:
            for record in self.records:
                if kind_of(record.cell) == kind and rate_of(record) is not None:
                    return record
        return None

    @property
    def grade(self) -> str | None:
        """The worst trust grade of the row; None when nothing was measured."""
        grades = [record.trust.grade for record in self.records if record.trust]
        return max(grades, key=list(Grade).index, default=None)

    def _shown(self, name: str) -> list[float]:
        """Values of a metric in the records that show it."""
        values = (shown(record, name) for record in self.records)
        return [value for value in values if value is not None]


def make_rows(records: Iterable[Record], machines: Sequence[str] = ()) -> list[Row]:
    """Group records by ROW_FIELDS and run, in the order in which the first of each comes.

    Args:
        records: of a document.
        machines: what that of each source is called; empty: all are of one.
    """
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        key = (record.source, *(getattr(record.cell, field) for field in ROW_FIELDS))
        groups.setdefault(key, []).append(record)
    return [Row(tuple(group), _machine(group[0], machines)) for group in groups.values()]


def _machine(record: Record, machines: Sequence[str]) -> str:
    return "" if record.source is None or not machines else machines[record.source]


def shown(record: Record, name: str) -> float | None:
    """A metric's value as any report may show it.

    An INVALID record, and one that failed, shows only what was counted (`processes` 0); its
    samples stay in the document.
    """
    metric = shown_metric(record, name)
    return None if metric is None else metric.value


def shown_metric(record: Record, name: str) -> Metric | None:
    """The whole metric by the rule of `shown`."""
    metric = record.metrics.get(name)
    if metric is None or metric.processes == 0 or is_valid(record):
        return metric
    return None


def rate_of(record: Record) -> float | None:
    """The rate that a test is judged by: tok/s, a request's its decode rate; or sequences/s."""
    return shown(record, rate_of_kind(kind_of(record.cell)).name)


def half_width_of(record: Record) -> float | None:
    """Half-width of the interval of that rate, as a share of it."""
    metric = shown_metric(record, rate_of_kind(kind_of(record.cell)).name)
    return None if metric is None else metric_half_width_share(metric)


def test_of(cell: Cell) -> str:
    """The test without its depth: `pp512`, `tg128`, `pg128+64`, `enc128x8`."""
    return cell.workload.partition(" @ ")[0]


def tests_of(rows: Sequence[Row], kind: str) -> list[str]:
    """Distinct tests of one kind over all rows, short prompts and answers first."""
    cells = [record.cell for row in rows for record in row.records if kind_of(record.cell) == kind]
    cells.sort(key=lambda cell: (cell.prompt, cell.gen, cell.sequences))
    return list(dict.fromkeys(test_of(cell) for cell in cells))
