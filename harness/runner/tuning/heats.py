"""Turns of several settings in live workers, each left as a program would run it.

Threads of a session that waits go on spinning after its run, on the cores of the next one. How long
they do is part of what is tuned, so nothing makes them stop: a turn begins when the processor time
of the one before stands still.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from harness.core.errors import WorkerError
from harness.core.units import MIB
from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.machine.watch.probes import difference, snapshot
from harness.results.entries import HeatEntry, TuneSetting, TurnPlan
from harness.results.metric_row import MetricRow
from harness.results.replies import Sample, Warmed
from harness.runner.loop.paired import turn_values
from harness.runner.loop.parts import cell_of
from harness.runner.loop.session import WORKER_MODULE, open_group, sample_test
from harness.runner.plan import SessionGroup
from harness.runner.tuning.search import CONFIRMATION, OTHER_TOKENS, UNTRIED, Wanted
from harness.stats.racing import FIRST_TURNS
from harness.store.exported import AnyArtifact

LEAST_TURNS = 3  # of a pair, however long they take
LEAST_OPEN = 2  # the base and one more
OPEN_SHARE = 0.5  # of a heat's time, after which no further session is opened
REST_POLL_S, REST_CAP_S = 0.03, 1.0
MOST_OPEN, PROCESS_BYTES = 16, 100 * MIB

Groups = Callable[[TuneSetting], tuple[SessionGroup, AnyArtifact]]


@dataclass(frozen=True, slots=True)
class Turns:
    """How heats are measured.

    Attributes:
        test: that is tuned for.
        metric: of it.
        plan: see TurnPlan; `seconds` is the least time of one turn.
        groups: what is opened for a setting.
        module: what workers serve.
        env: variables of the worker of a setting.
        clock: monotonic, in seconds.
    """

    test: Workload
    metric: MetricRow
    plan: TurnPlan
    groups: Groups
    module: str = WORKER_MODULE
    env: Callable[[TuneSetting], dict[str, str]] = field(default=lambda _setting: {})
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class _Entrant:
    """One setting in one heat; `lost` says why it runs no further."""

    setting: TuneSetting
    group: SessionGroup
    artifact: AnyArtifact
    worker: Worker
    values: list[float] = field(default_factory=list)
    digest: str = ""
    lost: str = ""


def measure_heat(turns: Turns, wanted: Wanted) -> HeatEntry:
    """Open every setting in a fresh process, warm it, and let all take turns in a drawn order.

    The first turn of each is thrown away. A setting that fails, or chooses other tokens than the
    base at the same level, is lost; where the time is over, those that are not open yet are too.

    Raises:
        WorkerError: the base failed, died, hung or ran out of memory.
    """
    began_s = turns.clock()
    chance = Random(f"{turns.plan.seed}/{wanted.stage}/{wanted.rung}/{wanted.settings[-1].name}")
    with ExitStack() as stack:
        entrants = []
        for setting in wanted.settings:  # all imports go on at once
            group, artifact = turns.groups(setting)
            worker = stack.enter_context(Worker.start(turns.module, env=turns.env(setting)))
            entrants.append(_Entrant(setting, group, artifact, worker))
        for place, one in enumerate(entrants):
            late = turns.clock() - began_s > OPEN_SHARE * wanted.seconds
            if late and place >= LEAST_OPEN:
                one.lost = UNTRIED
                continue
            _tried(one, partial(_open, one, turns), is_base=not place)
        before, own_ns = snapshot(), _own_cpu_ns(entrants)
        _take_turns(entrants, turns, wanted, began_s + wanted.seconds, chance)
        watch = difference(before, snapshot(), _own_cpu_ns(entrants) - own_ns)
    return HeatEntry(
        stage=wanted.stage,
        rung=wanted.rung,
        settings=wanted.settings,
        values=tuple(() if one.lost else tuple(one.values) for one in entrants),
        lost=tuple((place, one.lost) for place, one in enumerate(entrants) if one.lost),
        seconds=turns.clock() - began_s,
        watch=watch,
    )


def _take_turns(
    entrants: Sequence[_Entrant], turns: Turns, wanted: Wanted, end_s: float, chance: Random
) -> None:
    """Turns of all that are open, until there are enough or the time is over."""
    base, began_s = entrants[0], turns.clock()
    least = LEAST_TURNS if wanted.stage == CONFIRMATION else FIRST_TURNS
    for turn in range(wanted.turns + 1):
        now_s = turns.clock()
        if turn > least and now_s >= end_s:
            return
        if turn == 1:
            _leave_out(entrants, (end_s - now_s) / max(1e-9, FIRST_TURNS * (now_s - began_s)))
        running = [one for one in entrants if not one.lost]
        for one in chance.sample(running, k=len(running)):
            _tried(one, partial(_take, one, turns, counts=turn > 0), is_base=one is base)
        for one in running:
            if one.digest != base.digest and one.setting.level == base.setting.level:
                one.lost = one.lost or OTHER_TOKENS


def _leave_out(entrants: Sequence[_Entrant], share: float) -> None:
    """Take the last ones out of a heat whose time is enough for a share of its turns only."""
    running = [one for one in entrants if not one.lost]
    fitting = max(LEAST_OPEN, int(share * len(running)))
    for one in running[fitting:]:
        one.lost = UNTRIED


def _open(one: _Entrant, turns: Turns) -> None:
    """Open a session and warm its test."""
    plan = turns.plan
    open_group(one.worker, one.group, one.artifact, plan.seed, plan.timeout_s)
    one.worker.ask("warm", plan.timeout_s, Warmed, workload=turns.test, cap_s=plan.warm_seconds)
    _rest(one, turns)


def _take(one: _Entrant, turns: Turns, counts: bool) -> None:
    """One turn, and a rest until its threads are quiet."""
    reply: Sample = sample_test(one.worker, turns.test, turns.plan.timeout_s, 1, turns.plan.seconds)
    if counts:
        value = turn_values(cell_of(one.group, turns.test, one.artifact), reply)
        one.values.append(value[turns.metric.name])
    one.digest = reply.digest
    _rest(one, turns)


def _rest(one: _Entrant, turns: Turns) -> None:
    """Wait until a worker that waits uses no processor time any more."""
    if one.group.threads == 1:
        return
    end_s, used_ns = turns.clock() + REST_CAP_S, one.worker.cpu_ns()
    while turns.clock() < end_s:
        time.sleep(REST_POLL_S)
        now_ns = one.worker.cpu_ns()
        if now_ns == used_ns:
            return
        used_ns = now_ns


def _own_cpu_ns(entrants: Sequence[_Entrant]) -> int:
    """Processor time of all workers and of this process so far."""
    return time.process_time_ns() + sum(one.worker.cpu_ns() for one in entrants)


def _tried(one: _Entrant, do: Callable[[], None], is_base: bool) -> None:
    """Do something with an entrant; one that fails is lost, but for the base."""
    try:
        do()
    except WorkerError as error:
        if is_base:
            raise
        one.lost = error.problem


def with_setting(group: SessionGroup, setting: TuneSetting) -> SessionGroup:
    """A session group as a setting says, at the level that it has."""
    device = replace(
        group.device,
        session_options=setting.session_options,
        options=setting.provider_options,
    )
    return replace(group, threads=setting.threads, device=device)


def setting_of(group: SessionGroup) -> TuneSetting:
    """How a session group is run."""
    return TuneSetting(
        threads=group.threads,
        level=group.level.name,
        session_options=tuple(sorted(group.device.session_options)),
        provider_options=tuple(sorted(group.device.options)),
    )
