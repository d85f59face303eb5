"""Pairs of `bench ab` one after the other: until when, and what is kept of them."""

import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click

from harness.analysis.paired import Ending, Limits, Line, PairValue, lines_of
from harness.cli.progress import open_progress
from harness.core.errors import MeasurementError
from harness.machine.watch.facts import machine_facts
from harness.results.entries import AbEntry, AbSide, PairEntry, TurnValues
from harness.results.journal import Journal, prepare_results_folder
from harness.results.schema import METHOD_VERSION
from harness.runner.loop.identity import cell_of, without_folders
from harness.runner.loop.paired import Pair, Side, TurnPlan, measure_pair, shared_tests
from harness.runner.loop.run import new_run_id, utc_now

PREFIX = "ab-"


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was measured.

    Attributes:
        lines: a value per pair of every metric.
        count: how many pairs.
        ending: why no more.
    """

    lines: list[Line]
    count: int
    ending: Ending


def measure_pairs(
    sides: tuple[Side, Side],
    texts: tuple[str, str],
    plan: TurnPlan,
    limits: Limits,
    results: Path,
    first: int = 0,
) -> Pairs:
    """Add pairs until the limits say enough; each is on disk before the next begins.

    Args:
        sides: the base and what is compared with it.
        texts: the words that make each differ.
        plan: how a pair is measured.
        limits: when there are enough.
        results: folder of the file that keeps every turn.
        first: number of the first pair; pairs of other numbers draw other orders.

    Raises:
        WorkerError: a child failed; finished pairs stay in the file.
        MeasurementError: interrupted before two pairs were there.
        StorageError: the folder cannot be written.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    prepare_results_folder(results)
    path = results / f"{PREFIX}{new_run_id().removeprefix('run-')}.jsonl"
    found: list[Pair] = []
    start_s = time.monotonic()
    with Journal(path) as journal, open_progress() as progress:
        journal.append(_header(sides, texts, plan))
        click.echo(f"pairs: {path}", err=True)
        try:
            while True:
                lines = _lines(sides, found)
                ending = limits.ending(len(found), time.monotonic() - start_s, lines)
                if ending is not None:
                    break
                progress(f"pair {len(found) + 1}", len(found), limits.most)
                found.append(measure_pair(sides, plan, first + len(found)))
                journal.append(_entry(len(found), found[-1]))
        except KeyboardInterrupt:
            ending, lines = Ending.INTERRUPTED, _lines(sides, found)
    if len(found) < 2:
        raise MeasurementError("interrupted before two pairs were measured", fix="let it run on")
    return Pairs(lines, len(found), ending)


def _lines(sides: tuple[Side, Side], pairs: list[Pair]) -> list[Line]:
    """Every metric of every test, a value per pair."""
    a, b = sides
    cells = {
        test.name: (cell_of(a.group, test, a.artifact), cell_of(b.group, test, b.artifact))
        for test in shared_tests(sides)
    }
    taken: dict[tuple[str, str], list[PairValue]] = {}
    for pair in pairs:
        for test, metric, log_ratio in pair.log_ratios():
            turns = pair.turns[test, metric] if test else (pair.starts[metric],)
            base, new = (median(turn[side] for turn in turns) for side in (0, 1))
            taken.setdefault((test, metric), []).append(PairValue(log_ratio, base, new))
    return lines_of(taken, cells)


def _header(sides: tuple[Side, Side], texts: tuple[str, str], plan: TurnPlan) -> AbEntry:
    """What opens the file of pairs; names no path."""
    a, b = (_side(side, text) for side, text in zip(sides, texts, strict=True))
    return AbEntry(
        created_utc=utc_now(),
        method_version=METHOD_VERSION,
        environment=machine_facts(),
        turns=asdict(plan),
        a=a,
        b=b,
    )


def _side(side: Side, text: str) -> AbSide:
    """One variant, as the file names it."""
    return AbSide(
        words=without_folders(text),
        model=side.artifact.name,
        level=side.group.level.name,
        kv_cache=side.group.cache.name,
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
    return PairEntry(pair=number, starts_ms=pair.starts, turns=turns)
