"""How far each cell of a run is: its rounds, its interval so far, and how long the rest takes.

Counted along with the journal, one value a process: what is looked at between two tests costs the
parent next to nothing, and nothing while one is timed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.core.errors import HarnessError
from harness.engine.workload import Workload
from harness.results.entries import Entry, MemoryEntry, OutlineEntry, SamplesEntry
from harness.results.losses import FailureEntry, NoMemoryEntry
from harness.results.metrics import rate_of_kind
from harness.results.schema import Cell, kind_of
from harness.runner.loop.entries import Entries
from harness.runner.loop.expected import memory_seconds, session_seconds
from harness.runner.plan import Plan, SessionGroup
from harness.stats.intervals import half_width_share, log_t_interval

# So many seconds count as if they had gone as guessed: the first processes alone decide little.
PRIOR_S = 5.0
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CellStanding:
    """One cell.

    Attributes:
        group: key of its session group.
        test: its name.
        name: what tells it from the other cells of the plan.
        rounds: processes that gave a value.
        value: median of the rate it is judged by so far; None: nothing yet.
        unit: of it.
        halves: half-width of the 95 % interval as a share of the centre, after the second process
            and each that followed.
        failure: why it is not measured; empty: it is, or will be.
        is_whole: nothing of it is missing.
    """

    group: str
    test: str
    name: str
    rounds: int = 0
    value: float | None = None
    unit: str = ""
    halves: tuple[float, ...] = ()
    failure: str = ""
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """All cells.

    Attributes:
        cells: in the order of the plan.
        rounds: of each, at the least.
        precision: half-width that is asked for, a share; None: none is.
        left_s: guess at the time of what is missing; None: nothing began.
    """

    cells: tuple[CellStanding, ...]
    rounds: int
    precision: float | None = None
    left_s: float | None = None


Board = Callable[[Standing], None]


@dataclass
class _Counted:
    """What is kept of one cell."""

    group: SessionGroup
    test: Workload
    name: str
    cell: Cell | None = None
    values: list[float] = field(default_factory=list)
    halves: list[float] = field(default_factory=list)
    failure: str = ""
    has_memory: bool = False


class Standings:
    """Counts entries as they are journalled, and tells a board."""

    def __init__(
        self, plan: Plan, entries: Entries, board: Board, clock: Callable[[], float]
    ) -> None:
        """Begin with what the journal holds.

        Args:
            plan: what is measured.
            entries: of the journal; those of earlier sittings cost nothing now.
            board: is told after every entry that moves a cell.
            clock: monotonic, in seconds.
        """
        self._plan, self._board, self._clock = plan, board, clock
        cells = [(group, test) for group in plan.groups for test in group.workloads]
        self._cells = {
            (group.key, test.name): _Counted(group, test, name)
            for (group, test), name in zip(cells, cell_names(cells), strict=True)
        }
        self._session_s = {group.key: session_seconds(plan, group) for group in plan.groups}
        self._memory_s = {group.key: memory_seconds(group) for group in plan.groups}
        self._start_s: float | None = None
        self._guessed_s = 0.0  # of what this sitting has done, by the guesses
        self._has_outline = entries.outline is not None
        if entries.outline is not None:
            self._count(entries.outline)
            for entry in entries.tests.values():
                self._count(entry)
            for group, test in entries.memory:
                self._cells[group, test].has_memory = True

    def saw(self, entry: Entry) -> None:
        """Count an entry, and tell the board of it; the first one after the outline begins."""
        spent_s = self._count(entry)
        if self._start_s is None and self._has_outline:
            self._start_s, spent_s = self._clock(), spent_s or 0.0
        if spent_s is None:
            return
        self._guessed_s += spent_s
        self._board(self.standing())

    def standing(self) -> Standing:
        """Where every cell is now."""
        settings = self._plan.settings
        return Standing(
            cells=tuple(self._one(counted) for counted in self._cells.values()),
            rounds=settings.rounds,
            precision=settings.precision,
            left_s=self._left_s(),
        )

    def _one(self, counted: _Counted) -> CellStanding:
        row = None if counted.cell is None else rate_of_kind(kind_of(counted.cell))
        values = sorted(counted.values)
        middle = len(values) // 2
        return CellStanding(
            group=counted.group.key,
            test=counted.test.name,
            name=counted.name,
            rounds=len(values),
            value=(values[middle] + values[-1 - middle]) / 2 if values else None,
            unit="" if row is None else row.unit,
            halves=tuple(counted.halves),
            failure=counted.failure,
            is_whole=counted.has_memory or bool(counted.failure),
        )

    def _count(self, entry: Entry) -> float | None:
        """Take an entry in; the seconds it was guessed to cost, None: it moves no cell."""
        if isinstance(entry, OutlineEntry):
            self._has_outline = True
            for one in entry.cells:
                if (found := self._cells.get((one.group, one.workload))) is not None:
                    found.cell = one.record.cell
            return None
        if isinstance(entry, FailureEntry):
            return self._fail(entry)
        if not isinstance(entry, SamplesEntry | MemoryEntry | NoMemoryEntry):
            return None
        counted = self._cells.get((entry.group, entry.workload))
        if counted is None:
            return None
        if isinstance(entry, SamplesEntry):
            self._add(counted, entry)
            return self._session_s[entry.group] / len(counted.group.workloads)
        counted.has_memory = True
        return self._memory_s[entry.group]

    def _add(self, counted: _Counted, entry: SamplesEntry) -> None:
        """One more process of a cell."""
        if counted.cell is None:
            return
        row = rate_of_kind(kind_of(counted.cell))
        value = None if row.value is None else row.value(counted.cell, entry)
        if value is None or value <= 0:
            return
        counted.values.append(value)
        if len(counted.values) < 2:
            return
        level = self._plan.settings.looks.confidence(len(counted.values))
        try:
            half = half_width_share(log_t_interval(counted.values, level))
        except HarnessError:  # values of a clock that stood still
            return
        if half is not None:
            counted.halves.append(half)

    def _fail(self, entry: FailureEntry) -> float | None:
        for (group, test), counted in self._cells.items():
            if group == entry.group and entry.workload in (None, test):
                counted.failure = entry.status
        return 0.0

    def _left_s(self) -> float | None:
        """The guess at what is missing, at the pace of what this sitting has done."""
        if self._start_s is None:
            return None
        missing_s = 0.0
        for counted in self._cells.values():
            if counted.failure:
                continue
            group = counted.group
            rounds = max(0, self._plan.settings.rounds - len(counted.values))
            missing_s += rounds * self._session_s[group.key] / len(group.workloads)
            missing_s += 0.0 if counted.has_memory else self._memory_s[group.key]
        spent_s = self._clock() - self._start_s
        return missing_s * (spent_s + PRIOR_S) / (self._guessed_s + PRIOR_S)


def cell_names(cells: Sequence[tuple[SessionGroup, Workload]]) -> list[str]:
    """What tells each cell of a plan from the others, in a few words; the test always.

    Its depth is told where tests differ in it alone.
    """
    words = [
        (
            group.source.name,
            group.stored_name,
            group.device.key,
            group.runtime,
            f"t{group.threads}",
            f"b{group.batch}",
            f"prepack-{group.prepack}",
            f"c{group.capacity}",
        )
        for group, _ in cells
    ]
    varied = [place for place, column in enumerate(zip(*words, strict=True)) if len({*column}) > 1]
    heads = [[one[place] for place in varied] for one in words]
    named: list[str] = []
    for tests in ([test.test for _, test in cells], [test.name for _, test in cells]):
        named = [" ".join([*head, test]) for head, test in zip(heads, tests, strict=True)]
        if len({*named}) == len(named):
            break
    return named


def nobody(standing: Standing) -> None:
    """A board that nobody looks at."""


def standings_of(
    plan: Plan, entries: Entries, board: Board, clock: Callable[[], float] = time.monotonic
) -> Standings | None:
    """What counts for a board; None where nobody looks at it: then nothing is counted."""
    return None if board is nobody else Standings(plan, entries, board, clock)
