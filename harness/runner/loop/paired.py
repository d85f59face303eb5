"""Two variants interleaved in two live workers: a pair of fresh processes gives one comparison.

Both sessions are open and warm; each turn runs one pass of one side and then one of the other, so
that a slow second of the machine falls on both. Who starts, and who begins a turn, is drawn at
random: a fixed order made the first one come out 1.3 % slower. The pair is the unit of replication.
"""

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from harness.core.units import NS_PER_MS
from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.machine.watch.probes import difference, snapshot
from harness.results.entries import TurnPlan
from harness.results.metrics import METRICS
from harness.results.replies import Opened, ProcessSamples, Profile, Sample, Warmed, WatchInterval
from harness.results.schema import Cell, kind_of
from harness.runner.loop.order import shuffled
from harness.runner.loop.parts import cell_of
from harness.runner.loop.pinning import drawn_cores, pin_worker
from harness.runner.loop.session import (
    WORKER_MODULE,
    measure_profile,
    open_group,
    sample_test,
)
from harness.runner.plan import SessionGroup
from harness.runner.settings import Settings
from harness.store.exported import AnyArtifact

A, B = "a", "b"
LEAST_TURNS = 6  # of one test in one pair; the first one more is thrown away
START_METRICS = tuple(row for row in METRICS if row.of_start)  # of each side's own start
TURN_METRICS = tuple(row for row in METRICS if row.in_turns)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two variants.

    Attributes:
        name: `a`, the base, or `b`, what is compared with it.
        group: its session and tests.
        artifact: the built model.
        env: variables of its worker, on top of this process's.
        python: another interpreter that has this package; None: this one.
        module: what the worker serves.
    """

    name: str
    group: SessionGroup
    artifact: AnyArtifact
    env: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    module: str = WORKER_MODULE


@dataclass(frozen=True, slots=True)
class Pair:
    """What one pair of fresh processes gave.

    Attributes:
        starts: metric -> milliseconds of (a, b).
        turns: (test name, metric) -> values of (a, b) in the metric's unit, turn after turn.
        watches: test name -> the machine during its turns, beside both sides alike.
    """

    starts: dict[str, tuple[float, float]]
    turns: dict[tuple[str, str], tuple[tuple[float, float], ...]]
    watches: dict[str, WatchInterval] = field(default_factory=dict)

    def log_ratios(self) -> Iterator[tuple[str, str, float]]:
        """Yield test, metric and the pair's ln(b / a): the median over its turns."""
        for metric, (a, b) in self.starts.items():
            yield "", metric, math.log(b / a)
        for (test, metric), turns in self.turns.items():
            yield test, metric, median(math.log(b / a) for a, b in turns)


def measure_pair(sides: tuple[Side, Side], plan: TurnPlan, number: int) -> Pair:
    """Start, open and warm both sides, and interleave them in every test they share.

    Args:
        sides: the base and what is compared with it.
        plan: see TurnPlan.
        number: of the pair; another one draws other orders.

    Raises:
        WorkerError: a child failed, died, hung or ran out of memory.
    """
    chance = random.Random(f"{plan.seed}/{number}")
    cores = drawn_cores(plan.seed, number)
    with ExitStack() as stack:
        workers = {
            side.name: stack.enter_context(
                Worker.start(side.module, env=side.env, python=side.python)
            )
            for side in chance.sample(sides, k=2)
        }
        opened = {
            name: _open(_named(sides, name), worker, plan, cores)
            for name, worker in workers.items()
        }
        turns: dict[tuple[str, str], tuple[tuple[float, float], ...]] = {}
        watches: dict[str, WatchInterval] = {}
        for test in shuffled(shared_tests(sides), plan.seed, number):
            for worker in workers.values():
                worker.ask("warm", plan.timeout_s, Warmed, workload=test, cap_s=plan.warm_seconds)
            cells = {side.name: cell_of(side.group, test, side.artifact) for side in sides}
            before, own_ns = snapshot(), _own_cpu_ns(workers)
            turns |= _take_turns(workers, test, cells, plan, chance)
            own_ns = _own_cpu_ns(workers) - own_ns
            watches[test.name] = difference(before, snapshot(), own_ns)
    starts = {
        metric: (value, opened[B][metric])
        for metric, value in opened[A].items()
        if metric in opened[B]
    }
    return Pair(starts, turns, watches)


def shared_tests(sides: tuple[Side, Side]) -> tuple[Workload, ...]:
    """The tests that both sides run."""
    others = set(sides[1].group.workloads)
    return tuple(test for test in sides[0].group.workloads if test in others)


def profile_side(side: Side, test: Workload, settings: Settings) -> Profile:
    """Where the time of a test goes on one side, of a worker of its own."""
    return measure_profile(side.group, side.artifact, test, settings, side.env, side.python)


def turn_values(cell: Cell, reply: Sample) -> dict[str, float]:
    """Values of one turn by metric.

    Args:
        cell: which test of which side.
        reply: of `sample`, one pass.
    """
    process = ProcessSamples(round=0, order=0, open=Opened(load_ns=0), sample=reply)
    found = {
        row.name: row.value(cell, process)
        for row in TURN_METRICS
        if row.value is not None and kind_of(cell) in row.in_turns
    }
    return {name: value for name, value in found.items() if value is not None}


def _take_turns(
    workers: dict[str, Worker],
    test: Workload,
    cells: dict[str, Cell],
    plan: TurnPlan,
    chance: random.Random,
) -> dict[tuple[str, str], tuple[tuple[float, float], ...]]:
    """Turns of one test until there are enough and they took long enough."""
    taken: dict[str, list[tuple[float, float]]] = {}
    end_s, count = time.monotonic() + plan.seconds, 0
    while count <= LEAST_TURNS or time.monotonic() < end_s:
        values = {}
        for name in chance.sample(sorted(workers), k=2):
            reply = sample_test(workers[name], test, plan.timeout_s, 1, 0.0)
            values[name] = turn_values(cells[name], reply)
        if count:  # the first turn of each is still finding its place
            for metric, value in values[A].items():
                taken.setdefault(metric, []).append((value, values[B][metric]))
        count += 1
    return {(test.name, metric): tuple(turns) for metric, turns in taken.items()}


def _own_cpu_ns(workers: Mapping[str, Worker]) -> int:
    """Processor time of both workers and of this process so far."""
    return time.process_time_ns() + sum(worker.cpu_ns() for worker in workers.values())


def _open(side: Side, worker: Worker, plan: TurnPlan, cores: Sequence[int]) -> dict[str, float]:
    """Open one side, where the other one works too; its load and first run in milliseconds."""
    pin_worker(worker, side.group, cores)
    opened = open_group(
        worker, side.group, side.artifact, plan.seed, plan.timeout_s, stop_spinning=True
    )
    fields = {row.name: f"{row.name.removesuffix('_ms')}_ns" for row in START_METRICS}
    taken = {name: getattr(opened, field) for name, field in fields.items()}
    return {name: ns / NS_PER_MS for name, ns in taken.items() if ns}


def _named(sides: tuple[Side, Side], name: str) -> Side:
    """The side called `name`."""
    return next(side for side in sides if side.name == name)
