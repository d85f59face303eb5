"""Pairs of `bench ab` one after the other: until when, and what is kept of them."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from msgspec import structs

from harness.analysis.paired import Ending, Limits, lines_of
from harness.cli.output import tell
from harness.cli.progress import open_progress
from harness.cli.signals import end_as_with_ctrl_c
from harness.core.environment import tested_commit
from harness.core.errors import (
    HarnessError,
    InterruptedRunError,
    StorageError,
    UsageError,
    WorkerError,
)
from harness.core.findings import Progress
from harness.machine.watch.facts import PACKAGES, machine_facts
from harness.machine.watch.interpreter import InterpreterFacts, interpreter_facts
from harness.report.ab import ending_of
from harness.results.elsewhere import keep_elsewhere
from harness.results.entries import (
    AbEndEntry,
    AbEntry,
    AbProfileEntry,
    AbSide,
    Entry,
    PairEntry,
    ResumedEntry,
    TurnPlan,
    TurnValues,
)
from harness.results.journal import (
    AGAIN,
    PAIRS_PREFIX,
    Journal,
    Sound,
    encode_line,
    prepare_results_folder,
    sound_journals,
)
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
from harness.runner.tuning.sitting import digest_of

TRIES = 2  # of a pair whose worker is lost
RESUME = "the same command with --resume goes on"
UNFINISHED = (Ending.INTERRUPTED, Ending.LOST)


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was measured.

    Attributes:
        entries: of the file.
        ending: why no more pairs.
        interrupted: somebody ended it, with or without enough pairs.
        lost: what became of the file, and where its entries lie instead; None: they lie there.
    """

    entries: tuple[Entry, ...]
    ending: Ending
    interrupted: bool = False
    lost: StorageError | None = None

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
    profiled: Settings | None = None,
    quiet: bool = False,
    resume: bool = False,
) -> Pairs:
    """Add pairs until the limits say enough; each is on disk before the next begins.

    A pair that loses a worker is measured again; the second time it is the end.

    Args:
        sides: the base and what is compared with it.
        header: what opens the file; of a confirmation it says how many pairs came before.
        plan: how a pair is measured.
        limits: when there are enough.
        results: folder of the file that keeps every turn.
        profiled: take a profile of every test on both sides as well, by these settings.
        quiet: no progress.
        resume: go on with the newest file of the same that has no end.

    Raises:
        WorkerError: a child failed, died, hung or ran out of memory before two pairs were there.
        InterruptedRunError: ended before that.
        StorageError: the folder cannot be written.
        UsageError: there is nothing to go on with.
    """
    end_as_with_ctrl_c()
    prepare_results_folder(results)
    opened = opened_pairs(header, results, resume)
    for problem in opened.damaged:
        tell(f"{problem}; {AGAIN}")
    path, known = opened.path, list(opened.entries)
    with Journal(path) as journal, open_progress(quiet) as progress:
        tell(f"pairs: {path}")
        sitting = _Sitting(sides, header, plan, limits, journal, progress, known)
        sitting.run(profiled)
    return sitting.found(path)


def opened_pairs(header: AbEntry, results: Path, resume: bool) -> Sound:
    """Return the file of pairs, with what it holds already.

    Args:
        header: what is asked for.
        results: folder of the file.
        resume: go on with the newest one of the same that has no end, or whose lines
            were damaged since.

    Raises:
        UsageError: there is none to go on with.
    """
    if not resume:
        return Sound(results / f"{PAIRS_PREFIX}{new_run_id().removeprefix('run-')}.jsonl", ())
    for sound in sound_journals(results, PAIRS_PREFIX):
        first = next(iter(sound.entries), None)
        if not isinstance(first, AbEntry) or not first.digest:
            continue
        same = (first.digest, first.first) == (header.digest, header.first)
        if same and (ending_of(sound.entries) in UNFINISHED or not sound.is_mended):
            return sound
    raise UsageError(
        f"{results} holds no unfinished pairs of the same sides, tests, settings and versions",
        fix="leave --resume out, or give the --results of those pairs",
    )


