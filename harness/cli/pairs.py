"""Pairs of `bench ab` one after the other: until when, and what is kept of them."""

import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.paired import Ending, Limits, lines_of
from harness.cli.output import tell
from harness.cli.progress import open_progress
from harness.core.environment import tested_commit
from harness.core.errors import HarnessError, MeasurementError
from harness.machine.watch.facts import PACKAGES, machine_facts
from harness.machine.watch.interpreter import InterpreterFacts, interpreter_facts
from harness.results.entries import (
    AbEndEntry,
    AbEntry,
    AbProfileEntry,
    AbSide,
    Entry,
    PairEntry,
    TurnPlan,
    TurnValues,
)
from harness.results.journal import PAIRS_PREFIX, Journal, prepare_results_folder
from harness.results.replies import Profile
from harness.results.schema import METHOD_VERSION
from harness.runner.loop.paired import (
    Pair,
    Side,
    measure_pair,
    profile_side,
    shared_tests,
)
from harness.runner.loop.parts import cell_of, without_folders
from harness.runner.loop.run import new_run_id, utc_now
from harness.runner.settings import Settings


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was measured.

    Attributes:
        entries: of the file.
        ending: why no more pairs.
    """

    entries: tuple[Entry, ...]
    ending: Ending

    @property
    def count(self) -> int:
        """How many pairs."""
        return sum(isinstance(one, PairEntry) for one in self.entries)


def measure_pairs(
    sides: tuple[Side, Side],
    header: AbEntry,
    plan: TurnPlan,
    limits: Limits,
    results: Path,
    first: int = 0,
    profiled: Settings | None = None,
    quiet: bool = False,
) -> Pairs:
    """Add pairs until the limits say enough; each is on disk before the next begins.

    Args:
        sides: the base and what is compared with it.
        header: what opens the file.
        plan: how a pair is measured.
        limits: when there are enough.
        results: folder of the file that keeps every turn.
        first: number of the first pair; pairs of other numbers draw other orders.
        profiled: take a profile of every test on both sides as well, by these settings.
        quiet: no progress.

    Raises:
        WorkerError: a child failed; finished pairs stay in the file.
        MeasurementError: interrupted before two pairs were there.
        StorageError: the folder cannot be written.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    prepare_results_folder(results)
    path = results / f"{PAIRS_PREFIX}{new_run_id().removeprefix('run-')}.jsonl"
    found: list[PairEntry] = []
    cells = {a.workload: (a, b) for a, b in header.cells}
    start_s = time.monotonic()
    with Journal(path) as journal, open_progress(quiet) as progress:
        journal.append(header)
        tell(f"pairs: {path}")
        try:
            while True:
                lines = lines_of(found, cells)
                ending = limits.ending(len(found), time.monotonic() - start_s, lines)
                if ending is not None:
                    break
                progress(f"pair {len(found) + 1}", len(found), limits.most)
                pair = measure_pair(sides, plan, first + len(found))
                found.append(_entry(len(found) + 1, pair))
                journal.append(found[-1])
        except KeyboardInterrupt:
            ending = Ending.INTERRUPTED
        more: list[Entry] = []
        if profiled is not None and ending is not Ending.INTERRUPTED:
            more += _profiles(sides, profiled)
        more.append(AbEndEntry(ending=ending))
        for entry in more:
            journal.append(entry)
    if len(found) < 2:
        raise MeasurementError("interrupted before two pairs were measured", fix="let it run on")
    return Pairs((header, *found, *more), ending)


def _profiles(sides: tuple[Side, Side], settings: Settings) -> list[AbProfileEntry]:
    """Where the time of each test goes on both sides; what cannot be profiled says why."""
    found = []
    for test in shared_tests(sides):
        taken = []
        for side in sides:
            try:
                taken.append(profile_side(side, test, settings))
            except HarnessError as error:
                taken.append(Profile(reason=error.problem))
        found.append(AbProfileEntry(test=test.name, a=taken[0], b=taken[1]))
    return found


def make_header(
    sides: tuple[Side, Side],
    texts: tuple[str, str],
    labels: tuple[str, str],
    plan: TurnPlan,
    asked: tuple[float, Limits],
) -> AbEntry:
    """What opens the file of pairs; names no path.

    Args:
        sides: the base and what is compared with it.
        texts: the words that make each differ.
        labels: what each is called; empty: nothing was said.
        plan: how a pair is measured.
        asked: tolerance, and when there are enough pairs.

    Raises:
        UsageError: an interpreter does not say which packages it has.
    """
    facts = [interpreter_facts(side.python) for side in sides]
    mine, theirs = (one.packages for one in facts)
    kept = {name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)}
    kept |= set(PACKAGES)
    a, b = (
        _side(side, text, label, fact, kept)
        for side, text, label, fact in zip(sides, texts, labels, facts, strict=True)
    )
    first, second = sides
    return AbEntry(
        commit=tested_commit(),
        tolerance=asked[0],
        precision=asked[1].precision,
        most_pairs=asked[1].most,
        cells=tuple(
            (
                cell_of(first.group, test, first.artifact),
                cell_of(second.group, test, second.artifact),
            )
            for test in shared_tests(sides)
        ),
        created_utc=utc_now(),
        method_version=METHOD_VERSION,
        environment=machine_facts(),
        turns=plan,
        a=a,
        b=b,
    )


def _side(
    side: Side, text: str, label: str, facts: InterpreterFacts, kept: Collection[str]
) -> AbSide:
    """One variant, as the file names it."""
    packages = {name: one for name, one in facts.packages.items() if name in kept}
    return AbSide(
        label=label,
        python_version=facts.python_version,
        packages=dict(sorted(packages.items())),
        words=without_folders(text),
        model=side.artifact.name,
        level=side.group.level.name,
        kv_cache=side.group.cache.name,
        prepack=side.group.prepack,
        capacity=side.group.capacity,
        device=side.group.device.key,
        threads=side.group.threads,
        batch=side.group.batch,
        tests=tuple(test.name for test in side.group.workloads),
        content_hash=side.artifact.content_hash,
        other_interpreter=side.python is not None,
    )


def _entry(number: int, pair: Pair) -> PairEntry:
    """One pair with every turn."""
    turns = tuple(
        TurnValues(test=test, metric=metric, values=values)
        for (test, metric), values in pair.turns.items()
    )
    return PairEntry(pair=number, starts_ms=pair.starts, turns=turns, watches=pair.watches)