class _Sitting:
    """One sitting over a file of pairs: all that it adds is in memory, and on the disk."""

    def __init__(
        self,
        sides: tuple[Side, Side],
        header: AbEntry,
        plan: TurnPlan,
        limits: Limits,
        journal: Journal,
        progress: Progress,
        known: list[Entry],
    ) -> None:
        """Begin with what the file holds; an empty list: it does not begin with its header yet."""
        self._sides, self._header, self._plan, self._limits = sides, header, plan, limits
        self._journal, self._progress = journal, progress
        self._entries: list[Entry] = known
        self._cells = {a.workload: (a, b) for a, b in header.cells}
        self._before = len(self._pairs)
        self._start_s = time.monotonic()
        self._interrupted = False
        self._lost: StorageError | None = None
        self._failure: WorkerError | None = None
        self._ending = Ending.INTERRUPTED

    @property
    def _pairs(self) -> list[PairEntry]:
        return [one for one in self._entries if isinstance(one, PairEntry)]

    def run(self, profiled: Settings | None) -> None:
        """Measure pairs, then profiles; whatever ends it leaves what there is."""
        try:
            self._keep(ResumedEntry(created_utc=utc_now()) if self._entries else self._header)
            self._ending = self._measure()
            if profiled is not None and self._ending is not Ending.LOST:
                for entry in _profiles(self._sides, profiled):
                    self._keep(entry)
        except KeyboardInterrupt:
            self._interrupted = True
        except StorageError as error:
            self._lost = error
            return
        try:
            reason = "" if self._failure is None else self._failure.problem
            self._keep(AbEndEntry(ending=self._ending, reason=reason))
        except StorageError as error:
            self._lost = error

    def found(self, path: Path) -> Pairs:
        """What there is, kept elsewhere where the file was lost.

        Raises:
            HarnessError: see measure_pairs.
        """
        lost = self._lost
        if len(self._pairs) < 2:
            raise (
                lost
                or self._failure
                or InterruptedRunError("interrupted before two pairs were measured", fix=RESUME)
            )
        if lost is not None:
            content = b"".join(map(encode_line, self._entries))
            _, lost = keep_elsewhere(path, lost, lambda other: other.write_bytes(content))
        return Pairs(tuple(self._entries), self._ending, self._interrupted, lost)

    def _keep(self, entry: Entry) -> None:
        self._entries.append(entry)  # first: what the disk does not take is not lost
        self._journal.append(entry)

    def _measure(self) -> Ending:
        """Add pairs until there are enough, or one loses its workers twice."""
        while True:
            pairs = self._pairs
            lines = lines_of(pairs, self._cells)
            ending = self._limits.ending(len(pairs), self._elapsed_s(len(pairs)), lines)
            if ending is not None:
                return ending
            entry = self._one_pair(_first_missing(pairs), len(pairs))
            if entry is None:
                return Ending.LOST
            self._keep(entry)

    def _elapsed_s(self, pairs: int) -> float:
        """Since the first pair; those of earlier sittings took as long as those of this one."""
        elapsed_s, mine = time.monotonic() - self._start_s, pairs - self._before
        return elapsed_s * pairs / mine if mine > 0 else 0.0

    def _one_pair(self, number: int, done: int) -> PairEntry | None:
        """The pair of a number, from 1, where so many are there.

        None: a worker was lost, and once more when it was tried again.
        """
        lost: list[str] = []
        while len(lost) < TRIES:
            again = f", again: {lost[-1]}" if lost else ""
            self._progress(f"pair {number}{again}", done, self._limits.most)
            try:
                pair = measure_pair(self._sides, self._plan, self._header.first + number - 1)
            except WorkerError as error:
                self._failure = error
                lost.append(error.problem)
                continue
            self._failure = None
            return _entry(number, pair, tuple(lost))
        return None


def _first_missing(pairs: Sequence[PairEntry]) -> int:
    """The least number, from 1, that no pair has: the next one, or one whose line is damaged."""
    known = {one.pair for one in pairs}
    return next(number for number in count(1) if number not in known)


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
    known = {python: interpreter_facts(python) for python in {side.python for side in sides}}
    facts = [known[side.python] for side in sides]
    mine, theirs = (one.packages for one in facts)
    kept = {name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)}
    kept |= set(PACKAGES)
    a, b = (
        _side(side, text, label, fact, kept)
        for side, text, label, fact in zip(sides, texts, labels, facts, strict=True)
    )
    first, second = sides
    header = AbEntry(
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
    return _signed(header)


def _signed(header: AbEntry) -> AbEntry:
    """A header with the digest of everything that decides what is measured, and when enough."""
    asked = (header.tolerance, header.precision, header.most_pairs, header.method_version)
    of = (asked, header.a, header.b, header.turns, header.cells, header.environment)
    return structs.replace(header, digest=digest_of(*of))


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


def _entry(number: int, pair: Pair, lost: tuple[str, ...]) -> PairEntry:
    """One pair with every turn."""
    turns = tuple(
        TurnValues(test=test, metric=metric, values=values)
        for (test, metric), values in pair.turns.items()
    )
    return PairEntry(
        pair=number, starts_ms=pair.starts, turns=turns, watches=pair.watches, lost=lost
    )
